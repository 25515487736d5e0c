import type { ByteBudget } from './byte-budget.ts';

/** What one client holds of the byte budget: what is being recorded, and what was handed over and is not finished. */
export class ClientBytes {
  readonly #budget: ByteBudget;
  #recorded = 0;
  #handedOver = 0;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  /** Takes bytes to record into, unless all clients together or this one would have too many. */
  take(bytes: number): boolean {
    if (!this.#budget.take(bytes, this.#recorded + this.#handedOver)) return false;
    this.#recorded += bytes;
    return true;
  }

  /** Gives back what was taken for recording but for `bytes`. */
  keep(bytes: number): void {
    if (this.#recorded > bytes) this.#budget.giveBack(this.#recorded - bytes);
    this.#recorded = bytes;
  }

  /** Gives back some of what was taken for recording. */
  giveBack(bytes: number): void {
    if (this.#recorded >= bytes) this.keep(this.#recorded - bytes);
  }

  /** A transaction is the queue's now. */
  handOver(bytes: number): void {
    this.#recorded -= bytes;
    this.#handedOver += bytes;
  }

  /** Its last mirror has finished with it. */
  finished(bytes: number): void {
    this.#handedOver -= bytes;
    this.#budget.giveBack(bytes);
  }
}
