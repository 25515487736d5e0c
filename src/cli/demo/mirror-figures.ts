import { Client } from 'pg';

/** Half of the requests were as fast as `p50`, 95 of 100 as fast as `p95`; milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p95: number;
}

/** What `SHOW MIRRORS` says of the demo's one mirror; its users' rows are summed. */
export interface MirrorFigures {
  readonly state: string;
  readonly reason: string;
  readonly total: number;
  /** Was run on the mirror, whatever became of it. */
  readonly mirrored: number;
  /** Of `mirrored`: failed there or took too long. */
  readonly errors: number;
  readonly dropped: number;
  /** The drop reasons that were met. */
  readonly dropReasons: ReadonlyMap<string, number>;
  readonly queue: number;
  readonly lagMs: number;
  /** Of requests on each side; undefined until there is one. */
  readonly source: Latency | undefined;
  readonly mirror: Latency | undefined;
}

type Row = Readonly<Record<string, unknown>>;

/** Asks a running pgmirror for its figures, over one connection to the admin database. */
export class FiguresReader {
  readonly #client: Client;

  /** `url` is the admin database's. */
  constructor(url: string) {
    this.#client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000, query_timeout: 5_000 });
    this.#client.on('error', () => {}); // the next `read` reports it
  }

  async connect(): Promise<void> {
    await this.#client.connect();
  }

  async read(): Promise<MirrorFigures> {
    return figuresOf((await this.#client.query<Row>('SHOW MIRRORS')).rows);
  }

  async end(): Promise<void> {
    await this.#client.end();
  }
}

/** The columns between `queued_bytes` and the latencies are one for each drop reason. */
const otherColumns = new Set([
  ...['database', 'user', 'total_count', 'mirrored_count', 'dropped_count', 'error_count', 'queue_length'],
  ...['destination', 'state', 'reason', 'exposure', 'lag_ms', 'queued_bytes'],
  ...['source_p50_ms', 'source_p95_ms', 'mirror_p50_ms', 'mirror_p95_ms'],
]);

/** Sums the rows of `SHOW MIRRORS`; a column that is missing or empty counts as 0. */
export function figuresOf(rows: readonly Row[]): MirrorFigures {
  const sum = (column: string): number => rows.reduce((total, row) => total + numberIn(row, column), 0);
  const last = rows.at(-1) ?? {};
  const reasons = Object.keys(last).filter((column) => !otherColumns.has(column));
  return {
    state: textIn(last, 'state'),
    reason: textIn(last, 'reason'),
    total: sum('total_count'),
    mirrored: sum('mirrored_count'),
    errors: sum('error_count'),
    dropped: sum('dropped_count'),
    dropReasons: new Map(reasons.map((reason) => [reason, sum(reason)] as const).filter(([, count]) => count > 0)),
    queue: sum('queue_length'),
    lagMs: Math.max(0, ...rows.map((row) => numberIn(row, 'lag_ms'))),
    source: latencyIn(rows, 'source'),
    mirror: latencyIn(rows, 'mirror'),
  };
}

/** All users of a mirror share its latencies: any row that has them will do. */
function latencyIn(rows: readonly Row[], side: 'source' | 'mirror'): Latency | undefined {
  const row = rows.find((candidate) => textIn(candidate, `${side}_p50_ms`) !== '');
  return row && { p50: numberIn(row, `${side}_p50_ms`), p95: numberIn(row, `${side}_p95_ms`) };
}

function numberIn(row: Row, column: string): number {
  const value = Number(textIn(row, column));
  return Number.isFinite(value) ? value : 0;
}

function textIn(row: Row, column: string): string {
  const value = row[column];
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint' ? String(value) : '';
}
