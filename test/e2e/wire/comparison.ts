import assert from 'node:assert/strict';

import { Client, type QueryResultRow } from 'pg';
import type { TomlTable } from 'smol-toml';

import { readOnWhenUnwritable } from '../../../src/net/reading-socket.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { query as queryMessage } from '../../support/bytes.ts';
import { Pgmirror, databaseEntry } from '../../support/pgmirror.ts';
import { createDatabase, query, type RunningPostgres } from '../../support/postgres.ts';
import { WireClient } from '../../support/wire-client.ts';
import { hold, typesOf, type Dialogue } from './dialogue.ts';
import { restore, schema } from './schema.ts';

/** Asks a server connection for what another client could notice: nothing of it may be there. */
const traces = `
  SELECT 'setting', name || '=' || setting FROM pg_settings WHERE source = 'session' AND setting IS DISTINCT FROM reset_val
  UNION ALL SELECT 'cursor', name FROM pg_cursors
  UNION ALL SELECT 'channel', pg_listening_channels()
  UNION ALL SELECT 'lock', locktype FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'
  UNION ALL SELECT 'temporary', relname::text FROM pg_class WHERE relnamespace = pg_my_temp_schema()
  UNION ALL SELECT 'role', current_user::text WHERE current_user <> session_user
  UNION ALL SELECT 'statement', name FROM pg_prepared_statements WHERE name !~ '^_*pgm'
`;

const observer = 'observer';

/** Connections to databases of a server that are opened when they are needed, and kept. */
class KeptConnections {
  readonly #server: RunningPostgres;
  readonly #clients = new Map<string, Client>();

  constructor(server: RunningPostgres) {
    this.#server = server;
  }

  async get(database: string): Promise<Client> {
    const kept = this.#clients.get(database);
    if (kept !== undefined) return kept;
    const client = new Client({ connectionString: this.#server.url(database), application_name: observer });
    client.on('error', () => this.#clients.delete(database)); // the server was stopped: the next that asks gets another
    await client.connect();
    this.#clients.set(database, client);
    return client;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map(async (client) => client.end()));
  }
}

/** A row of pg_stat_activity. */
export interface ServerConnection extends QueryResultRow {
  readonly pid: number;
  readonly state: string;
  readonly wait_event: string | null;
}

/** PostgreSQL and a pgmirror before it, spoken to alike: two databases of one server, with the same contents. */
export class Comparison {
  readonly server: RunningPostgres;
  readonly pgmirror: Pgmirror;
  readonly #directName: string;
  readonly #pooledName: string;

  readonly #pastPgmirror: KeptConnections;

  private constructor(
    server: RunningPostgres,
    pgmirror: Pgmirror,
    names: { readonly direct: string; readonly pooled: string },
    pastPgmirror: KeptConnections,
  ) {
    this.server = server;
    this.pgmirror = pgmirror;
    this.#directName = names.direct;
    this.#pooledName = names.pooled;
    this.#pastPgmirror = pastPgmirror;
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
    const kept = new KeptConnections(server);
    cleanup.after(async () => kept.close());
    return new Comparison(server, pgmirror, { direct, pooled }, kept);
  }

  /** A client of PostgreSQL itself. */
  async direct(parameters: Readonly<Record<string, string>> = {}): Promise<WireClient> {
    const { host, port, user, password } = this.server;
    return reader(await WireClient.login({ host, port }, { user, password, database: this.#directName, parameters }));
  }

  /** A client of pgmirror. */
  async pooled(parameters: Readonly<Record<string, string>> = {}): Promise<WireClient> {
    const { host, port } = this.pgmirror;
    return reader(await WireClient.login({ host, port }, { user: 'alice', database: 'app', parameters }));
  }

  /** Asks the database behind pgmirror, past it. */
  async ask<Row extends QueryResultRow = QueryResultRow>(sql: string): Promise<Row[]> {
    return (await this.#pastPgmirror.get(this.#pooledName)).query<Row>(sql).then(({ rows }) => rows);
  }

  /** pgmirror's connections to the server. */
  async connections(): Promise<ServerConnection[]> {
    return this.ask(`SELECT pid, state, wait_event FROM pg_stat_activity
      WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> '${observer}'`);
  }

  /** Ends all of pgmirror's connections, and resolves when they are gone. */
  async killConnections(): Promise<void> {
    const before = (await this.connections()).map(({ pid }) => pid);
    for (const pid of before) await this.ask(`SELECT pg_terminate_backend(${pid}, 5000)`);
  }

  /** Runs SQL in both databases, past pgmirror. */
  async prepare(sql: string): Promise<void> {
    for (const name of [this.#directName, this.#pooledName]) await (await this.#pastPgmirror.get(name)).query(sql);
  }

  /** Holds the dialogue with both, and compares what they said; then looks for what it left to the next client. */
  async compare(dialogue: Dialogue): Promise<void> {
    await this.prepare(restore);
    const direct = await this.#hold(await this.direct(dialogue.startup), dialogue);
    const pooled = await this.#hold(await this.pooled(dialogue.startup), dialogue);
    if (dialogue.differs === undefined) assert.deepEqual(pooled, direct);
    assert.equal(
      typesOf(direct),
      dialogue.steps
        .map((step) => step.answer)
        .join(' ')
        .trim(),
      'what PostgreSQL answers',
    );
    assert.deepEqual(await this.traces(), []);
  }

  /** What a client that has just come finds of those before it. */
  async traces(): Promise<string[]> {
    const client = await this.pooled();
    try {
      const lines = await hold(client, { name: 'traces', steps: [{ send: [queryMessage(traces)], answer: 'TCZ' }] });
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

/** A client that writes on after the other end has closed (PostgreSQL resets the connection then) reads the last words all the same. */
function reader(client: WireClient): WireClient {
  readOnWhenUnwritable(client.socket);
  return client;
}
