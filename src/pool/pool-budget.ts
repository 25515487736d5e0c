/** How often other threads are asked for a connection, in milliseconds. */
const ASK_EVERY_MS = 2;

/**
 * How many server connections a pool may have open, and who waits: shared by all pooler threads, so that sizes hold for
 * the process as a whole. One row of a shared Int32Array for each pool:
 *
 *   [0]      connections open in all threads
 *   [1 + t]  since when the oldest client of thread t waits (milliseconds of the shared clock + 1), 0: nobody;
 *            where several pools share the row, how many of thread t want a connection
 *   [1 + threads + t]  connections open in thread t, to be given back where that thread dies
 */
export class PoolBudget {
  readonly #cells: Int32Array;
  readonly #base: number;
  readonly #thread: number;
  readonly #threads: number;
  readonly #announce: (what: 'wanted' | 'room') => void;
  /** Several pools share it: who waits does not show in its own row. */
  readonly #alwaysTell: boolean;
  #isWanting = false;
  /** The others were asked for a connection just now; and who wants one since. */
  #asked: NodeJS.Timeout | undefined;
  #asksAgain = false;

  /** `announce` tells the other threads that a connection is wanted here, or that there is room again. */
  constructor(options: {
    readonly cells: Int32Array;
    readonly row: number;
    readonly thread: number;
    readonly threads: number;
    readonly announce: (what: 'wanted' | 'room') => void;
    readonly shared?: boolean;
  }) {
    this.#cells = options.cells;
    this.#base = options.row * PoolBudget.rowLength(options.threads);
    this.#thread = options.thread;
    this.#threads = options.threads;
    this.#announce = options.announce;
    this.#alwaysTell = options.shared ?? false;
  }

  /** Cells in a row for so many threads. */
  static rowLength(threads: number): number {
    return 1 + 2 * threads;
  }

  /** A budget of one thread's own. */
  static alone(): PoolBudget {
    return new PoolBudget({
      cells: new Int32Array(PoolBudget.rowLength(1)),
      row: 0,
      thread: 0,
      threads: 1,
      announce: () => undefined,
    });
  }

  /** Connections open, those of other threads included. */
  get open(): number {
    return Atomics.load(this.#cells, this.#base);
  }

  /** Takes the right to open one more connection, unless `limit` are open. */
  tryOpen(limit: number): boolean {
    for (;;) {
      const open = this.open;
      if (open >= limit) return false;
      if (Atomics.compareExchange(this.#cells, this.#base, open, open + 1) === open) break;
    }
    Atomics.add(this.#cells, this.#base + 1 + this.#threads + this.#thread, 1);
    return true;
  }

  /** Gives a right back that was not used after all: there is no more room than before. */
  unused(): void {
    Atomics.sub(this.#cells, this.#base, 1);
    Atomics.sub(this.#cells, this.#base + 1 + this.#threads + this.#thread, 1);
  }

  /** Gives one right back. */
  closed(): void {
    this.unused();
    if (this.#oldestElsewhere() !== 0 || this.#alwaysTell) this.#announce('room');
  }

  /** Says since when the oldest client here waits (milliseconds of the shared clock), `undefined`: nobody does. */
  waiting(since: number | undefined): void {
    if (this.#threads === 1) return;
    Atomics.store(
      this.#cells,
      this.#base + 1 + this.#thread,
      since === undefined ? 0 : (Math.floor(since) & 0x3fffffff) + 1,
    );
  }

  /**
   * Asks the other threads to close an idle connection. They are asked once in a while, not for each client: where all
   * connections are in use, nobody has one to spare, and every client waits.
   */
  want(): void {
    if (this.#asked !== undefined) {
      this.#asksAgain = true;
      return;
    }
    this.#announce('wanted');
    this.#asked = setTimeout(() => {
      this.#asked = undefined;
      if (!this.#asksAgain) return;
      this.#asksAgain = false;
      this.want();
    }, ASK_EVERY_MS).unref();
  }

  /** Says whether this pool wants a connection that the budget it shares has no room for. */
  wants(isWanting: boolean): void {
    if (isWanting === this.#isWanting) return;
    this.#isWanting = isWanting;
    Atomics.add(this.#cells, this.#base + 1 + this.#thread, isWanting ? 1 : -1);
  }

  /** Another pool that shares the budget wants a connection, in this thread or in another. */
  get isWantedByOthers(): boolean {
    let wanting = this.#isWanting ? -1 : 0;
    for (let thread = 0; thread < this.#threads; thread++)
      wanting += Atomics.load(this.#cells, this.#base + 1 + thread);
    return wanting > 0;
  }

  /** Somebody waits in another thread. */
  get isWantedElsewhere(): boolean {
    return this.#threads > 1 && this.#oldestElsewhere() !== 0;
  }

  /**
   * Whether a client of another thread has waited longer than the oldest here by more than `margin` ms. The margin keeps
   * threads that are equally busy from handing connections to and fro.
   */
  olderElsewhere(mine: number, margin: number): boolean {
    if (this.#threads === 1) return false;
    const oldest = this.#oldestElsewhere();
    return oldest !== 0 && oldest - 1 + margin < (Math.floor(mine) & 0x3fffffff);
  }

  /** A thread died: what it had open and who waited there is forgotten, in every row. */
  static forgetThread(cells: Int32Array, threads: number, thread: number): void {
    const length = PoolBudget.rowLength(threads);
    for (let base = 0; base + length <= cells.length; base += length) {
      Atomics.sub(cells, base, Atomics.exchange(cells, base + 1 + threads + thread, 0));
      Atomics.store(cells, base + 1 + thread, 0);
    }
  }

  #oldestElsewhere(): number {
    let oldest = 0;
    for (let thread = 0; thread < this.#threads; thread++) {
      if (thread === this.#thread) continue;
      const since = Atomics.load(this.#cells, this.#base + 1 + thread);
      if (since !== 0 && (oldest === 0 || since < oldest)) oldest = since;
    }
    return oldest;
  }
}
