import { DROP_REASONS, dropReasonIndex } from '../mirror/record/drop-reason-names.ts';
import { MirrorCounters } from '../mirror/record/mirror-counters.ts';
import type { CounterMemory, MirrorCounts } from '../mirror/record/mirror-counters.ts';

/** What is counted for one mirror and user, in all threads together. */
export interface MirrorUserCounts extends MirrorCounts {
  readonly mirror: number;
  readonly user: string;
}

/** Requests that erred on a mirror and not on the source: counter row, SQLSTATE, how many. */
type ThreadErrors = readonly (readonly [row: number, sqlstate: string, count: number])[];

interface ThreadCounters {
  readonly counters: MirrorCounters;
  readonly rows: { readonly mirror: number; readonly user: string }[];
  /** As the thread told last. */
  errors: ThreadErrors;
}

/** Reads the counters of all pooler threads, and keeps those of threads that are no more. */
export class CounterBook {
  readonly #threads = new Map<number, ThreadCounters>();
  #ended: MirrorUserCounts[] = [];
  /** Of threads that are no more, by mirror. */
  readonly #endedErrors = new Map<number, Map<string, number>>();

  threadStarted(thread: number, memory: CounterMemory): void {
    this.#threads.set(thread, { counters: new MirrorCounters(memory), rows: [], errors: [] });
  }

  /** A thread told of the errors that it has counted so far. */
  errorsTold(thread: number, errors: ThreadErrors): void {
    const known = this.#threads.get(thread);
    if (known !== undefined) known.errors = errors;
  }

  /** How many requests erred on the mirror alone, by SQLSTATE: what a thread told last holds until it tells more. */
  errorsOf(mirror: number): ReadonlyMap<string, number> {
    const errors = new Map(this.#endedErrors.get(mirror));
    for (const known of this.#threads.values()) addErrors(errors, known, mirror);
    return errors;
  }

  rowNamed(thread: number, row: number, mirror: number, user: string): void {
    const known = this.#threads.get(thread);
    if (known !== undefined) known.rows[row] = { mirror, user };
  }

  /** The thread died: what it had handed over is lost. */
  threadEnded(thread: number): void {
    const known = this.#threads.get(thread);
    if (known === undefined) return;
    this.#threads.delete(thread);
    known.counters.settleDeadThread(known.rows.length, dropReasonIndex.lost);
    this.#ended = sumByMirrorAndUser([...this.#ended, ...read(known)]);
    for (const { mirror } of Object.values(known.rows)) {
      if (!this.#endedErrors.has(mirror)) this.#endedErrors.set(mirror, new Map());
    }
    for (const [mirror, errors] of this.#endedErrors) addErrors(errors, known, mirror);
  }

  /** RESET STATS; living threads reset their own. */
  reset(): void {
    this.#ended = [];
    this.#endedErrors.clear();
    for (const known of this.#threads.values()) known.errors = [];
  }

  /** One entry for each mirror and user that anything was counted for. */
  read(): MirrorUserCounts[] {
    return sumByMirrorAndUser([...this.#ended, ...[...this.#threads.values()].flatMap(read)]);
  }
}

function addErrors(sum: Map<string, number>, { rows, errors }: ThreadCounters, mirror: number): void {
  for (const [row, sqlstate, count] of errors) {
    if (rows[row]?.mirror === mirror) sum.set(sqlstate, (sum.get(sqlstate) ?? 0) + count);
  }
}

function read({ counters, rows }: ThreadCounters): MirrorUserCounts[] {
  return counters.read(rows.length).flatMap((counts, row) => {
    const name = rows[row];
    return name === undefined ? [] : [{ ...counts, ...name }];
  });
}

function sumByMirrorAndUser(entries: readonly MirrorUserCounts[]): MirrorUserCounts[] {
  const sums = new Map<string, MirrorUserCounts>();
  for (const entry of entries) {
    const key = `${entry.mirror} ${entry.user}`;
    const sum = sums.get(key);
    sums.set(key, sum === undefined ? entry : { ...addCounts(sum, entry), mirror: entry.mirror, user: entry.user });
  }
  return [...sums.values()];
}

/** The counts of both together. */
export function addCounts(a: MirrorCounts, b: MirrorCounts): MirrorCounts {
  return {
    total: a.total + b.total,
    replayed: a.replayed + b.replayed,
    failed: a.failed + b.failed,
    timedOut: a.timedOut + b.timedOut,
    queueLength: a.queueLength + b.queueLength,
    queuedBytes: a.queuedBytes + b.queuedBytes,
    dropped: DROP_REASONS.map((_, index) => (a.dropped[index] ?? 0) + (b.dropped[index] ?? 0)),
  };
}

/** Nothing counted. */
export const NO_COUNTS: MirrorCounts = {
  total: 0,
  replayed: 0,
  failed: 0,
  timedOut: 0,
  queueLength: 0,
  queuedBytes: 0,
  dropped: DROP_REASONS.map(() => 0),
};
