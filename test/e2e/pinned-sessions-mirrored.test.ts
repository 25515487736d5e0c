import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';

import { inReverse } from '../support/cleanup.ts';
import { Mirrored } from '../support/mirrored.ts';
import { withClient } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

describe('A client that keeps its server connection', () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;

  before(async () => {
    const source = await startWatchedPostgres(cleanup);
    const schema = 'CREATE TABLE item (id integer PRIMARY KEY, note text)';
    const one = { pool_size: 1 }; // whoever comes between would have the connection
    mirrored = await Mirrored.start(cleanup, { source }, { schema, source: one, mirror: one });
  });

  beforeEach(async () => {
    await mirrored.onSource('TRUNCATE item');
    await mirrored.onMirror('TRUNCATE item');
    await mirrored.pgmirror.admin('SET mirror_exposure = 1');
    await mirrored.pgmirror.admin('RESET STATS');
  });

  /** Runs transactions on one connection; between any two of them another client is served. */
  async function run(...transactions: readonly (readonly string[])[]): Promise<void> {
    await withClient(mirrored.url, async (client) => {
      for (const statements of transactions) {
        for (const sql of statements) await client.query(sql);
        await mirrored.query('SELECT count(*) FROM item');
      }
    });
  }

  async function assertSame(): Promise<void> {
    const { errors, reasons } = await mirrored.drained();
    assert.deepEqual({ errors, reasons }, { errors: 0, reasons: {} });
    const rows = 'SELECT * FROM item ORDER BY id';
    const onSource = await mirrored.onSource(rows);
    assert.ok(onSource.length > 0);
    assert.deepEqual(await mirrored.onMirror(rows), onSource);
  }

  it('for a temporary table has it on the mirror, too', async () => {
    await run(
      ['CREATE TEMPORARY TABLE draft (id integer, note text)'],
      [`INSERT INTO draft VALUES (1, 'one'), (2, 'two')`],
      ['BEGIN', 'INSERT INTO item SELECT * FROM draft', 'COMMIT'],
      ['DROP TABLE draft'],
      [`INSERT INTO item VALUES (3, 'three')`],
    );
    await assertSame();
  });

  it('for a cursor WITH HOLD reads on there', async () => {
    await run(
      ['BEGIN', 'DECLARE rows CURSOR WITH HOLD FOR SELECT generate_series(1, 3)', 'COMMIT'],
      ['FETCH 1 FROM rows'],
      ['FETCH 1 FROM rows'],
      ['CLOSE rows'],
      [`INSERT INTO item VALUES (1, 'one')`],
    );
    await assertSame();
  });

  it('for an advisory lock holds it there until it lets go', async () => {
    const held = `FROM pg_locks WHERE locktype = 'advisory'
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
    await run(
      ['SELECT pg_advisory_lock(7)'],
      [`INSERT INTO item SELECT 1, count(*) ${held}`],
      ['SELECT pg_advisory_unlock(7)'],
      [`INSERT INTO item VALUES (2, 'two')`],
    );
    await assertSame();
    assert.deepEqual(await mirrored.onMirror('SELECT note FROM item WHERE id = 1'), [{ note: '1' }]);
    assert.deepEqual(await mirrored.onMirror(`SELECT 1 ${held}`), []);
  });

  it('is session_lost as long as the mirror lacks what it keeps, and mirrored again when that is gone', async () => {
    await mirrored.pgmirror.admin('SET mirror_exposure = 0');
    await withClient(mirrored.url, async (client) => {
      await client.query('CREATE TEMPORARY TABLE draft (id integer, note text)');
      await mirrored.pgmirror.admin('SET mirror_exposure = 1');
      await mirrored.pgmirror.admin('RESET STATS');
      await client.query(`INSERT INTO draft VALUES (1, 'one')`);
      await client.query('INSERT INTO item SELECT * FROM draft');
      await client.query('DROP TABLE draft');
      const { mirrored: lost, errors } = await mirrored.drained();
      assert.deepEqual({ lost, errors }, { lost: 0, errors: 0 });
      await client.query(`INSERT INTO item VALUES (2, 'two')`);
      await client.query(`INSERT INTO item VALUES (3, 'three')`);
    });
    await mirrored.drained();
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item WHERE id = 3'), [{ id: 3 }]);
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item WHERE id = 1'), []);
  });
});
