/**
 * Which row of the shared budgets belongs to which pool or database, in all threads. A row is never given to another: its
 * threads hold it as long as they live.
 */
export class BudgetRows {
  readonly #rows = new Map<string, number>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The row that this key has from now on; -1: there is none left. */
  rowOf(key: string): number {
    let row = this.#rows.get(key);
    if (row === undefined) {
      if (this.#rows.size >= this.#limit) return -1;
      row = this.#rows.size;
      this.#rows.set(key, row);
    }
    return row;
  }

  keys(): Iterable<string> {
    return this.#rows.keys();
  }
}
