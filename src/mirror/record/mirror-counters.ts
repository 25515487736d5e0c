import { DROP_REASONS } from './drop-reason-names.ts';
import { Outcome } from './record-stream.ts';

/** What is counted for one mirror and user. `total = mirrored + dropped + queueLength`, always. */
export interface MirrorCounts {
  readonly total: number;
  readonly replayed: number;
  readonly failed: number;
  readonly timedOut: number;
  readonly queueLength: number;
  readonly queuedBytes: number;
  /** By DROP_REASONS. */
  readonly dropped: readonly number[];
}

const Cell = { Total: 0, Replayed: 1, Failed: 2, TimedOut: 3, QueueLength: 4, QueuedBytes: 5, Dropped: 6 } as const;
const ROW_LENGTH = Cell.Dropped + DROP_REASONS.length;

/** Pairs of mirror and user that one thread can count. */
const COUNTER_ROWS = 4096;
/** So many of them have names; each mirror counts the users beyond them as one. */
export const NAMED_ROWS = COUNTER_ROWS - 256;
/** The name of those. */
export const OTHER_USERS = '(other users)';

/** A thread that died amid writing leaves its counters so: whoever reads them does not wait longer for the rest. */
const READ_MS = 1_000;

/** The shared memory of one thread's counters. */
export interface CounterMemory {
  readonly cells: SharedArrayBuffer;
  readonly version: SharedArrayBuffer;
}

export function allocateCounters(): CounterMemory {
  return { cells: new SharedArrayBuffer(8 * ROW_LENGTH * COUNTER_ROWS), version: new SharedArrayBuffer(4) };
}

/**
 * A thread's counters, written by that thread alone and read by others. A sequence lock makes a reading whole: the
 * version is odd while several cells that belong together change, and a reader tries again unless it found the same even
 * version before and after.
 */
export class MirrorCounters {
  readonly #cells: Float64Array;
  readonly #version: Int32Array;

  constructor(memory: CounterMemory) {
    this.#cells = new Float64Array(memory.cells);
    this.#version = new Int32Array(memory.version);
  }

  /** A transaction ended and was handed over. */
  queued(row: number, bytes: number): void {
    const at = row * ROW_LENGTH;
    this.#begin();
    this.#add(at + Cell.Total, 1);
    this.#add(at + Cell.QueueLength, 1);
    this.#add(at + Cell.QueuedBytes, bytes);
    this.#end();
  }

  /** A transaction ended and was not handed over. */
  dropped(row: number, reason: number): void {
    const at = row * ROW_LENGTH;
    this.#begin();
    this.#add(at + Cell.Total, 1);
    this.#add(at + Cell.Dropped + reason, 1);
    this.#end();
  }

  /** A transaction that was handed over is finished. `reason` with the outcome Dropped. */
  finished(row: number, bytes: number, outcome: Outcome, reason: number): void {
    const at = row * ROW_LENGTH;
    this.#begin();
    this.#add(at + Cell.QueueLength, -1);
    this.#add(at + Cell.QueuedBytes, -bytes);
    if (outcome === Outcome.Dropped) this.#add(at + Cell.Dropped + reason, 1);
    else this.#add(at + outcome, 1);
    this.#end();
  }

  /** RESET STATS: what is still queued stays counted. */
  reset(row: number): void {
    const at = row * ROW_LENGTH;
    this.#begin();
    const queued = this.#cells[at + Cell.QueueLength] ?? 0;
    const bytes = this.#cells[at + Cell.QueuedBytes] ?? 0;
    this.#cells.fill(0, at, at + ROW_LENGTH);
    this.#cells[at + Cell.Total] = queued;
    this.#cells[at + Cell.QueueLength] = queued;
    this.#cells[at + Cell.QueuedBytes] = bytes;
    this.#end();
  }

  /** The thread died: what it had handed over is lost. Only for whoever knows that nobody writes any more. */
  settleDeadThread(rows: number, lostReason: number): void {
    if ((Atomics.load(this.#version, 0) & 1) !== 0) this.#end();
    for (let row = 0; row < rows; row++) {
      const at = row * ROW_LENGTH;
      this.#begin();
      this.#add(at + Cell.Dropped + lostReason, this.#cells[at + Cell.QueueLength] ?? 0);
      this.#cells[at + Cell.QueueLength] = 0;
      this.#cells[at + Cell.QueuedBytes] = 0;
      this.#end();
    }
  }

  /** The first `rows` rows, as they were at one moment. */
  read(rows: number): MirrorCounts[] {
    const until = performance.now() + READ_MS;
    for (;;) {
      const before = Atomics.load(this.#version, 0);
      const isLate = performance.now() > until;
      if ((before & 1) !== 0 && !isLate) continue;
      const copy = this.#cells.slice(0, rows * ROW_LENGTH);
      if (isLate || Atomics.load(this.#version, 0) === before)
        return Array.from({ length: rows }, (_, row) => counts(copy, row));
    }
  }

  #begin(): void {
    Atomics.add(this.#version, 0, 1);
  }

  #end(): void {
    Atomics.add(this.#version, 0, 1);
  }

  #add(cell: number, amount: number): void {
    this.#cells[cell] = (this.#cells[cell] ?? 0) + amount;
  }
}

function counts(cells: Float64Array, row: number): MirrorCounts {
  const at = row * ROW_LENGTH;
  const cell = (index: number): number => cells[at + index] ?? 0;
  return {
    total: cell(Cell.Total),
    replayed: cell(Cell.Replayed),
    failed: cell(Cell.Failed),
    timedOut: cell(Cell.TimedOut),
    queueLength: cell(Cell.QueueLength),
    queuedBytes: cell(Cell.QueuedBytes),
    dropped: Array.from(cells.subarray(at + Cell.Dropped, at + ROW_LENGTH)),
  };
}
