import { addStatistics, noStatistics } from '../pool/pool-statistics.ts';
import type { PoolStatistics } from '../pool/pool-statistics.ts';

/** What counts for a database. */
interface Counting {
  readonly database: string;
  readonly pool: { readonly statistics: PoolStatistics; readonly connections: ReadonlySet<unknown> };
}

/** What the pools of each database have counted: also those that were given up, or rates that are made of it would be false. */
export class DatabaseStatistics {
  readonly #ended = new Map<string, PoolStatistics>();
  /** Given up, with clients that are still served. */
  #ending: Counting[] = [];

  /** A pool was given up. */
  gaveUp(pool: Counting): void {
    this.#settle();
    this.#ending.push(pool);
  }

  /** Together with these pools, which are used. */
  with(living: Iterable<Counting>): ReadonlyMap<string, PoolStatistics> {
    const sums = new Map(this.#ended);
    for (const one of [...this.#ending, ...living]) addTo(sums, one);
    return sums;
  }

  #settle(): void {
    for (const one of this.#ending) if (one.pool.connections.size === 0) addTo(this.#ended, one);
    this.#ending = this.#ending.filter(({ pool }) => pool.connections.size > 0);
  }
}

function addTo(sums: Map<string, PoolStatistics>, { database, pool }: Counting): void {
  sums.set(database, addStatistics(sums.get(database) ?? noStatistics(), pool.statistics));
}
