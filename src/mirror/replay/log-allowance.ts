const LINES = 6;
/** One line more may be written after so long. */
const LINE_MS = 60_000;

/** How often something may be said that could happen all the time: a few lines at once, and then one a minute. */
export class LogAllowance {
  #lines = LINES;
  #since = 0;
  #leftOut = 0;

  /** Whether a line may be written at this time (the monotonic clock): how many were left out before it, or undefined. */
  take(now: number): number | undefined {
    const earned = this.#lines < LINES ? Math.floor((now - this.#since) / LINE_MS) : 0;
    if (this.#lines === LINES) this.#since = now;
    else this.#since += earned * LINE_MS;
    this.#lines = Math.min(LINES, this.#lines + earned);
    if (this.#lines === 0) {
      this.#leftOut++;
      return undefined;
    }
    this.#lines--;
    const leftOut = this.#leftOut;
    this.#leftOut = 0;
    return leftOut;
  }
}
