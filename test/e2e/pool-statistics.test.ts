import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';

import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { inspectable, Inspector } from '../support/inspector.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { query, withClient, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

describe('SHOW STATS', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
  });

  async function start(t: TestContext, mode: string): Promise<Pgmirror> {
    return Pgmirror.start(inReverse(t), {
      general: { auth_type: 'trust', default_pool_size: 1, pooler_mode: mode },
      databases: [databaseEntry('app', server, 'postgres')],
      users: [{ name: 'alice', database: 'app' }],
    });
  }

  /** Totals of the database, times in microseconds. */
  async function totals(pgmirror: Pgmirror): Promise<Readonly<Record<string, number>>> {
    const url = pgmirror.url('pgmirror', 'admin', 'admin-password');
    const rows = await query<Record<string, string>>(url, 'SHOW STATS_TOTALS');
    const row = rows.find(({ database }) => database === 'app') ?? {};
    return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)]));
  }

  /** Lets a second pass, as PostgreSQL counts it. */
  const second = async (): Promise<unknown> => query(server.url('postgres'), 'SELECT pg_sleep(1)');

  it('has no time between transactions in the time of transactions, where a client keeps its server', async (t) => {
    const pgmirror = await start(t, 'session');
    await withClient(pgmirror.url('app', 'alice', ''), async (client) => {
      await client.query('SELECT 1');
      await second();
      await client.query('SELECT 1');
      const begun = performance.now();
      await client.query('BEGIN');
      await second();
      await client.query('COMMIT');
      const block = (performance.now() - begun) * 1000;
      const { xact_count: transactions, xact_time: within = 0, query_time: busy = 0 } = await totals(pgmirror);
      assert.equal(transactions, 3);
      const thinking = within - busy;
      assert.ok(thinking > 900_000, `the second in a block is missing: ${thinking} us`);
      assert.ok(thinking < block + 500_000, `the second outside is in it: ${thinking} us, the block took ${block}`);
    });
  });

  it('has totals that never go back, where a user goes and where a thread ends', async (t) => {
    const test = inReverse(t);
    const files = { databases: [databaseEntry('app', server, 'postgres')] };
    const users = ['alice', 'bob'].map((name) => ({ name, database: 'app' }));
    const general = { auth_type: 'trust' };
    const pgmirror = await Pgmirror.start(test, { ...files, general, users }, { env: inspectable });
    for (const { name } of users) {
      await withClient(pgmirror.url('app', name, ''), async (client) => {
        for (let turn = 0; turn < 3; turn++) await client.query('SELECT 1');
      });
    }
    const transactions = async (): Promise<number | undefined> => (await totals(pgmirror)).xact_count;
    assert.equal(await transactions(), 6);
    await pgmirror.reload({ users: users.slice(0, 1) });
    assert.equal(await transactions(), 6, 'of a user that was removed as well');

    const inspector = await Inspector.open(test, pgmirror, pgmirror.processId);
    await inspector.runInThread('pooler 0', `throw new Error('provoked')`);
    await pgmirror.waitForLog((line) => line.msg === 'pooler thread failed');
    const counted = await eventually(async () => transactions().catch(() => undefined));
    assert.equal(counted, 6, 'of a thread that has ended as well');
  });

  it('counts a server once for each time a client gets one, however much it has to be prepared', async (t) => {
    const pgmirror = await start(t, 'transaction');
    const url = pgmirror.url('app', 'alice', '');
    await withClient(url, async (one) =>
      withClient(url, async (other) => {
        await one.query("SET statement_timeout = '1min'");
        await other.query("SET statement_timeout = '2min'");
        for (let turn = 0; turn < 4; turn++) {
          for (const client of [one, other]) await client.query({ name: `of ${turn}`, text: `SELECT ${turn}` });
        }
        const { xact_count: transactions, server_assignment_count: assignments } = await totals(pgmirror);
        assert.deepEqual({ transactions, assignments }, { transactions: 10, assignments: 10 });
      }),
    );
  });
});
