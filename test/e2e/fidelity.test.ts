import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { alice } from '../support/alice.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { Mirrored, type MirroredOptions } from '../support/mirrored.ts';
import type { RunningPostgres } from '../support/postgres.ts';
import { startWatchedPair } from '../support/watched-postgres.ts';
import { RandomClient, type Tally } from './fidelity/random-client.ts';
import { doSomething, schemaFor } from './fidelity/transactions.ts';

const clientCount = 8;
/** `FIDELITY_SEED` makes another workload. */
const firstSeed = Number(process.env.FIDELITY_SEED ?? 1);

describe('A random workload of every kind of transaction', () => {
  const cleanup = inReverse({ after });
  let source: RunningPostgres;
  let mirror: RunningPostgres;

  before(async () => {
    const settings = { max_prepared_transactions: '20', log_line_prefix: '%d %p %e ', max_connections: '200' };
    [source, mirror] = await startWatchedPair(cleanup, { settings });
  });

  async function start(test: Cleanup, options: MirroredOptions): Promise<Mirrored> {
    const general = { mirror_queue: 100_000, ...options.general };
    const mirroring = { max_lag: 600_000, ...options.mirroring }; // the mirror gives way to all that keeps a machine busy
    return Mirrored.start(test, { source, mirror }, { schema: schemaFor(clientCount), ...options, general, mirroring });
  }

  /** At least so many transactions, from all clients at once; resolves when pgmirror is done with all of them. */
  async function work(mirrored: Mirrored, transactions: number, seed: number): Promise<Tally> {
    const { host, port } = mirrored.pgmirror;
    const clients = Array.from(
      { length: clientCount },
      (_, number) => new RandomClient({ number, seed, address: { host, port }, login: alice }),
    );
    await Promise.all(
      clients.map(async (client) => {
        while (client.tally.transactions < transactions / clientCount) await doSomething(client);
        await client.leave();
      }),
    );
    // Who vanished may still be at work.
    await eventually(async () => (await mirrored.pgmirror.admin('SHOW CLIENTS')).length === 0, { timeoutMs: 60_000 });
    const sum = { transactions: 0, unsafe: 0, aborted: 0, denied: 0 };
    for (const { tally } of clients) {
      for (const key of ['transactions', 'unsafe', 'aborted', 'denied'] as const) sum[key] += tally[key];
    }
    return sum;
  }

  it('leaves the mirror as the source is, but for what is counted', async (t) => {
    const mirrored = await start(inReverse(t), {});
    const { transactions, ...dropped } = await work(mirrored, 5_000, firstSeed);
    const { total, errors, reasons, mirrored: replayed } = await mirrored.drained({ timeoutMs: 120_000 });
    const reasonsMade = Object.fromEntries(Object.entries(dropped).filter(([, count]) => count > 0));
    assert.deepEqual({ total, errors, reasons }, { total: transactions, errors: 0, reasons: reasonsMade });
    const left = Object.values(dropped).reduce((sum, count) => sum + count, 0);
    assert.equal(replayed, transactions - left);
    assert.deepEqual(await contents(mirrored, 'mirror'), await contents(mirrored, 'source'));
  });

  it('is whole transactions at an exposure of 0.3, too, from two threads', async (t) => {
    const logged = `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET log_statement = ''all''', current_database()); END $$`;
    const mirrored = await start(inReverse(t), {
      schema: `${schemaFor(clientCount)}; ${logged}`,
      general: { workers: 2 },
      mirroring: { exposure: 0.3 },
    });
    const { transactions } = await work(mirrored, 1_500, firstSeed + 1);
    const { total, mirrored: replayed } = await mirrored.drained({ timeoutMs: 120_000 });
    assert.equal(total, transactions);
    assert.ok(replayed > total * 0.2 && replayed < total * 0.4, `${replayed} of ${total}`);
    const [database] = await mirrored.onMirror<{ name: string }>('SELECT current_database() AS name');
    assertWhole(mirror.log.filter((line) => line.startsWith(`${database?.name} `)));
  });
});

/** No statement of a block without its BEGIN, none begun twice, none that nobody prepared, none failed for nothing. */
function assertWhole(log: readonly string[]): void {
  /** Of connections whose last block, or a statement since, has failed. */
  const failed = new Set<string>();
  let statements = 0;
  for (const line of log) {
    const [, connection = '', state = ''] = line.split(' ', 3);
    if (line.includes('LOG:  statement: BEGIN')) failed.delete(connection);
    if (line.includes('LOG:  ')) statements++;
    if (!line.includes('ERROR:  ')) continue;
    // no_active_sql_transaction, active_sql_transaction, and names of statements, cursors and savepoints that are none
    assert.ok(!['25P01', '25001', '26000', '34000', '3B001'].includes(state), line);
    assert.ok(state !== '25P02' || failed.has(connection), line);
    failed.add(connection);
  }
  assert.ok(statements > 400, `only ${statements} lines`);
}

/** All rows of all tables, and large objects. */
async function contents(mirrored: Mirrored, side: 'source' | 'mirror'): Promise<Record<string, string[]>> {
  const on = async (sql: string): Promise<{ text: string }[]> =>
    side === 'source' ? mirrored.onSource<{ text: string }>(sql) : mirrored.onMirror<{ text: string }>(sql);
  const tables = await on(
    `SELECT table_schema || '.' || table_name AS text FROM information_schema.tables WHERE table_schema LIKE 'c_' ORDER BY 1`,
  );
  const found: Record<string, string[]> = {};
  for (const { text: table } of tables) {
    const rows = await on(`SELECT row_to_json(t)::text AS text FROM ${table} t ORDER BY 1`);
    found[table] = rows.map(({ text }) => text);
  }
  const large = await on(`SELECT loid || ' ' || encode(data, 'escape') AS text FROM pg_largeobject ORDER BY 1`);
  const prepared = await on('SELECT gid AS text FROM pg_prepared_xacts');
  return { ...found, large: large.map(({ text }) => text), prepared: prepared.map(({ text }) => text) };
}
