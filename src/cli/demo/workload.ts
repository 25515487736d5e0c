import { setTimeout as delay } from 'node:timers/promises';

import { ShopClient, type ShopCounts } from './shop-client.ts';
import { transact } from './shop-transactions.ts';

/** Connections of the sample application: enough to overlap, few enough for a machine that runs two databases besides. */
const clientCount = 8;

/** The sample application: what it did so far, and its run. */
export class Workload {
  readonly counts: ShopCounts = { committed: 0, rolledBack: 0, latencies: [] };
  readonly #url: string;

  /** `url` is the application's DATABASE_URL. */
  constructor(url: string) {
    this.#url = url;
  }

  /** Transactions that have ended. */
  get transactions(): number {
    return this.counts.committed + this.counts.rolledBack;
  }

  /**
   * Runs until the signal; each client finishes the transaction it is in. Rejects with the first unexpected error, when all
   * clients have ended.
   */
  async run(signal: AbortSignal): Promise<void> {
    const failed = new AbortController();
    const stop = AbortSignal.any([signal, failed.signal]);
    const clients = Array.from({ length: clientCount }, (_, index) => new ShopClient(this.#url, index, this.counts));
    await Promise.all(
      clients.map(async (client) => {
        try {
          await runClient(client, stop);
        } catch (error) {
          failed.abort(error);
        }
      }),
    );
    failed.signal.throwIfAborted();
  }
}

async function runClient(client: ShopClient, stop: AbortSignal): Promise<void> {
  await client.connect();
  try {
    while (!stop.aborted) {
      await transact(client);
      await delay(client.random.between(2, 30));
    }
  } finally {
    await client.end();
  }
}
