import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { Random } from '../../src/cli/demo/random.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually, within } from '../support/eventually.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { query, withClient, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { ChurnClient, type ChurnCounts } from './churn/churn-client.ts';

/** `CHURN_SECONDS` and `CHURN_CLIENTS` make it longer and wider; `CHURN_SEED` repeats a run, as far as time allows. */
const seconds = Number(process.env.CHURN_SECONDS ?? 20);
const clients = Number(process.env.CHURN_CLIENTS ?? 100);
const seed = Number(process.env.CHURN_SEED ?? Date.now() % 1_000_000);
const poolSize = 10;
const pinned = 100;
/** Between two servers that are killed. */
const KILL_MS = 100;

describe(`${clients} clients that come and go, cancel and vanish, while servers are killed (seed ${seed})`, () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;
  let pgmirror: Pgmirror;

  before(async () => {
    server = await startWatchedPostgres(cleanup, { settings: { max_connections: '200' } });
    await query(server.url('postgres'), 'CREATE TABLE churn (client int, row int, PRIMARY KEY (client, row))');
    pgmirror = await Pgmirror.start(cleanup, {
      general: {
        auth_type: 'trust',
        workers: 2,
        default_pool_size: poolSize,
        pinned_pool_size: pinned,
        checkout_timeout: 60_000,
        log_connections: false,
      },
      databases: [databaseEntry('app', server, 'postgres')],
      users: [{ name: 'alice', database: 'app' }],
    });
  });

  const ofPgmirror = `FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`;

  async function killServers(stopping: AbortSignal): Promise<number> {
    const random = new Random(seed);
    let killed = 0;
    await withClient(server.url('postgres'), async (client) => {
      while (!stopping.aborted) {
        const sql = `SELECT pg_terminate_backend(pid) FROM (SELECT pid ${ofPgmirror} ORDER BY pid OFFSET $1 LIMIT 1) AS one`;
        killed += (await client.query(sql, [random.between(0, poolSize)])).rows.length;
        await delay(KILL_MS);
      }
    });
    return killed;
  }

  it('show nobody what is another’s, and leave nothing behind', async (t) => {
    const counts: ChurnCounts = { sessions: 0, answers: 0, vanished: 0, cancelled: 0, killed: 0 };
    const address = { host: pgmirror.host, port: pgmirror.port };
    const churning = Array.from({ length: clients }, (_, number) => new ChurnClient(number, seed, address, counts));
    const stopping = new AbortController();
    const timer = setTimeout(() => stopping.abort(), seconds * 1000);
    t.after(() => clearTimeout(timer));
    const ended = await Promise.allSettled([
      killServers(stopping.signal),
      ...churning.map(async (client) =>
        client.run(stopping.signal).catch((error: unknown) => {
          stopping.abort();
          throw error;
        }),
      ),
    ]);
    t.diagnostic(JSON.stringify({ seed, ...counts }));
    const seen = ended.flatMap((outcome) => (outcome.status === 'rejected' ? [String(outcome.reason)] : []));
    assert.deepEqual(seen, []);
    for (const [what, count] of Object.entries(counts)) assert.ok(count > 3, `${what}: ${count}`);

    await atRest();
    await assertRows(churning);
    await wholePoolIsFree();
  });

  /** Nobody is there any more, no server is busy or in a transaction, and no right to open one is out. */
  async function atRest(): Promise<void> {
    await eventually(
      async () => {
        const left = (await pgmirror.admin<{ database: string }>('SHOW CLIENTS')).filter(
          ({ database }) => database === 'app',
        );
        assert.deepEqual(left, []);
        const [pool] = await pgmirror.admin<Record<string, string>>('SHOW POOLS');
        assert.deepEqual([Number(pool?.sv_active), Number(pool?.cl_waiting)], [0, 0]);
        assert.ok(Number(pool?.sv_idle) <= poolSize);
        assert.deepEqual(
          await query(server.url('postgres'), `SELECT pid, state, query ${ofPgmirror} AND state <> 'idle'`),
          [],
        );
        return true;
      },
      { timeoutMs: 20_000, what: 'everything at rest' },
    );
  }

  /** What a client was told of is there, and nothing is there of which it was told otherwise. */
  async function assertRows(churning: readonly ChurnClient[]): Promise<void> {
    const rows = await query<{ client: number; row: number }>(server.url('postgres'), 'SELECT client, row FROM churn');
    const there = Map.groupBy(rows, ({ client }) => client);
    for (const [number, { committed, unknown }] of churning.entries()) {
      const its = new Set((there.get(number) ?? []).map(({ row }) => row));
      assert.deepEqual(
        [...committed].filter((row) => !its.has(row)),
        [],
        `lost rows of client ${number}`,
      );
      assert.deepEqual(
        [...its].filter((row) => !committed.has(row) && !unknown.has(row)),
        [],
        `rows of client ${number}`,
      );
    }
  }

  /** So many transactions as the pool has room for can be open at once. */
  async function wholePoolIsFree(): Promise<void> {
    const allBegun = Promise.withResolvers<void>();
    let begun = 0;
    const transactions = Array.from({ length: poolSize }, async () =>
      withClient(pgmirror.url('app', 'alice'), async (client) => {
        await client.query('BEGIN');
        if (++begun === poolSize) allBegun.resolve();
        await within(allBegun.promise, 20_000, 'a server for everybody');
        await client.query('COMMIT');
      }),
    );
    await Promise.all(transactions);
  }
});
