import { setTimeout as delay } from 'node:timers/promises';

import { Client } from 'pg';

import type { Cleanup } from './cleanup.ts';
import { eventually, within } from './eventually.ts';

/** See {@link ClientLoad.start}. */
export interface ClientLoadOptions {
  readonly clients?: number;
  /** A client's pause between two transactions; default 0. */
  readonly pauseMs?: number;
  /** One transaction; `number` is another one each time. */
  readonly transaction?: (client: Client, number: number) => Promise<unknown>;
  /** The load ends by itself after so many transactions. */
  readonly limit?: number;
}

/** Clients that run transactions one after the other, until they are stopped. What fails is kept, and ends its client. */
export class ClientLoad {
  /** Transactions that came to their end. */
  done = 0;
  readonly errors: Error[] = [];
  /** How long the slowest took. */
  slowestMs = 0;
  /** Whether clients are still at it. */
  isRunning = true;
  readonly #options: Required<ClientLoadOptions>;
  readonly #running: Promise<void>;
  #next = 0;
  #stopping = false;

  private constructor(url: string, options: ClientLoadOptions) {
    this.#options = {
      clients: 4,
      pauseMs: 0,
      limit: Number.POSITIVE_INFINITY,
      transaction: async (client, number) => client.query('INSERT INTO load (id) VALUES ($1)', [number]),
      ...options,
    };
    const clients = Array.from({ length: this.#options.clients }, async () => this.#client(url));
    this.#running = Promise.all(clients).then(() => void (this.isRunning = false));
  }

  /** Starts clients; unless told otherwise each transaction is one INSERT into `load (id)`. */
  static start(cleanup: Cleanup, url: string, options: ClientLoadOptions = {}): ClientLoad {
    const load = new ClientLoad(url, options);
    cleanup.after(async () => load.stop());
    return load;
  }

  /** Waits until so many more transactions were done. */
  async advance(transactions: number, timeoutMs = 20_000): Promise<void> {
    const goal = this.done + transactions;
    await eventually(
      () => {
        if (this.errors[0] !== undefined) throw this.errors[0];
        return this.done >= goal;
      },
      { timeoutMs, what: `${transactions} transactions of clients` },
    );
  }

  /** Waits until the load has ended by itself. */
  async finished(timeoutMs = 60_000): Promise<void> {
    await within(this.#running, timeoutMs, 'the clients to finish');
  }

  /** Lets every client finish its transaction. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
  }

  async #client(url: string): Promise<void> {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
    client.on('error', (error) => this.errors.push(error));
    try {
      await client.connect();
      while (!this.#stopping && this.#next < this.#options.limit) {
        const startedAt = performance.now();
        await this.#options.transaction(client, ++this.#next);
        this.slowestMs = Math.max(this.slowestMs, performance.now() - startedAt);
        this.done += 1;
        if (this.#options.pauseMs > 0) await delay(this.#options.pauseMs);
      }
    } catch (error) {
      this.errors.push(error instanceof Error ? error : new Error(String(error)));
    } finally {
      await client.end().catch(() => {});
    }
  }
}
