import { addStatistics, noStatistics } from '../pool/pool-statistics.ts';
import type { PoolStatistics } from '../pool/pool-statistics.ts';

type ByDatabase = ReadonlyMap<string, PoolStatistics>;

/**
 * What the pools of all threads have counted, by database. A thread that does not answer, or is no more, counts with what it
 * told last: totals never go back.
 */
export class StatisticsBook {
  readonly #told = new Map<number, ByDatabase>();
  #ended: ByDatabase = new Map();

  /** A thread told what it has counted so far. */
  told(thread: number, statistics: ByDatabase): void {
    this.#told.set(thread, statistics);
  }

  threadEnded(thread: number): void {
    this.#ended = sum([this.#ended, this.#told.get(thread) ?? new Map()]);
    this.#told.delete(thread);
  }

  read(): ByDatabase {
    return sum([this.#ended, ...this.#told.values()]);
  }
}

function sum(all: readonly ByDatabase[]): ByDatabase {
  const sums = new Map<string, PoolStatistics>();
  for (const [database, statistics] of all.flatMap((one) => [...one])) {
    sums.set(database, addStatistics(sums.get(database) ?? noStatistics(), statistics));
  }
  return sums;
}
