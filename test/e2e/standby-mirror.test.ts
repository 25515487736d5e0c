import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { QueryResultRow } from 'pg';

import { aliceEntry } from '../support/alice.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { createDatabase, query, withClient, type RunningPostgres } from '../support/postgres.ts';
import { replicationHba, startStandby } from '../support/standby.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

const schema = `
  CREATE TABLE item (id integer PRIMARY KEY, note text);
  INSERT INTO item SELECT id, 'note ' || id FROM generate_series(1, 10) id;
  CREATE SEQUENCE numbers;
  CREATE FUNCTION write_item(integer) RETURNS void LANGUAGE sql AS 'INSERT INTO item VALUES ($1)';
`;

describe('A mirror that is a hot standby of the source', () => {
  const cleanup = inReverse({ after });
  let primary: RunningPostgres;
  let standby: RunningPostgres;
  let database: string;

  before(async () => {
    primary = await startWatchedPostgres(cleanup, { hba: [replicationHba] });
    standby = await startStandby(cleanup, primary);
    database = await createDatabase(primary, 'source');
    await query(primary.url(database), schema);
    await eventually(async () => (await query(standby.url(database), 'SELECT 1 FROM item')).length === 10);
  });

  async function start(test: Cleanup, level: string): Promise<Pgmirror> {
    return Pgmirror.start(test, {
      databases: [databaseEntry('app', primary, database), databaseEntry('shadow', standby, database)],
      mirroring: [{ source_db: 'app', destination_db: 'shadow', level }],
      users: [aliceEntry],
    });
  }

  async function counts(pgmirror: Pgmirror): Promise<QueryResultRow> {
    const [row] = await pgmirror.admin('SHOW MIRRORS');
    return row ?? {};
  }

  async function until(pgmirror: Pgmirror, fits: (row: QueryResultRow) => boolean): Promise<QueryResultRow> {
    return eventually(async () => {
      const row = await counts(pgmirror);
      if (!fits(row)) throw new Error(JSON.stringify(row));
      return row;
    });
  }

  async function whenMirroring(pgmirror: Pgmirror): Promise<void> {
    await eventually(async () => {
      await query(pgmirror.url('app'), 'SELECT 1');
      return (await counts(pgmirror)).mirrored_count !== '0';
    });
    await until(pgmirror, ({ queue_length: queued }) => queued === '0');
    await pgmirror.admin('RESET STATS');
  }

  it('is refused unless it is to get reads only', async (t) => {
    const pgmirror = await start(inReverse(t), 'all');
    const { reason } = await until(pgmirror, ({ state }) => state === 'refused');
    assert.equal(reason, 'it is in recovery, and level is not "read"');
  });

  it('gets what only reads, in a block or not, and nothing of it fails there', async (t) => {
    const pgmirror = await start(inReverse(t), 'read');
    await whenMirroring(pgmirror);
    const block = (...texts: readonly string[]): readonly string[] => ['BEGIN', ...texts, 'COMMIT'];
    const reads = [
      ['SELECT * FROM item ORDER BY id'],
      ['EXPLAIN (COSTS off) DELETE FROM item'],
      ['EXPLAIN ANALYZE SELECT count(*) FROM item'],
      ['COPY (SELECT 1) TO STDOUT'],
      ["SET TimeZone = 'Asia/Tokyo'"],
      ['SHOW TimeZone'],
      block('SELECT 1', 'DECLARE c CURSOR FOR SELECT * FROM item', 'FETCH 2 FROM c', 'CLOSE c'),
      ['BEGIN READ ONLY', 'SAVEPOINT a', 'SELECT 1', 'ROLLBACK TO a', 'COMMIT'],
    ];
    const writes = [
      ['INSERT INTO item VALUES (11)'],
      ['SELECT * FROM item WHERE id = 1 FOR UPDATE'],
      ['SELECT * FROM item FOR KEY SHARE'],
      ['WITH gone AS (DELETE FROM item WHERE id = 11 RETURNING id) SELECT * FROM gone'],
      ["EXPLAIN ANALYZE UPDATE item SET note = '' WHERE id = 2"],
      ["SELECT nextval('numbers')"],
      ['SELECT pg_current_xact_id()'],
      ['SELECT lo_unlink(lo_create(0))'],
      block('LOCK TABLE item IN ROW EXCLUSIVE MODE'),
      ['CREATE TABLE more (id integer)'],
      ['SELECT 1 AS id INTO extra'],
      ['SELECT 1; INSERT INTO item VALUES (12)'],
      block('SELECT 1', "UPDATE item SET note = 'x' WHERE id = 3"),
      ['BEGIN READ WRITE', 'SELECT 1', 'COMMIT'],
      ['VACUUM item'],
    ];
    await withClient(pgmirror.url('app'), async (client) => {
      for (const texts of [...reads, ...writes]) for (const text of texts) await client.query(text);
      // Prepared ones, by what their texts do.
      for (const [index, [text = '']] of [...reads.slice(0, 1), ...writes.slice(1, 4)].entries()) {
        await client.query({ name: `p${index}`, text });
      }
    });
    const row = await until(pgmirror, ({ queue_length: queued }) => queued === '0');
    assert.deepEqual(
      { replayed: row.mirrored_count, filtered: row.filtered, errors: row.error_count, total: row.total_count },
      {
        replayed: String(reads.length + 1),
        filtered: String(writes.length + 3),
        errors: '0',
        total: String(reads.length + writes.length + 4),
      },
    );
  });

  it('keeps a function that writes from doing it there, which is counted', async (t) => {
    const pgmirror = await start(inReverse(t), 'read');
    await whenMirroring(pgmirror);
    await query(pgmirror.url('app'), 'SELECT write_item(100)');
    const row = await until(
      pgmirror,
      ({ total_count: total, queue_length: queued }) => total === '1' && queued === '0',
    );
    assert.equal(row.error_count, '1');
    assert.deepEqual(await query(primary.url(database), 'SELECT id FROM item WHERE id = 100'), [{ id: 100 }]);
  });
});
