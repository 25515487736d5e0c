import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, beforeEach, describe, it } from 'node:test';

import { inReverse } from '../support/cleanup.ts';
import { Mirrored } from '../support/mirrored.ts';
import { databaseEntry } from '../support/pgmirror.ts';
import { createDatabase, withClient } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

describe('The admin database', () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;

  before(async () => {
    const source = await startWatchedPostgres(cleanup);
    mirrored = await Mirrored.start(cleanup, { source }, { schema: 'CREATE TABLE item (id integer PRIMARY KEY)' });
    const fixed = databaseEntry('fixed', source, await createDatabase(source, 'mirror'));
    await mirrored.pgmirror.reload({
      databases: [...(mirrored.files.databases ?? []), fixed],
      mirroring: [...(mirrored.files.mirroring ?? []), { source_db: 'app', destination_db: 'fixed', exposure: 0.9 }],
    });
  });

  beforeEach(async () => {
    await mirrored.pgmirror.admin('ENABLE MIRROR shadow');
    await mirrored.pgmirror.admin('RELOAD');
    await mirrored.whenMirroring();
  });

  it('moves with SET mirror_exposure all mirrors that have no exposure of their own, until the next reload', async () => {
    await mirrored.pgmirror.admin('SET mirror_exposure = 0.25');
    assert.equal((await mirrored.counts('shadow')).exposure, 0.25);
    assert.equal((await mirrored.counts('fixed')).exposure, 0.9);
    await mirrored.pgmirror.admin('RELOAD');
    assert.equal((await mirrored.counts('shadow')).exposure, 1);
  });

  it('changes with SET a key of [general], for who is there already, until the next reload', async () => {
    const { pgmirror } = mirrored;
    const shown = async (): Promise<unknown[]> => {
      const config = await pgmirror.admin('SHOW CONFIG');
      const pools = await pgmirror.admin('SHOW POOLS');
      return [
        ...['pooler_mode', 'client_idle_timeout'].map((key) => config.find((row) => row['key'] === key)?.['value']),
        pools.find((row) => row['database'] === 'app')?.['pool_mode'],
      ];
    };
    await withClient(mirrored.url, async (client) => {
      await client.query('SELECT 1');
      const [error] = await Promise.all([once(client, 'error'), pgmirror.admin('SET client_idle_timeout = 100')]);
      assert.match(String(error), /client_idle_timeout/);
    });
    await pgmirror.admin("SET pool_mode = 'statement'");
    assert.deepEqual(await shown(), ['statement', '100', 'statement']);
    await pgmirror.admin('RELOAD');
    assert.deepEqual(await shown(), ['transaction', '0', 'transaction']);
  });

  it('has with SET log_level the mirror process, too, say less and more', async () => {
    const { pgmirror } = mirrored;
    const from = pgmirror.log.lines.length;
    const isOff = (): boolean => pgmirror.log.lines.slice(from).some(({ msg }) => msg === 'mirror is disabled');
    await pgmirror.admin('SET log_level = fatal');
    await pgmirror.admin('DISABLE MIRROR shadow');
    await pgmirror.admin('SET log_level = info');
    await pgmirror.admin('ENABLE MIRROR shadow');
    await pgmirror.waitForLog(({ msg }) => msg === 'mirror is up', { from });
    assert.equal(isOff(), false);
    await pgmirror.admin('DISABLE MIRROR shadow');
    await pgmirror.waitForLog(({ msg }) => msg === 'mirror is disabled', { from });
    assert.equal(isOff(), true);
  });

  it('changes nothing with a SET that is wrong, and says why', async () => {
    const { pgmirror } = mirrored;
    await assert.rejects(pgmirror.admin('SET default_pool_size = many'), { code: '22023' });
    await assert.rejects(pgmirror.admin('SET port = 1'), { code: '55P02' });
    await assert.rejects(pgmirror.admin('SET pool = 1'), { code: '42704' });
    assert.deepEqual(await mirrored.query('SELECT 1 AS one'), [{ one: 1 }]);
  });

  it('moves one mirror with SET exposure … FOR MIRROR, whole transactions at a time', async () => {
    await withClient(mirrored.url, async (client) => {
      await client.query('BEGIN');
      await client.query('INSERT INTO item VALUES (1)');
      await mirrored.pgmirror.admin('SET exposure = 0 FOR MIRROR shadow');
      await client.query('INSERT INTO item VALUES (2)');
      await client.query('COMMIT'); // had its roll when it began
      await client.query('INSERT INTO item VALUES (3)');
      await client.query('BEGIN');
      await client.query('INSERT INTO item VALUES (4)');
      await mirrored.pgmirror.admin('SET exposure = 1 FOR MIRROR "shadow"');
      await client.query('INSERT INTO item VALUES (5)');
      await client.query('COMMIT');
      await client.query('INSERT INTO item VALUES (6)');
    });
    const counts = await mirrored.drained();
    assert.deepEqual(counts.reasons, { exposure: 2 });
    assert.equal(counts.mirrored, 2);
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item ORDER BY id'), [{ id: 1 }, { id: 2 }, { id: 6 }]);
    assert.equal((await mirrored.counts('fixed')).exposure, 0.9);
    await mirrored.pgmirror.admin('SET exposure = 0.5 FOR MIRROR fixed');
    assert.equal((await mirrored.counts('fixed')).exposure, 0.5);
    await mirrored.pgmirror.admin('RELOAD');
    assert.equal((await mirrored.counts('fixed')).exposure, 0.9, 'it holds until the next reload');
  });

  it('turns a mirror off and on with DISABLE and ENABLE MIRROR', async () => {
    await mirrored.pgmirror.admin('DISABLE MIRROR shadow');
    await mirrored.query('INSERT INTO item VALUES (7)');
    const disabled = await mirrored.drained();
    assert.equal(disabled.state, 'disabled');
    assert.deepEqual(disabled.reasons, { refused: 1 });
    assert.equal((await mirrored.counts('fixed')).state, 'up');
    await mirrored.pgmirror.admin('RELOAD');
    assert.equal((await mirrored.counts()).state, 'disabled', 'until it is enabled again');

    await mirrored.pgmirror.admin('ENABLE MIRROR shadow');
    await mirrored.whenMirroring();
    await mirrored.query('INSERT INTO item VALUES (8)');
    const enabled = await mirrored.drained();
    assert.equal(enabled.state, 'up');
    assert.deepEqual(enabled.reasons, {});
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item WHERE id IN (7, 8)'), [{ id: 8 }]);
  });

  it('forgets with RESET STATS what was counted', async () => {
    await mirrored.query('SELECT 1');
    assert.equal((await mirrored.drained()).total, 1);
    await mirrored.pgmirror.admin('RESET STATS');
    const { total, mirrored: replayed, dropped } = await mirrored.counts();
    assert.deepEqual({ total, replayed, dropped }, { total: 0, replayed: 0, dropped: 0 });
  });

  it('refuses mirrors that it does not know and shares that are none', async () => {
    const { pgmirror } = mirrored;
    await assert.rejects(pgmirror.admin('SET mirror_exposure = 1.5'), { code: '22023', message: /1\.5/ });
    await assert.rejects(pgmirror.admin('SET exposure = half FOR MIRROR shadow'), { code: '22023', message: /half/ });
    await assert.rejects(pgmirror.admin('SET exposure = 0.5 FOR MIRROR nobody'), { code: '42704', message: /nobody/ });
    await assert.rejects(pgmirror.admin('DISABLE MIRROR nobody'), { code: '42704' });
    assert.equal((await mirrored.counts()).exposure, 1);
  });
});
