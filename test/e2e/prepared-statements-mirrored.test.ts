import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { Client } from 'pg';

import { ClientLoad } from '../support/client-load.ts';
import { inReverse } from '../support/cleanup.ts';
import { Mirrored } from '../support/mirrored.ts';
import { withClient, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

const transactions = 1_500;

describe('Prepared statements', () => {
  const cleanup = inReverse({ after });
  let mirror: RunningPostgres;
  let mirrored: Mirrored;

  before(async () => {
    const settings = { log_line_prefix: '%e ' }; // the SQLSTATE
    mirror = await startWatchedPostgres(cleanup, { settings });
    mirrored = await Mirrored.start(
      cleanup,
      { source: mirror },
      {
        schema: 'CREATE TABLE item (id integer PRIMARY KEY, amount integer NOT NULL)',
        general: { mirror_exposure: 0.3, mirror_queue: transactions, prepared_statements_limit: 3 },
        source: { pool_size: 2 },
        mirror: { pool_size: 2 },
      },
    );
  });

  it('reach the mirror although it sees 30 % of the transactions and few of those that prepared them', async (t) => {
    const errorsBefore = sqlstates(mirror);
    // More statements than a connection keeps, on more clients than there are connections.
    const load = ClientLoad.start(inReverse(t), mirrored.url, {
      clients: 6,
      limit: transactions,
      transaction: async (client, number) => (number % 3 === 0 ? block(client, number) : statement(client, number)),
    });
    await load.finished();
    assert.deepEqual(load.errors, []);
    const counts = await mirrored.drained();
    assert.deepEqual(counts.reasons, { exposure: counts.dropped });
    assert.equal(counts.errors, 0);
    assert.equal(counts.total, load.done);
    const share = counts.mirrored / counts.total;
    assert.ok(Math.abs(share - 0.3) < 0.06, `mirrored a share of ${share}`);
    const [row] = await mirrored.onMirror('SELECT count(*)::int AS count, sum(amount)::int AS sum FROM item');
    assert.deepEqual(row, { count: counts.mirrored, sum: counts.mirrored * 2 });
    assert.deepEqual(sqlstates(mirror), errorsBefore);
  });

  it('that one client closed or replaced are the new ones on the mirror', async () => {
    await mirrored.pgmirror.admin('SET mirror_exposure = 1');
    await withClient(mirrored.url, async (client) => {
      await client.query('PREPARE put AS INSERT INTO item VALUES ($1, 10)');
      await client.query('EXECUTE put(-1)');
      await client.query('DEALLOCATE put');
      await client.query('PREPARE put AS INSERT INTO item VALUES ($1, 20)');
      await client.query('EXECUTE put(-2)');
      await client.query('DEALLOCATE ALL');
    });
    const { errors } = await mirrored.drained();
    assert.equal(errors, 0);
    const put = 'SELECT id, amount FROM item WHERE id < 0 ORDER BY id';
    assert.deepEqual(await mirrored.onMirror(put), await mirrored.onSource(put));
    assert.equal((await mirrored.onMirror(put)).length, 2);
  });

  it('that a client deallocates by SQL are there for it, on whichever connection', async () => {
    await mirrored.pgmirror.admin('SET mirror_exposure = 1');
    await mirrored.pgmirror.admin('RESET STATS');
    const clients = 4;
    await Promise.all(
      Array.from({ length: clients }, async (_, number) =>
        withClient(mirrored.url, async (client) => {
          for (let round = 0; round < 10; round++) {
            const name = `mine ${number} ${round}`;
            await client.query({ name, text: `SELECT ${number} AS client_${round}` });
            await client.query(`DEALLOCATE "${name}"`);
          }
        }),
      ),
    );
    const { mirrored: replayed, errors } = await mirrored.drained();
    assert.deepEqual({ replayed, errors }, { replayed: 2 * 10 * clients, errors: 0 });
  });

  it('of clients that name them in SQL keep to their own text, and what names them is not mirrored', async () => {
    await mirrored.pgmirror.admin('SET mirror_exposure = 1');
    await mirrored.pgmirror.admin('RESET STATS');
    const rounds = 5;
    const amounts = [30, 40];
    await withClient(mirrored.url, async (a) =>
      withClient(mirrored.url, async (b) => {
        const clients = [a, b];
        for (let round = 0; round < rounds; round++) {
          for (const [number, client] of clients.entries()) {
            const values = [-100 - 2 * round - number];
            await client.query({ name: 'put', text: `INSERT INTO item VALUES ($1, ${amounts[number]})`, values });
            await client.query(`EXECUTE put(${1_000_000 + 2 * round + number})`);
          }
        }
      }),
    );
    const { mirrored: replayed, errors, reasons } = await mirrored.drained();
    assert.deepEqual([replayed, errors, reasons], [2 * rounds, 0, { denied: 2 * rounds }]);
    const put = 'SELECT id, amount FROM item WHERE id <= -100 ORDER BY id';
    assert.deepEqual(await mirrored.onMirror(put), await mirrored.onSource(put));
    const [row] = await mirrored.onMirror(`SELECT count(*)::int AS count FROM item WHERE id >= 1000000`);
    assert.deepEqual(row, { count: 0 });
  });

  it('are prepared anew on every connection where a table has changed its shape', async () => {
    await mirrored.pgmirror.admin('SET mirror_exposure = 1');
    await mirrored.query('CREATE TABLE shape AS SELECT 1 AS a');
    const look = { name: 'look', text: 'SELECT *, pg_sleep($1) FROM shape' };
    const run = async (client: Client, seconds: number): Promise<unknown> =>
      client.query({ ...look, values: [seconds] });
    for (const change of ['ALTER TABLE shape ADD b int', 'BEGIN; ALTER TABLE shape DROP a; COMMIT']) {
      await withClient(mirrored.url, async (one) =>
        withClient(mirrored.url, async (two) => {
          // Each connection of the mirror has the statement then.
          await Promise.all([run(one, 0.3), run(two, 0.3)]);
          await mirrored.drained();
          await mirrored.pgmirror.admin('RESET STATS');
          await mirrored.query(change);
          await withClient(mirrored.url, async (client) => {
            await run(client, 0);
            await mirrored.drained();
            // The connection that was used last is busy, and it gets another one.
            await mirrored.query('SELECT pg_sleep(0.4)');
            await run(client, 0);
            const { errors } = await mirrored.drained();
            assert.equal(errors, 0, change);
          });
        }),
      );
    }
  });

  it('have the shape of their client’s search_path', async () => {
    await mirrored.query('CREATE SCHEMA one; CREATE TABLE one.shaped AS SELECT 1 AS a');
    await mirrored.query('CREATE SCHEMA two; CREATE TABLE two.shaped AS SELECT 1 AS a, 2 AS b');
    await mirrored.drained();
    await mirrored.pgmirror.admin('RESET STATS');
    await withClient(mirrored.url, async (one) =>
      withClient(mirrored.url, async (two) => {
        await one.query('SET search_path = one');
        await two.query('SET search_path = two');
        for (let round = 0; round < 5; round++) {
          for (const client of [one, two]) {
            await client.query({ name: 'shaped', text: 'SELECT * FROM shaped' });
            // The next one is replayed on the same connection.
            await mirrored.drained();
          }
        }
      }),
    );
    const { mirrored: replayed, errors } = await mirrored.drained();
    assert.equal(replayed, 12);
    // The first that fails tells that the shape is not always the same.
    assert.ok(errors <= 1, `${errors} failed`);
  });
});

async function statement(client: Client, id: number): Promise<void> {
  const name = `insert-${id % 5}`;
  await client.query({ name, text: `INSERT INTO item VALUES ($1, 2) /* ${id % 5} */`, values: [id] });
}

async function block(client: Client, id: number): Promise<void> {
  await client.query('BEGIN');
  await client.query({ name: 'insert', text: 'INSERT INTO item VALUES ($1, $2)', values: [id, 1] });
  await client.query({ name: 'update', text: 'UPDATE item SET amount = amount + 1 WHERE id = $1', values: [id] });
  await client.query('COMMIT');
}

/** What the server logged as errors, without those that are none. */
function sqlstates(server: RunningPostgres): string[] {
  return server.log.filter((line) => /\b(ERROR|FATAL|PANIC):/.test(line)).map((line) => line.slice(0, 5));
}
