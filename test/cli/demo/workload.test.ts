import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { Client } from 'pg';

import { copyIn } from '../../../src/cli/demo/copy-in.ts';
import { compareRows } from '../../../src/cli/demo/same-rows.ts';
import { shopSchema } from '../../../src/cli/demo/schema.ts';
import { Workload } from '../../../src/cli/demo/workload.ts';
import { inReverse } from '../../support/cleanup.ts';
import { eventually } from '../../support/eventually.ts';
import { createDatabase, query, withClient, type RunningPostgres } from '../../support/postgres.ts';
import { startWatchedPostgres } from '../../support/watched-postgres.ts';

describe('the sample application', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;
  let original: string;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
    original = await filled();
  });

  /** The name of a database with a shop in it. */
  async function filled(): Promise<string> {
    const database = await createDatabase(server, 'shop');
    await query(server.url(database), shopSchema);
    return database;
  }

  async function shop(): Promise<string> {
    return server.url(await createDatabase(server, 'shop', original));
  }

  it('begins alike on two databases, and what one row of it changes is seen', async () => {
    const [left, right] = [await shop(), server.url(await filled())];
    const tables = await compareRows(left, right);
    assert.deepEqual(
      tables.map(({ same }) => same),
      [true, true, true, true],
    );
    assert.ok(tables.reduce((sum, { sourceRows }) => sum + sourceRows, 0) > 30_000);

    await query(right, 'UPDATE products SET stock = stock - 1 WHERE id = 5');
    const changed = (await compareRows(left, right)).filter(({ same }) => !same);
    assert.deepEqual(
      changed.map(({ table }) => table),
      ['products'],
    );
  });

  it('runs until it is told to stop, counts as the server does, and leaves no transaction open', async () => {
    const url = await shop();
    const workload = new Workload(url);
    const stop = new AbortController();
    const running = workload.run(stop.signal);
    await eventually(() => workload.transactions > 400 && workload.counts.rolledBack > 10, {
      what: '400 transactions',
    });
    stop.abort();
    await running;
    const states = "SELECT FROM pg_stat_activity WHERE application_name LIKE 'shop %'";
    await eventually(async () => (await query(url, states)).length === 0, { what: 'its connections to be closed' });
    const [orders] = await query(url, 'SELECT count(*)::int AS n FROM orders WHERE id >= 1000000');
    assert.ok(Number(orders?.n) > 20, `${String(orders?.n)} orders`);
    assert.ok(workload.counts.latencies.length > workload.transactions);
  });

  it('ends with the error that it did not expect', async () => {
    const url = await shop();
    await query(url, 'DROP TABLE order_lines');
    await assert.rejects(new Workload(url).run(new AbortController().signal), { code: '42P01' });
  });

  it('copies with plain pg, and reports what COPY refuses', async () => {
    const url = await shop();
    const sql = 'COPY customers (id, name, email, city, joined_at) FROM STDIN';
    await withClient(url, async (client: Client) => {
      await copyIn(client, sql, '900001\tA\ta@x\tOslo\t2025-01-01\n900002\tB\tb@x\tOslo\t2025-01-01\n');
      await assert.rejects(copyIn(client, sql, '900001\tA\tc@x\tOslo\t2025-01-01\n'), { code: '23505' });
      const { rows } = await client.query('SELECT count(*)::int AS n FROM customers WHERE id > 900000');
      assert.deepEqual(rows, [{ n: 2 }]);
    });
  });
});
