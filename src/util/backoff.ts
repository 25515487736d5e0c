/** Waits that double from one attempt to the next, up to a limit, until an attempt has held for a while. */
export class Backoff {
  readonly #firstMs: number;
  readonly #lastMs: number;
  readonly #steadyMs: number;
  #nextMs: number;
  #startedAt = -Infinity;

  constructor(options: { readonly firstMs: number; readonly lastMs: number; readonly steadyMs: number }) {
    this.#firstMs = options.firstMs;
    this.#lastMs = options.lastMs;
    this.#steadyMs = options.steadyMs;
    this.#nextMs = options.firstMs;
  }

  /** An attempt is being made. */
  started(): void {
    this.#startedAt = performance.now();
  }

  /** The attempt ended: how long to wait before the next, in milliseconds. */
  ended(): number {
    if (performance.now() - this.#startedAt >= this.#steadyMs) this.#nextMs = this.#firstMs;
    const wait = this.#nextMs;
    this.#nextMs = Math.min(this.#nextMs * 2, this.#lastMs);
    return wait;
  }
}
