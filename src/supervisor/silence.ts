/**
 * How long somebody who is asked again and again has said nothing. Whoever asks may have been suspended itself (a container
 * that is paused, a machine that sleeps) or kept from running: what it could not have heard in that time does not count.
 */
export class Silence {
  readonly #everyMs: number;
  #heardAt: number;
  #askedAt: number;

  /** It is asked every `everyMs` from now on, by a monotonic clock. */
  constructor(everyMs: number, now: number) {
    this.#everyMs = everyMs;
    this.#heardAt = now;
    this.#askedAt = now;
  }

  /** It said something. */
  heard(now: number): void {
    this.#heardAt = now;
  }

  /** It is about to be asked again: how long it has been silent, in milliseconds. */
  asked(now: number): number {
    const missed = now - this.#askedAt - this.#everyMs;
    this.#askedAt = now;
    if (missed > this.#everyMs) this.#heardAt = Math.min(now, this.#heardAt + missed);
    return now - this.#heardAt;
  }
}
