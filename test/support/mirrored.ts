import assert from 'node:assert/strict';

import type { QueryResultRow } from 'pg';
import type { TomlTable } from 'smol-toml';

import { aliceEntry } from './alice.ts';
import type { Cleanup } from './cleanup.ts';
import { eventually } from './eventually.ts';
import { databaseEntry, Pgmirror, type PgmirrorFiles, type PgmirrorOptions } from './pgmirror.ts';
import { createDatabase, query, type RunningPostgres } from './postgres.ts';

/** See {@link Mirrored.start}. */
export interface MirroredOptions {
  /** Run on the source and on the mirror before anything else. */
  readonly schema?: string;
  readonly general?: TomlTable;
  /** More keys of the `[[mirroring]]` from `app` to `shadow`. */
  readonly mirroring?: TomlTable;
  /** More keys of the `[[databases]]` entries. */
  readonly source?: TomlTable;
  readonly mirror?: TomlTable;
  readonly users?: readonly TomlTable[];
  readonly process?: PgmirrorOptions;
}

/** What SHOW MIRRORS says of one mirror, all users together. */
export interface MirrorCounts {
  readonly state: string;
  readonly reason: string;
  readonly exposure: number;
  readonly total: number;
  readonly mirrored: number;
  readonly dropped: number;
  readonly errors: number;
  readonly queueLength: number;
  readonly queuedBytes: number;
  readonly lagMs: number;
  /** By drop reason, those that are not 0. */
  readonly reasons: Readonly<Record<string, number>>;
}

const reasonNames = [
  ...['refused', 'filtered', 'exposure', 'mirror_down', 'too_large', 'bytes_full', 'aborted'],
  ...['queue_full', 'unsafe', 'denied', 'no_user', 'session_lost', 'lag', 'lost'],
];

/**
 * A pgmirror with a source and a mirror: databases of their own on servers of the test, in the configuration `app` and `shadow`.
 * Alice is its first user.
 */
export class Mirrored {
  readonly pgmirror: Pgmirror;
  readonly files: PgmirrorFiles;
  /** The source and the mirror themselves, as their superuser. */
  readonly sourceUrl: string;
  readonly mirrorUrl: string;

  private constructor(pgmirror: Pgmirror, files: PgmirrorFiles, urls: { source: string; mirror: string }) {
    this.pgmirror = pgmirror;
    this.files = files;
    this.sourceUrl = urls.source;
    this.mirrorUrl = urls.mirror;
  }

  /** Makes the databases, starts pgmirror, and resolves when what its clients do reaches the mirror. */
  static async start(
    cleanup: Cleanup,
    servers: { readonly source: RunningPostgres; readonly mirror?: RunningPostgres },
    options: MirroredOptions = {},
  ): Promise<Mirrored> {
    const { source, mirror = source } = servers;
    const names = { source: await createDatabase(source, 'source'), mirror: await createDatabase(mirror, 'mirror') };
    const urls = { source: source.url(names.source), mirror: mirror.url(names.mirror) };
    if (options.schema !== undefined) {
      await query(urls.source, options.schema);
      await query(urls.mirror, options.schema);
    }
    const files: PgmirrorFiles = {
      general: { log_connections: false, ...options.general },
      databases: [
        { ...databaseEntry('app', source, names.source), ...options.source },
        { ...databaseEntry('shadow', mirror, names.mirror), ...options.mirror },
      ],
      mirroring: [{ source_db: 'app', destination_db: 'shadow', ...options.mirroring }],
      users: options.users ?? [aliceEntry],
    };
    const mirrored = new Mirrored(await Pgmirror.start(cleanup, files, options.process), files, urls);
    try {
      await mirrored.whenMirroring();
    } catch (error) {
      throw new Error(`nothing reached the mirror: ${mirrored.pgmirror.output()}`, { cause: error });
    }
    return mirrored;
  }

  /** Where clients connect. */
  get url(): string {
    return this.pgmirror.url('app');
  }

  /** Runs a statement as a client, on a connection of its own. */
  async query<Row extends QueryResultRow = QueryResultRow>(sql: string, values?: readonly unknown[]): Promise<Row[]> {
    return query<Row>(this.url, sql, values);
  }

  /** Runs a statement on the source without pgmirror. */
  async onSource<Row extends QueryResultRow = QueryResultRow>(sql: string): Promise<Row[]> {
    return query<Row>(this.sourceUrl, sql);
  }

  /** Runs a statement on the mirror without pgmirror. */
  async onMirror<Row extends QueryResultRow = QueryResultRow>(sql: string): Promise<Row[]> {
    return query<Row>(this.mirrorUrl, sql);
  }

  /** SHOW MIRRORS, for one mirror. The counts are of one moment, and are checked to add up. */
  async counts(destination = 'shadow'): Promise<MirrorCounts> {
    return readCounts(await this.pgmirror.admin('SHOW MIRRORS'), destination);
  }

  /** Waits until the mirror has finished with everything, and returns what was counted. */
  async drained(options: { destination?: string; timeoutMs?: number } = {}): Promise<MirrorCounts> {
    const { destination, timeoutMs = 20_000 } = options;
    return eventually(
      async () => {
        const counts = await this.counts(destination);
        if (counts.queueLength > 0) throw new Error(`queue_length is ${counts.queueLength}`);
        return counts;
      },
      { timeoutMs, what: 'the mirror to finish' },
    );
  }

  /** Waits until a transaction has come through to the mirror, and forgets what was counted till then. */
  async whenMirroring(destination = 'shadow', timeoutMs = 20_000): Promise<void> {
    const before = (await this.counts(destination)).mirrored;
    await eventually(
      async () => {
        await this.query('SELECT 1');
        const { mirrored, exposure } = await this.counts(destination);
        return mirrored > before || exposure === 0;
      },
      { timeoutMs, intervalMs: 50, what: `mirroring to ${destination}` },
    );
    // Other mirrors of the source, too: what is queued stays counted.
    const rest = async (): Promise<boolean> =>
      (await this.pgmirror.admin('SHOW MIRRORS')).every(({ queue_length }) => Number(queue_length) === 0);
    await eventually(rest, { timeoutMs, what: 'all mirrors to finish' });
    await this.pgmirror.admin('RESET STATS');
  }
}

function readCounts(rows: readonly QueryResultRow[], destination: string): MirrorCounts {
  const mine = rows.filter((row) => row.destination === destination);
  const [first] = mine;
  assert.ok(first !== undefined, `SHOW MIRRORS has no ${destination}`);
  const sum = (column: string): number => mine.reduce((total, row) => total + Number(row[column]), 0);
  // The column of that name is the share.
  const columnOf = (reason: string): string => (reason === 'exposure' ? 'dropped_exposure' : reason);
  const reasons = reasonNames.map((name) => [name, sum(columnOf(name))] as const).filter(([, count]) => count > 0);
  const counts: MirrorCounts = {
    state: String(first.state),
    reason: String(first.reason),
    exposure: Number(first.exposure),
    total: sum('total_count'),
    mirrored: sum('mirrored_count'),
    dropped: sum('dropped_count'),
    errors: sum('error_count'),
    queueLength: sum('queue_length'),
    queuedBytes: sum('queued_bytes'),
    lagMs: Number(first.lag_ms),
    reasons: Object.fromEntries(reasons),
  };
  assert.equal(counts.total, counts.mirrored + counts.dropped + counts.queueLength, JSON.stringify(counts));
  assert.equal(
    counts.dropped,
    reasons.reduce((total, [, count]) => total + count, 0),
    JSON.stringify(counts),
  );
  return counts;
}
