import assert from 'node:assert/strict';

import type { TomlTable } from 'smol-toml';

import type { Cleanup } from '../../support/cleanup.ts';
import { Pgmirror, databaseEntry } from '../../support/pgmirror.ts';
import { createDatabase, query, type RunningPostgres } from '../../support/postgres.ts';
import { WireClient } from '../../support/wire-client.ts';
import { hold, typesOf, type Dialogue } from './dialogue.ts';
import { restore, schema } from './schema.ts';

/** Asks a server connection for what another client could notice: nothing of it may be there. */
const traces = `
  SELECT 'setting', name || '=' || setting FROM pg_settings WHERE source = 'session' AND name NOT IN ('client_encoding', 'application_name')
  UNION ALL SELECT 'cursor', name FROM pg_cursors
  UNION ALL SELECT 'channel', pg_listening_channels()
  UNION ALL SELECT 'lock', locktype FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'
  UNION ALL SELECT 'temporary', relname::text FROM pg_class WHERE relpersistence = 't'
  UNION ALL SELECT 'role', current_user::text WHERE current_user <> session_user
  UNION ALL SELECT 'statement', name FROM pg_prepared_statements WHERE name !~ '^_*pgm'
`;

/** PostgreSQL and a pgmirror before it, spoken to alike: two databases of one server, with the same contents. */
export class Comparison {
  readonly server: RunningPostgres;
  readonly pgmirror: Pgmirror;
  readonly #directName: string;
  readonly #pooledName: string;

  private constructor(server: RunningPostgres, pgmirror: Pgmirror, directName: string, pooledName: string) {
    this.server = server;
    this.pgmirror = pgmirror;
    this.#directName = directName;
    this.#pooledName = pooledName;
  }

  /** Starts a pgmirror with these settings before the server. */
  static async start(cleanup: Cleanup, server: RunningPostgres, general: TomlTable): Promise<Comparison> {
    const direct = await createDatabase(server, 'direct');
    await query(server.url(direct), schema);
    const pooled = `pooled_${direct}`;
    await query(server.url('postgres'), `CREATE DATABASE ${pooled} TEMPLATE ${direct}`);
    const pgmirror = await Pgmirror.start(cleanup, {
      general: { auth_type: 'trust', pooler_mode: 'transaction', checkout_timeout: 3_000, ...general },
      databases: [databaseEntry('app', server, pooled)],
      users: [{ name: 'alice', database: 'app' }],
    });
    return new Comparison(server, pgmirror, direct, pooled);
  }

  /** A client of PostgreSQL itself. */
  async direct(parameters: Readonly<Record<string, string>> = {}): Promise<WireClient> {
    const { host, port, user, password } = this.server;
    return WireClient.login({ host, port }, { user, password, database: this.#directName, parameters });
  }

  /** A client of pgmirror. */
  async pooled(parameters: Readonly<Record<string, string>> = {}): Promise<WireClient> {
    const { host, port } = this.pgmirror;
    return WireClient.login({ host, port }, { user: 'alice', database: 'app', parameters });
  }

  /** Runs SQL in both databases, past pgmirror. */
  async prepare(sql: string): Promise<void> {
    for (const name of [this.#directName, this.#pooledName]) await query(this.server.url(name), sql);
  }

  /** Holds the dialogue with both, and compares what they said; then looks for what it left to the next client. */
  async compare(dialogue: Dialogue): Promise<void> {
    await this.prepare(restore);
    const direct = await this.#hold(await this.direct(dialogue.startup), dialogue);
    const pooled = await this.#hold(await this.pooled(dialogue.startup), dialogue);
    if (dialogue.differs === undefined) assert.deepEqual(pooled, direct);
    assert.equal(typesOf(direct), dialogue.steps.map((step) => step.answer).join(' ').trim(), 'what PostgreSQL answers');
    assert.deepEqual(await this.traces(), []);
  }

  /** What a client that has just come finds of those before it. */
  async traces(): Promise<string[]> {
    const client = await this.pooled();
    try {
      const lines = await hold(client, { name: 'traces', steps: [{ send: [queryBytes(traces)], answer: 'TCZ' }] });
      if (!lines.some((line) => line.startsWith('C'))) return lines.length > 1 ? lines : ['no answer'];
      return lines.filter((line) => !/^(step|T|C|Z)/.test(line));
    } finally {
      await client.destroy();
    }
  }

  async #hold(client: WireClient, dialogue: Dialogue): Promise<string[]> {
    try {
      return await hold(client, dialogue);
    } finally {
      await client.end().catch(() => client.destroy());
    }
  }
}

function queryBytes(text: string): Buffer {
  const body = Buffer.from(`${text}\0`);
  const bytes = Buffer.alloc(5 + body.length);
  bytes.write('Q');
  bytes.writeInt32BE(4 + body.length, 1);
  body.copy(bytes, 5);
  return bytes;
}
