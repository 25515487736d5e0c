import { monotonicNow } from '../util/clock.ts';
import type { PoolBudget } from './pool-budget.ts';
import type { PoolBudgets } from './pool-options.ts';

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
 * Whether a pool's connections are closed here to be opened elsewhere, where clients wait. Each time costs a login:
 * where all threads are busy, connections are not to go to and fro.
 */
export class HandOver {
  readonly #budget: PoolBudget;
  readonly #databaseBudget: PoolBudget;
  #lastAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;

  constructor(budgets: PoolBudgets) {
    this.#budget = budgets.pool;
    this.#databaseBudget = budgets.database;
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

  /** A connection became idle: others may want it. `isShared`: the connections of the database are limited, too. */
  becameIdle(idle: readonly Idle[], isShared: boolean): void {
    if (this.#budget.isWantedElsewhere || (isShared && this.#databaseBudget.isWantedByOthers)) this.makeRoom(idle);
  }

  /** A connection is wanted elsewhere: the one idle for longest, which is the first, goes as soon as it can be spared. */
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
