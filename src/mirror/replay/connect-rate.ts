/** At most so many connections are opened to one mirror in any second. */
const PER_SECOND = 10;

/** Hands out the moments at which connections may be opened. */
export class ConnectRate {
  /** The last ones given, oldest first. */
  readonly #given: number[] = [];

  /** Milliseconds to wait before opening the next connection; the moment is taken. */
  take(now: number): number {
    const tenthLast = this.#given.length < PER_SECOND ? -Infinity : (this.#given.shift() ?? -Infinity);
    const moment = Math.max(now, tenthLast + 1000);
    this.#given.push(moment);
    return Math.ceil(moment - now);
  }
}
