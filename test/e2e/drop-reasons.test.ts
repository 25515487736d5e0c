import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';

import type { TomlTable } from 'smol-toml';

import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { lockAwaited, lockTable } from '../support/locks.ts';
import { Mirrored } from '../support/mirrored.ts';
import { query, withClient, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

const schema = 'CREATE TABLE item (id integer PRIMARY KEY, note text)';

describe('A transaction is dropped whole, and counted', () => {
  const cleanup = inReverse({ after });
  let source: RunningPostgres;

  before(async () => {
    source = await startWatchedPostgres(cleanup);
  });

  describe('within bounds that are small:', () => {
    const shared = inReverse({ after });
    const queueBytes = 100_000;
    let mirrored: Mirrored;

    before(async () => {
      mirrored = await Mirrored.start(
        shared,
        { source },
        {
          schema,
          general: { mirror_queue_bytes: queueBytes },
          mirroring: { queue_length: 5, max_transaction_size: 30_000 },
        },
      );
    });

    beforeEach(async () => {
      await mirrored.onSource('TRUNCATE item');
      await mirrored.onMirror('TRUNCATE item');
      await mirrored.pgmirror.admin('RESET STATS');
    });

    async function insert(from: number, to: number, note = ''): Promise<void> {
      await withClient(mirrored.url, async (client) => {
        for (let id = from; id <= to; id += 1) await client.query('INSERT INTO item VALUES ($1, $2)', [id, note]);
      });
    }

    it('queue_full where a client has as many waiting as it may, each client for itself', async (t) => {
      const unlock = await lockTable(inReverse(t), mirrored.mirrorUrl, 'item');
      await insert(1, 20);
      assert.deepEqual((await mirrored.counts()).reasons, { queue_full: 15 });
      await insert(21, 40);
      const { queueLength, reasons } = await mirrored.counts();
      assert.deepEqual({ queueLength, reasons }, { queueLength: 10, reasons: { queue_full: 30 } });
      await unlock();
      const { mirrored: replayed, errors } = await mirrored.drained();
      assert.deepEqual({ replayed, errors }, { replayed: 10, errors: 0 });
      const ids = [1, 2, 3, 4, 5, 21, 22, 23, 24, 25].map((id) => ({ id }));
      assert.deepEqual(await mirrored.onMirror('SELECT id FROM item ORDER BY id'), ids);
    });

    it('too_large where it is longer than max_transaction_size', async () => {
      await withClient(mirrored.url, async (client) => {
        await client.query('BEGIN');
        await client.query('INSERT INTO item VALUES ($1, $2)', [1, 'x'.repeat(16_000)]);
        await client.query('INSERT INTO item VALUES ($1, $2)', [2, 'x'.repeat(16_000)]);
        await client.query('COMMIT');
        await client.query('INSERT INTO item VALUES ($1, $2)', [3, 'x'.repeat(16_000)]);
      });
      const { reasons, mirrored: replayed } = await mirrored.drained();
      assert.deepEqual({ reasons, replayed }, { reasons: { too_large: 1 }, replayed: 1 });
      assert.deepEqual(await mirrored.onMirror('SELECT id FROM item'), [{ id: 3 }]);
    });

    it('bytes_full where mirror_queue_bytes has no room for it', async (t) => {
      const unlock = await lockTable(inReverse(t), mirrored.mirrorUrl, 'item');
      for (let id = 1; id <= 8; id += 1) await insert(id, id, 'x'.repeat(20_000));
      const { reasons, queueLength, queuedBytes } = await mirrored.counts();
      assert.deepEqual({ reasons, queueLength }, { reasons: { bytes_full: 4 }, queueLength: 4 });
      assert.ok(queuedBytes <= queueBytes, `queued_bytes is ${queuedBytes}`);
      await unlock();
      assert.equal((await mirrored.drained()).queuedBytes, 0);
      await insert(9, 9, 'x'.repeat(20_000)); // there is room again
      await mirrored.drained();
      // Both bounds are changed by a reload.
      const { mirroring: [mirroring] = [] } = mirrored.files;
      const small = [{ ...mirroring!, max_transaction_size: 10_000 }];
      await mirrored.pgmirror.reload({ general: { mirror_queue_bytes: 10_000 } });
      await insert(10, 10, 'x'.repeat(20_000));
      await mirrored.pgmirror.reload({ general: { mirror_queue_bytes: queueBytes }, mirroring: small });
      await insert(11, 11, 'x'.repeat(20_000));
      await mirrored.pgmirror.reload({ mirroring: [mirroring!] });
      await insert(12, 12, 'x'.repeat(20_000));
      assert.deepEqual((await mirrored.drained()).reasons, { bytes_full: 5, too_large: 1 });
      const ids = [1, 2, 3, 4, 9, 12].map((id) => ({ id }));
      assert.deepEqual(await mirrored.onMirror('SELECT id FROM item ORDER BY id'), ids);
    });

    it('denied where a NOTIFY cannot be left out; where it can, the rest is mirrored', async () => {
      await query(mirrored.url, 'NOTIFY bell');
      assert.deepEqual((await mirrored.drained()).reasons, { denied: 1 });
      await query(mirrored.url, `INSERT INTO item VALUES (1); NOTIFY bell`);
      assert.deepEqual((await mirrored.drained()).reasons, { denied: 2 });
      await withClient(mirrored.url, async (client) => {
        await client.query('BEGIN');
        await client.query('INSERT INTO item VALUES (2)');
        await client.query('NOTIFY bell');
        await client.query(`SELECT pg_notify('bell', $1)`, ['ring']);
        await client.query('COMMIT');
      });
      const { mirrored: replayed, errors } = await mirrored.drained();
      assert.deepEqual({ replayed, errors }, { replayed: 1, errors: 0 });
      assert.deepEqual(await mirrored.onMirror('SELECT id FROM item'), [{ id: 2 }]);
    });

    it('denied where it would reach beyond the database', async () => {
      await query(mirrored.url, `SELECT pg_reload_conf()`);
      await withClient(mirrored.url, async (client) => client.query('ALTER SYSTEM RESET ALL'));
      await query(mirrored.url, `COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'`);
      assert.deepEqual((await mirrored.drained()).reasons, { denied: 3 });
    });

    it('and the first time is in the log, with the user, for each reason once', () => {
      const lines = mirrored.pgmirror.log.lines.filter(({ msg }) =>
        msg.startsWith('the first transaction was dropped'),
      );
      const told = lines.map(({ level, source: from, destination, user, reason }) =>
        [level, from, destination, user, reason].join(' '),
      );
      const reasons = ['queue_full', 'too_large', 'bytes_full', 'denied'];
      assert.deepEqual(
        told,
        reasons.map((reason) => `40 app shadow alice ${reason}`),
      );
      const states = mirrored.pgmirror.log.lines.filter(({ msg }) => msg.startsWith('mirror is'));
      assert.deepEqual(
        states.map(({ msg }) => msg),
        ['mirror is up'],
        'that it was reached is in the log, too',
      );
    });
  });

  it('as lag where its turn comes later than max_lag', async (t) => {
    const test = inReverse(t);
    const mirrored = await start(test, {});
    const unlock = await lockTable(test, mirrored.mirrorUrl, 'item');
    const { mirroring: [mirroring] = [] } = mirrored.files;
    const maxLag = 300;
    await withClient(mirrored.url, async (client) => {
      await client.query('INSERT INTO item VALUES (1)');
      await lockAwaited(mirrored.mirrorUrl);
      await mirrored.pgmirror.reload({ mirroring: [{ ...mirroring!, max_lag: maxLag }] });
      for (let id = 2; id <= 5; id += 1) await client.query(`INSERT INTO item VALUES (${id})`);
    });
    const { lagMs } = await mirrored.counts(); // of the first, which ended before the others
    await eventually(async () => (await mirrored.counts()).lagMs > lagMs + 2 * maxLag);
    await unlock();
    const { reasons, mirrored: replayed } = await mirrored.drained();
    assert.deepEqual({ reasons, replayed }, { reasons: { lag: 4 }, replayed: 1 });
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item'), [{ id: 1 }]);
  });

  it('as no_user where nobody is known to log in to the mirror as; others are not concerned', async (t) => {
    const mirrored = await start(inReverse(t), {});
    const [app = {}, shadow = {}] = mirrored.files.databases ?? [];
    const { user, password, ...anonymous } = shadow;
    assert.ok(user !== undefined && password !== undefined);
    const alice = { name: 'alice', password: 'alice-password' };
    await mirrored.pgmirror.reload({
      databases: [app, anonymous],
      users: [
        { ...alice, database: 'app' },
        { ...alice, database: 'shadow', server_user: user, server_password: password },
        { name: 'bob', database: 'app', password: 'bob-password' },
      ],
    });
    await mirrored.whenMirroring();
    await query(mirrored.pgmirror.url('app', 'bob'), 'INSERT INTO item VALUES (1)');
    await query(mirrored.pgmirror.url('app', 'alice'), 'INSERT INTO item VALUES (2)');
    const { reasons, mirrored: replayed, total } = await mirrored.drained();
    assert.deepEqual({ reasons, replayed, total }, { reasons: { no_user: 1 }, replayed: 1, total: 2 });
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item'), [{ id: 2 }]);
  });

  async function start(test: Cleanup, mirroring: TomlTable): Promise<Mirrored> {
    return Mirrored.start(test, { source }, { schema, mirroring });
  }
});
