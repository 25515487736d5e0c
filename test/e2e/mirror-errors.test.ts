import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';

import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { LeakWatch } from '../support/leaks.ts';
import { Mirrored } from '../support/mirrored.ts';
import { startTestPostgres, withClient } from '../support/postgres.ts';

describe('What fails on the mirror alone', () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;

  before(async () => {
    const leaks = new LeakWatch();
    cleanup.after(async () => leaks.assertNone());
    mirrored = await Mirrored.start(
      cleanup,
      { source: await startTestPostgres(cleanup) },
      {
        schema: 'CREATE TABLE item (id integer PRIMARY KEY); CREATE TABLE locked (id integer)',
        mirroring: { timeout: 300 },
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

  it('because it takes too long is cancelled there', async () => {
    await mirrored.onSource('INSERT INTO locked VALUES (1)');
    await withClient(mirrored.mirrorUrl, async (holder) => {
      await holder.query('BEGIN; LOCK TABLE locked');
      await mirrored.query('INSERT INTO locked VALUES (2)');
      const counts = await mirrored.drained();
      assert.deepEqual([counts.mirrored, counts.errors, counts.dropped], [1, 1, 0]);
      const waiting = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
      await eventually(async () => (await mirrored.onMirror(waiting)).length === 0);
      await holder.query('ROLLBACK');
    });
    await mirrored.query('INSERT INTO item VALUES (1)');
    assert.equal((await mirrored.drained()).mirrored, 2);
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM locked'), []);
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item'), [{ id: 1 }]);
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
