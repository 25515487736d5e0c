import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { monotonicNow } from '../util/clock.ts';

/** A question that takes so long keeps others waiting. */
const SLOW_MS = 1_000;
/** So long the turn is had without being renewed: a thread that has ended does not keep it. */
const LEASE_SECONDS = 15;
const RENEW_MS = 5_000;
/** Another thread that has the turn is asked for it so often, and leaves it alone for longer when it has had it. */
const RETRY_MS = 100;

/** Asks; `answered` is to be called with the answer. */
type Ask = (answered: () => void) => void;

/**
 * Of the process's threads that wait for name servers (libuv has half of its pool for that: two), one alone may wait for
 * names that took long the last time, whichever thread of Node.js asks: others are found all the same. Who asks for such a
 * name waits for its turn.
 */
export class SlowLookups {
  /** Until when the turn is had by some thread, in seconds of the monotonic clock. */
  readonly #until: Int32Array;
  readonly #names = new Set<string>();
  readonly #line: Ask[] = [];
  #isAsking = false;
  #retry: NodeJS.Timeout | undefined;

  /** `shared`: four bytes, the same for all threads. */
  constructor(shared: SharedArrayBuffer) {
    this.#until = new Int32Array(shared);
  }

  /** That of this process: the main thread must have asked for it before it starts others. */
  static ofProcess(): SlowLookups {
    const key = 'pgmirror: slow lookups';
    const known = getEnvironmentData(key);
    if (known instanceof SharedArrayBuffer) return new SlowLookups(known);
    const shared = new SharedArrayBuffer(4);
    setEnvironmentData(key, shared);
    return new SlowLookups(shared);
  }

  /** Asks for a name at once, or when it is its turn; notes how long that takes. */
  ask(name: string, ask: Ask): void {
    const timed: Ask = (answered) => {
      const askedAt = monotonicNow();
      ask(() => {
        if (monotonicNow() - askedAt < SLOW_MS) this.#names.delete(name);
        else this.#names.add(name);
        answered();
      });
    };
    if (!this.#names.has(name)) return timed(() => undefined);
    this.#line.push(timed);
    if (this.#retry === undefined) this.#next();
  }

  #next(): void {
    this.#retry = undefined;
    if (this.#isAsking || this.#line.length === 0) return;
    if (!this.#takeTurn()) return this.#later(RETRY_MS);
    const renewal = setInterval(() => Atomics.store(this.#until, 0, leaseFromNow()), RENEW_MS).unref();
    this.#isAsking = true;
    this.#line.shift()?.(() => {
      clearInterval(renewal);
      this.#isAsking = false;
      Atomics.store(this.#until, 0, 0);
      this.#later(2 * RETRY_MS);
    });
  }

  #later(ms: number): void {
    this.#retry = setTimeout(() => this.#next(), ms).unref();
  }

  #takeTurn(): boolean {
    const until = Atomics.load(this.#until, 0);
    if (until > monotonicNow() / 1_000) return false;
    return Atomics.compareExchange(this.#until, 0, until, leaseFromNow()) === until;
  }
}

function leaseFromNow(): number {
  return Math.ceil(monotonicNow() / 1_000) + LEASE_SECONDS;
}
