import { setTimeout as delay } from 'node:timers/promises';

import { Client, DatabaseError, type QueryConfig } from 'pg';

import { copyIn } from './copy-in.ts';
import { Random } from './random.ts';

/** What the application counts, over all of its clients. */
export interface ShopCounts {
  committed: number;
  rolledBack: number;
  /** Milliseconds of each request, as the application waited for it. */
  readonly latencies: number[];
}

/** One connection of the sample application with what it remembers: its random numbers and the orders it placed. */
export class ShopClient {
  readonly index: number;
  readonly random: Random;
  /** Orders of its own that stand. Only these does it change or delete, so no two clients write the same row's same column. */
  readonly orders: number[] = [];
  readonly #client: Client;
  readonly #counts: ShopCounts;
  #lastOrder: number;
  #failure: Error | undefined;

  constructor(url: string, index: number, counts: ShopCounts) {
    this.index = index;
    this.random = new Random(index + 1);
    this.#counts = counts;
    this.#lastOrder = (index + 1) * 1_000_000;
    this.#client = new Client({ connectionString: url, application_name: `shop ${index}`, query_timeout: 30_000 });
    this.#client.on('error', (error) => (this.#failure = error));
  }

  async connect(): Promise<void> {
    await this.#client.connect();
  }

  async end(): Promise<void> {
    await this.#client.end();
  }

  /** The id of a new order: the application's own, not a sequence's. */
  nextOrder(): number {
    this.#lastOrder += 1;
    return this.#lastOrder;
  }

  /** Sends one request and notes how long its answer took. */
  async query(query: string | QueryConfig): Promise<void> {
    await this.#measured(async () => this.#client.query(query));
  }

  /** A named prepared statement; parsed once for this connection. */
  async prepared(name: string, text: string, values: unknown[]): Promise<void> {
    await this.query({ name, text, values });
  }

  async copyIn(sql: string, data: string): Promise<void> {
    await this.#measured(async () => copyIn(this.#client, sql, data));
  }

  /** A request that is to fail with this SQLSTATE: applications make mistakes, and live on. */
  async queryThatFails(query: string | QueryConfig, sqlstate: string): Promise<void> {
    try {
      await this.query(query);
    } catch (error) {
      if (error instanceof DatabaseError && error.code === sqlstate) return;
      throw error;
    }
    throw new Error(`a statement of the demo was to fail with ${sqlstate} and did not`);
  }

  /** What an application does between the statements of a transaction. */
  async think(): Promise<void> {
    await delay(this.random.between(1, 12));
  }

  /** Notes the end of a transaction. */
  ended(outcome: 'committed' | 'rolledBack'): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#counts[outcome] += 1;
  }

  async #measured(send: () => Promise<unknown>): Promise<void> {
    const begun = performance.now();
    await send();
    this.#counts.latencies.push(performance.now() - begun);
  }
}
