/** One client alone may hold three quarters of all. */
const SHARE = 3;

/**
 * `mirror_queue_bytes`: everything recorded and not yet finished, in all threads together. Each thread counts in a cell
 * of its own, so that nobody waits for anybody; a sum read while others write is off by what they are just adding.
 */
export class ByteBudget {
  readonly #cells: Float64Array;
  readonly #thread: number;
  limit: number;

  constructor(options: { readonly cells: Float64Array; readonly thread: number; readonly limit: number }) {
    this.#cells = options.cells;
    this.#thread = options.thread;
    this.limit = options.limit;
  }

  get used(): number {
    let sum = 0;
    for (const cell of this.#cells) sum += cell;
    return sum;
  }

  /**
   * Takes bytes for a client that holds `held` already, unless the limit would be passed or the client had more than
   * its share: `SHARE` times what is left free. So one alone never has it all, whoever comes finds room, and those who
   * want more than there is come to have the same.
   */
  take(bytes: number, held: number): boolean {
    const free = this.limit - this.used - bytes;
    if (free < 0 || held + bytes > SHARE * free) return false;
    this.#cells[this.#thread] = (this.#cells[this.#thread] ?? 0) + bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#cells[this.#thread] = (this.#cells[this.#thread] ?? 0) - bytes;
  }
}
