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

  /** Takes bytes, unless the limit would be passed. */
  take(bytes: number): boolean {
    if (this.used + bytes > this.limit) return false;
    this.#cells[this.#thread] = (this.#cells[this.#thread] ?? 0) + bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#cells[this.#thread] = (this.#cells[this.#thread] ?? 0) - bytes;
  }
}
