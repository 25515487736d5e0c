import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { Client } from 'pg';

import { alice } from '../support/alice.ts';
import { query } from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import { WireClient } from '../support/wire-client.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { lockAwaited, lockTable } from '../support/locks.ts';
import { Mirrored } from '../support/mirrored.ts';
import { withClient, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPair } from '../support/watched-postgres.ts';

const schema = 'CREATE TABLE item (id integer, note text); CREATE TABLE gate ()';

/** What a client does that needs its session from one transaction to the next. */
const needy: Readonly<Record<string, readonly string[]>> = {
  'temporary tables': [
    'CREATE TEMP TABLE mine (id integer)',
    'INSERT INTO mine VALUES (1), (2)',
    `INSERT INTO item SELECT id, 'temporary' FROM mine`,
    'DROP TABLE mine',
    `INSERT INTO item VALUES (9, 'free again')`,
  ],
  'advisory locks of the session': [
    'SELECT pg_advisory_lock(17)',
    `INSERT INTO item SELECT count(*), 'locks' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()`,
    'SELECT pg_advisory_unlock(17)',
    `INSERT INTO item VALUES (9, 'free again')`,
  ],
  'statements of PREPARE': [
    `PREPARE put (integer) AS INSERT INTO item VALUES ($1, 'prepared')`,
    'EXECUTE put(1)',
    'EXECUTE put(2)',
    'DEALLOCATE put',
    `INSERT INTO item VALUES (9, 'free again')`,
  ],
  'cursors WITH HOLD': [
    'BEGIN',
    'DECLARE held CURSOR WITH HOLD FOR SELECT generate_series(1, 5)',
    'COMMIT',
    'FETCH 2 FROM held',
    'MOVE 1 IN held',
    'CLOSE held',
    `INSERT INTO item VALUES (9, 'free again')`,
  ],
};

describe('A client that keeps its session has it on the mirror, too:', () => {
  const cleanup = inReverse({ after });
  let source: RunningPostgres;
  let mirror: RunningPostgres;

  before(async () => {
    [source, mirror] = await startWatchedPair(cleanup);
  });

  async function start(test: Cleanup, mirroring = {}): Promise<Mirrored> {
    // One shared connection: what is left in it would show.
    return Mirrored.start(test, { source, mirror }, { schema, mirroring, mirror: { pool_size: 1 } });
  }

  async function assertEqual(mirrored: Mirrored): Promise<void> {
    const items = 'SELECT id, note FROM item ORDER BY note, id';
    assert.deepEqual(await mirrored.onMirror(items), await mirrored.onSource(items));
  }

  async function run(client: Client, statements: readonly string[]): Promise<void> {
    for (const statement of statements) await client.query(statement);
  }

  it('connections of dblink’s, where the mirror may have them; nobody else finds them', async (t) => {
    const options = { schema: `${schema}; CREATE EXTENSION dblink`, mirroring: { allow_side_effects: true } };
    const mirrored = await Mirrored.start(inReverse(t), { source, mirror }, { ...options, mirror: { pool_size: 1 } });
    const found = `INSERT INTO item SELECT count(*), 'found' FROM unnest(dblink_get_connections())`;
    await withClient(mirrored.url, async (client) => {
      // Wherever it leads: there the same is done twice.
      await client.query(`SELECT dblink_connect('mine', '${source.url('postgres')}')`);
      await withClient(mirrored.url, async (other) => other.query(found));
      await client.query(
        `INSERT INTO item SELECT id, 'by dblink' FROM dblink('mine', 'SELECT 17') AS there (id integer)`,
      );
      await client.query('BEGIN');
      await client.query(`SELECT dblink_connect('more', '${source.url('postgres')}')`);
      await client.query('ROLLBACK');
      await client.query(found);
    });
    for (let time = 0; time < 3; time++) await mirrored.query(found);
    const { errors, reasons } = await mirrored.drained();
    assert.deepEqual({ errors, reasons }, { errors: 0, reasons: {} });
    await assertEqual(mirrored);
    const counts = await mirrored.onMirror(`SELECT id FROM item WHERE note = 'found' ORDER BY id`);
    assert.deepEqual(
      counts.map(({ id }) => id),
      [0, 0, 0, 0, 2],
    );
  });

  it('temporary tables, advisory locks, PREPARE, WITH HOLD; nobody else sees them', async (t) => {
    const mirrored = await start(inReverse(t));
    for (const statements of Object.values(needy)) {
      await withClient(mirrored.url, async (client) => {
        await withClient(mirrored.url, async (other) => {
          for (const statement of statements) {
            await client.query(statement);
            await other.query(`INSERT INTO item VALUES (0, 'other')`);
          }
        });
      });
    }
    const { errors, reasons } = await mirrored.drained();
    assert.deepEqual({ errors, reasons }, { errors: 0, reasons: {} });
    await assertEqual(mirrored);
  });

  it('and leaves nothing there that its session would have kept, where it vanished meanwhile', async (t) => {
    const test = inReverse(t);
    const mirrored = await start(test);
    const { host, port } = mirrored.pgmirror;
    const client = await WireClient.login({ host, port }, alice);
    const unlock = await lockTable(test, mirrored.sourceUrl, 'gate');
    client.send(query("CREATE TEMP TABLE item AS SELECT 1 AS id, '' AS note FROM gate"));
    await lockAwaited(mirrored.sourceUrl);
    await client.reset();
    await eventually(async () =>
      (await mirrored.pgmirror.admin('SHOW CLIENTS')).some((row) => row.state === 'leaving'),
    );
    await unlock();
    await eventually(async () => (await mirrored.counts()).total === 1);
    await mirrored.query(`INSERT INTO item VALUES (1, 'of another client')`);
    const { errors, reasons } = await mirrored.drained();
    assert.deepEqual({ errors, reasons }, { errors: 0, reasons: {} });
    await assertEqual(mirrored);
  });

  it('the roll of the transaction that pinned it holds until it is unpinned', async (t) => {
    const mirrored = await start(inReverse(t), { exposure: 0.3 });
    const outcomes = new Set<string>();
    for (let round = 0; round < 40; round++) {
      await mirrored.pgmirror.admin('RESET STATS');
      await withClient(mirrored.url, async (client) => {
        await run(client, ['CREATE TEMP TABLE mine (id integer)', 'INSERT INTO mine VALUES (1)', 'TABLE mine']);
        await run(client, ['DELETE FROM mine', 'DROP TABLE mine']);
      });
      const { total, mirrored: replayed, errors, reasons } = await mirrored.drained();
      assert.equal(total, 5);
      assert.equal(errors, 0);
      outcomes.add(JSON.stringify({ replayed, reasons }));
    }
    const all = JSON.stringify({ replayed: 5, reasons: {} });
    const none = JSON.stringify({ replayed: 0, reasons: { exposure: 5 } });
    assert.deepEqual([...outcomes].sort(), [none, all].sort(), 'all of them or none');
  });

  it('is session_lost where a transaction that it needs was dropped, until it is unpinned', async (t) => {
    const mirrored = await start(inReverse(t), { exclude_query: '(?i)secret' });
    await withClient(mirrored.url, async (client) => {
      await run(client, ['CREATE TEMP TABLE mine (id integer)', `INSERT INTO mine SELECT 1 -- secret`]);
      await run(client, ['INSERT INTO item SELECT id FROM mine', 'INSERT INTO mine VALUES (2)', 'DROP TABLE mine']);
      await run(client, [`INSERT INTO item VALUES (3, 'after')`]);
    });
    const { reasons, mirrored: replayed, errors } = await mirrored.drained();
    assert.deepEqual(
      { reasons, replayed, errors },
      { reasons: { filtered: 1, session_lost: 3 }, replayed: 2, errors: 0 },
    );
    assert.deepEqual(await mirrored.onMirror('SELECT * FROM item'), [{ id: 3, note: 'after' }]);
    assert.deepEqual(await mirrored.onMirror(`SELECT 1 FROM pg_class WHERE relname = 'mine'`), []);
  });

  it('LISTEN keeps no mirror connection, and what such a client does is mirrored', async (t) => {
    const mirrored = await start(inReverse(t));
    await withClient(mirrored.url, async (client) => {
      await run(client, ['LISTEN bell', `INSERT INTO item VALUES (1, 'heard')`, 'UNLISTEN bell']);
    });
    const { reasons, mirrored: replayed, errors } = await mirrored.drained();
    assert.deepEqual({ reasons, replayed, errors }, { reasons: { denied: 2 }, replayed: 1, errors: 0 });
    await assertEqual(mirrored);
  });
});
