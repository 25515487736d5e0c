import { monotonicNow } from '../util/clock.ts';
import type { PoolBudget } from './pool-budget.ts';

/** How far the first come, first served of different threads may be off, in milliseconds. */
const FAIRNESS_MARGIN_MS = 25;
/**
 * So long a thread gives no second connection up that its own clients would have: until the first has been opened again
 * elsewhere, who waits there goes on being the oldest, and all would be closed for one.
 */
const PAUSE_MS = 100;
/** A connection that has been idle for so long, in milliseconds, can be spared: it is not just changing hands. */
const SPARE_AFTER_MS = 5;

/** A connection that is idle since that moment of the monotonic clock, as far as it concerns this. */
interface Idle {
  readonly idleSince: number;
  close(reason: 'room_for_others'): void;
}

/**
 * Whether a pool's connections are closed here to be opened in another thread, whose clients wait. Each time costs a login:
 * where all threads are busy, connections are not to go to and fro.
 */
export class HandOver {
  readonly #budget: PoolBudget;
  #lastAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;

  constructor(budget: PoolBudget) {
    this.#budget = budget;
  }

  /** Whether a connection that comes free is to go. `oldestHere`: since when the oldest client of this thread waits. */
  isDue(oldestHere: number | undefined): boolean {
    if (!this.#budget.isWantedElsewhere) return false;
    const now = monotonicNow();
    if (now - this.#lastAt < PAUSE_MS) return false;
    if (!this.#budget.olderElsewhere(oldestHere ?? now, FAIRNESS_MARGIN_MS)) return false;
    this.#lastAt = now;
    return true;
  }

  /** A connection became idle: others may want it. */
  becameIdle(idle: readonly Idle[]): void {
    if (this.#budget.isWantedElsewhere) this.makeRoom(idle);
  }

  /** Another thread wants a connection: the one idle for longest, which is the first, goes as soon as it can be spared. */
  makeRoom(idle: readonly Idle[]): void {
    const [server] = idle;
    if (server === undefined || this.#timer !== undefined) return;
    const left = server.idleSince + SPARE_AFTER_MS - monotonicNow();
    if (left <= 0) return server.close('room_for_others');
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.makeRoom(idle);
    }, left);
  }

  /** Nothing is given up any more. */
  close(): void {
    clearTimeout(this.#timer);
  }
}
