/** Whether a client's think times are kept. */
export type Timing = 'realistic' | 'none';

/** A transaction that began no later than this after its end on the source is on time, in milliseconds. */
const TOLERANCE_MS = 100;

/**
 * When the requests of one transaction are sent.
 *
 * Before each request the client's think time passes, counted from the ReadyForQuery on the mirror. The time the source
 * spent executing is not slept again, and a mirror that executes more slowly gets no shorter think times for it within
 * the transaction: locks are held for think time plus the mirror's own execution.
 *
 * A transaction can begin at the earliest when it has ended on the source. If it begins later than that by more than a
 * tolerance (its lane has fallen behind: the mirror is slower, or its pool was busy), the delay beyond the tolerance is
 * taken off its think times until it is made up. Think time never grows.
 *
 * Timers count whole milliseconds: what is left of a think time below one is not waited for.
 */
export class Pacing {
  readonly #timing: Timing;
  #late = 0;

  constructor(timing: Timing) {
    this.#timing = timing;
  }

  /** A transaction begins; moments of the monotonic clock. */
  begin(now: number, endedAt: number): void {
    this.#late = Math.max(0, now - endedAt - TOLERANCE_MS);
  }

  /** How long to wait before a request, in whole milliseconds; `thinkTime` in microseconds. */
  wait(thinkTime: number): number {
    if (thinkTime < 1000 || this.#timing === 'none') return 0;
    const thought = thinkTime / 1000;
    const shrunk = Math.min(thought, this.#late);
    this.#late -= shrunk;
    return Math.floor(thought - shrunk);
  }
}
