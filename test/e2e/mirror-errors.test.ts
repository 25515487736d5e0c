import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';

import { freePort } from '../../src/cli/embedded/free-port.ts';

import { alice } from '../support/alice.ts';
import { query } from '../support/bytes.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { askMirrors } from '../support/http.ts';
import { lockAwaited } from '../support/locks.ts';
import { Mirrored } from '../support/mirrored.ts';
import { withClient, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';

describe('What fails on the mirror alone', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;
  let mirrored: Mirrored;

  before(async () => {
    server = await startWatchedPostgres(cleanup, { settings: { deadlock_timeout: '100ms' } });
    mirrored = await Mirrored.start(
      cleanup,
      { source: server },
      {
        schema: 'CREATE TABLE item (id integer PRIMARY KEY); CREATE TABLE locked (id integer)',
      },
    );
    await mirrored.onSource('CREATE TABLE missing (id integer)');
  });

  beforeEach(async () => {
    await mirrored.onSource('TRUNCATE item');
    await mirrored.onMirror('TRUNCATE item');
    await mirrored.pgmirror.admin('RESET STATS');
  });

  it('is counted and ignored where it stands by itself', async () => {
    await withClient(mirrored.url, async (client) => {
      await client.query('INSERT INTO missing VALUES (1)');
      await client.query('INSERT INTO item VALUES (1)');
      await client.query('INSERT INTO missing VALUES ($1)', [2]);
      await client.query('INSERT INTO item VALUES ($1)', [2]);
    });
    const counts = await mirrored.drained();
    assert.deepEqual([counts.mirrored, counts.errors, counts.dropped], [4, 2, 0]);
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item ORDER BY id'), [{ id: 1 }, { id: 2 }]);
  });

  it('ends its block there in ROLLBACK, savepoint or not', async () => {
    await withClient(mirrored.url, async (client) => {
      await client.query('BEGIN');
      await client.query('INSERT INTO item VALUES (1)');
      await client.query('SAVEPOINT s');
      await client.query('INSERT INTO missing VALUES (1)');
      await client.query('ROLLBACK TO s');
      await client.query('INSERT INTO item VALUES (2)');
      await client.query('COMMIT');
      await client.query('INSERT INTO item VALUES (3)');
    });
    const counts = await mirrored.drained();
    assert.deepEqual([counts.mirrored, counts.errors, counts.dropped], [2, 1, 0]);
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item'), [{ id: 3 }]);
    assert.deepEqual(await mirrored.onSource('SELECT count(*)::int AS count FROM item'), [{ count: 3 }]);
  });

  it('holds up nobody, however much of its block comes behind', async (t) => {
    const client = await WireClient.login(mirrored.pgmirror, alice);
    inReverse(t).after(async () => client.destroy());
    for (const text of ['BEGIN', 'INSERT INTO item VALUES (1)', 'INSERT INTO missing VALUES (1)'])
      await client.query(text);
    const requests = 8_000;
    client.send(...Array.from({ length: requests }, () => query('SELECT 1')));
    for (let answered = 0; answered < requests; answered += 1) await client.readUntil('Z');
    await client.query('COMMIT');
    await mirrored.query('INSERT INTO item VALUES (2)');
    // It is work for the mirror process, which gives way to all that keeps a machine busy.
    const { mirrored: replayed, errors } = await mirrored.drained({ timeoutMs: 100_000 });
    assert.deepEqual([replayed, errors], [2, 1]);
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item'), [{ id: 2 }]);
  });

  it('because it takes too long is cancelled there', async () => {
    const { mirroring = [] } = mirrored.files;
    await mirrored.pgmirror.reload({ mirroring: mirroring.map((one) => ({ ...one, timeout: 300 })) });
    await mirrored.onSource('INSERT INTO locked VALUES (1)');
    await withClient(mirrored.mirrorUrl, async (holder) => {
      await holder.query('BEGIN; LOCK TABLE locked');
      await mirrored.query('INSERT INTO locked VALUES (2)');
      const counts = await mirrored.drained();
      assert.deepEqual([counts.mirrored, counts.errors, counts.dropped], [1, 1, 0]);
      await lockAwaited(mirrored.mirrorUrl, 0);
      await holder.query('ROLLBACK');
    });
    await mirrored.pgmirror.reload({ mirroring });
    await mirrored.query('INSERT INTO item VALUES (1)');
    assert.equal((await mirrored.drained()).mirrored, 2);
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM locked'), []);
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item'), [{ id: 1 }]);
  });

  it('because two clients lock each other out there is rolled back whole, and nobody is told that the mirror is wrong', async (t) => {
    const port = await freePort();
    const mirror = await Mirrored.start(
      inReverse(t),
      { source: server },
      {
        schema: `CREATE TABLE account (name text PRIMARY KEY, amount integer);
          INSERT INTO account VALUES ('a', 0), ('b', 0), ('door of one', 0), ('door of two', 0)`,
        general: { http_port: port },
        mirroring: { compare: true },
      },
    );
    const change = async (amount: number, ...names: readonly string[]): Promise<void> =>
      withClient(mirror.url, async (client) => {
        await client.query('BEGIN');
        for (const name of names) {
          await client.query('UPDATE account SET amount = amount + $1 WHERE name = $2', [amount, name]);
        }
        await client.query('COMMIT');
      });
    // On the source one after the other; on the mirror both are held up amid their blocks, and then let go.
    await withClient(mirror.mirrorUrl, async (holder) => {
      await holder.query("BEGIN; SELECT FROM account WHERE name LIKE 'door%' FOR UPDATE");
      await change(1, 'a', 'door of one', 'b');
      await change(10, 'b', 'door of two', 'a');
      await lockAwaited(mirror.mirrorUrl, 2);
      await holder.query('ROLLBACK');
    });
    const { mirrored: finished, errors, dropped } = await mirror.drained();
    assert.deepEqual({ finished, errors, dropped }, { finished: 2, errors: 1, dropped: 0 });
    const amounts = await mirror.onMirror<{ amount: number }>('SELECT amount FROM account ORDER BY name');
    const [left] = amounts;
    assert.ok(left?.amount === 1 || left?.amount === 10);
    assert.deepEqual(amounts.filter(({ amount }) => amount === left.amount).length, 3, 'one of them, whole');

    // What reads them finds something else than on the source, and it is known why.
    await mirror.query('SELECT sum(amount) FROM account');
    await mirror.drained();
    const summary = await eventually(async () => {
      const [found] = await askMirrors(port);
      return (found?.comparison.unverified ?? 0) > 0 ? found : undefined;
    });
    assert.deepEqual(summary.errors, { '40P01': 1 });
    assert.equal(summary.comparison.mismatch, 0);
  });

  it('is told by outcome when pgmirror stops', async () => {
    await mirrored.query('INSERT INTO missing VALUES (3)');
    await mirrored.query('INSERT INTO item VALUES (3)');
    await mirrored.drained();
    assert.equal(await mirrored.pgmirror.stop(), 0);
    const line = mirrored.pgmirror.log.lines.find(({ msg }) => msg === 'mirrored');
    assert.ok(line !== undefined);
    const { total, replayed, failed, timedOut, dropped } = line;
    assert.deepEqual(
      { total, replayed, failed, timedOut, dropped },
      { total: 2, replayed: 1, failed: 1, timedOut: 0, dropped: 0 },
    );
  });
});
