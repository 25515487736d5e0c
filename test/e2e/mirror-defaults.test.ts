import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { Client } from 'pg';

import { alice } from '../support/alice.ts';
import { query } from '../support/bytes.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { Mirrored } from '../support/mirrored.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';

/** The source and the mirror have defaults of their own. */
const schema = `
  DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET TimeZone = %L', current_database(),
      CASE WHEN current_database() LIKE 'mirror%' THEN 'Asia/Tokyo' ELSE 'UTC' END);
    EXECUTE format('ALTER DATABASE %I SET IntervalStyle = %L', current_database(),
      CASE WHEN current_database() LIKE 'mirror%' THEN 'iso_8601' ELSE 'postgres' END);
  END $$;
  CREATE TABLE seen (label text PRIMARY KEY, zone text DEFAULT current_setting('TimeZone'),
    style text DEFAULT current_setting('IntervalStyle'), other text DEFAULT current_setting('statement_timeout'));
  CREATE TABLE once (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
  CREATE FUNCTION change_zone(zone text) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE format('SET TimeZone = %L', zone); END $$;`;

const SET = `SET TimeZone = 'UTC'`;
const OWN = 'Asia/Tokyo';

/** What a client does, and the time zone that its next transaction has on the mirror; on the source it is always UTC. */
const sequences: readonly (readonly [string, readonly string[]])[] = [
  [OWN, []],
  ['UTC', [SET]],
  ['UTC', [`SET TimeZone = 'Europe/Rome'`, SET]],
  ['UTC', [`SET SESSION TIME ZONE 'UTC'`]],
  ['UTC', [`SELECT set_config('TimeZone', 'UTC', false)`]],
  ['UTC', [`DO $$ BEGIN ${SET}; END $$`]],
  ['UTC', ['BEGIN', SET, 'COMMIT']],
  ['UTC', ['BEGIN', 'SAVEPOINT a', SET, 'RELEASE a', 'COMMIT']],
  ['UTC', ['BEGIN', SET, 'SAVEPOINT a', 'SELECT 1/0', 'ROLLBACK TO a', 'COMMIT']],
  ['UTC', [`${SET}; SET IntervalStyle = 'postgres'`]],
  ['UTC', [SET, 'BEGIN', `SET TimeZone = 'Europe/Rome'`, 'ROLLBACK']],
  ['UTC', [SET, `SELECT set_config('TimeZone', 'Europe/Rome', true)`]],
  ['UTC', [SET, 'BEGIN', 'RESET ALL', 'ROLLBACK']],
  ['UTC', [SET, 'RESET statement_timeout']],
  [OWN, ['BEGIN', SET, 'ROLLBACK']],
  [OWN, ['BEGIN', SET, 'SELECT 1/0', 'COMMIT']],
  [OWN, ['BEGIN', SET, 'INSERT INTO once VALUES (1), (1)', 'COMMIT -- fails']],
  [OWN, ['BEGIN', `SET LOCAL TimeZone = 'UTC'`, 'COMMIT']],
  [OWN, [`SELECT set_config('TimeZone', 'UTC', true)`]],
  [OWN, [`${SET}; SELECT 1/0`]],
  [OWN, [SET, 'RESET TimeZone']],
  [OWN, [SET, 'RESET ALL']],
  [OWN, [SET, 'DISCARD ALL']],
  [OWN, [SET, 'SET TimeZone TO DEFAULT']],
  [OWN, [SET, 'SET TIME ZONE LOCAL']],
  [OWN, [`SET TimeZone = 'Europe/Rome'`, 'RESET TimeZone']],
  [OWN, [`SELECT set_config('some.thing', 'UTC', false)`]],
  [OWN, ['BEGIN', `SET statement_timeout = '7s'`, 'COMMIT', 'RESET statement_timeout']],
];

describe('Where a mirror has other defaults than its source', () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;
  let rows = 0;

  before(async () => {
    const source = await startWatchedPostgres(cleanup);
    // One connection on each side: what a client leaves behind would be seen by the next.
    const one = { pool_size: 1 };
    mirrored = await Mirrored.start(cleanup, { source }, { schema, source: one, mirror: one });
  });

  async function connect(test: Cleanup, options = ''): Promise<Client> {
    const client = new Client({ connectionString: mirrored.url, options });
    client.on('error', () => {});
    test.after(async () => client.end());
    await client.connect();
    return client;
  }

  /** Runs the statements and then a transaction; what that saw on the mirror. */
  async function seen(client: Client, statements: readonly string[] = []): Promise<Record<string, unknown>> {
    const failures: unknown[] = [];
    for (const each of statements) await client.query(each).catch((error: unknown) => failures.push(error));
    assert.equal(failures.length, statements.filter((each) => /1\/0|fails/.test(each)).length, String(failures));
    const label = `row ${++rows}`;
    await client.query('INSERT INTO seen (label) VALUES ($1)', [label]);
    const { errors, dropped } = await mirrored.drained();
    assert.deepEqual({ errors, dropped }, { errors: 0, dropped: 0 });
    const [source] = await mirrored.onSource(`SELECT * FROM seen WHERE label = '${label}'`);
    assert.deepEqual([source?.zone, source?.style], ['UTC', 'postgres']);
    const [row] = await mirrored.onMirror(`SELECT * FROM seen WHERE label = '${label}'`);
    return row ?? {};
  }

  /** Server connections are made anew: no client has left anything in them. */
  async function afresh(): Promise<void> {
    await mirrored.pgmirror.admin('RECONNECT');
  }

  it('a client has them unless it sets something else, be it what the source has anyway', async (t) => {
    for (const [expected, statements] of sequences) {
      await afresh();
      // Once where nobody has left the source's default as a setting in the connection, and once where somebody has.
      for (const isLeft of [false, true]) {
        const test = inReverse(t);
        if (isLeft) await seen(await connect(test), [SET]);
        const { zone, other } = await seen(await connect(test), statements);
        assert.deepEqual([zone, other], [expected, '0'], `${statements.join('; ')} (${String(isLeft)})`);
      }
    }
  });

  it('what was rolled back to a savepoint was not set', async (t) => {
    await afresh();
    const client = await connect(inReverse(t));
    assert.equal((await seen(client, ['BEGIN', 'SAVEPOINT a', SET, 'ROLLBACK TO a', 'COMMIT'])).zone, OWN);
  });

  it('what a client asked for in its login holds, and is what RESET leads back to', async (t) => {
    const test = inReverse(t);
    const client = await connect(test, '-c TimeZone=UTC');
    assert.equal((await seen(await connect(test))).zone, OWN);
    assert.equal((await seen(client)).zone, 'UTC');
    for (const back of ['RESET TimeZone', 'RESET ALL', 'DISCARD ALL']) {
      assert.equal((await seen(client, [`SET TimeZone = 'Europe/Rome'`, back])).zone, 'UTC', back);
    }
  });

  it('a setting holds when its client is on another connection, which does not have it, and others do not get it', async (t) => {
    const test = inReverse(t);
    const [one, two] = [await connect(test), await connect(test)];
    await one.query(SET);
    await afresh();
    // What it does next has the session looked at.
    assert.deepEqual(await settings(one, 'BEGIN', `SET statement_timeout = '9s'`, 'COMMIT'), ['UTC', '9s']);
    assert.deepEqual(await settings(two, 'BEGIN', `SET statement_timeout = '8s'`, 'COMMIT'), [OWN, '8s']);
    assert.deepEqual(await settings(one, 'BEGIN', 'RESET TimeZone', 'COMMIT'), [OWN, '9s']);
  });

  async function settings(client: Client, ...statements: string[]): Promise<unknown[]> {
    const { zone, other } = await seen(client, statements);
    return [zone, other];
  }

  it('a setting counts for what was sent behind it', async (t) => {
    const { host, port } = mirrored.pgmirror;
    const client = await WireClient.login({ host, port }, alice);
    inReverse(t).after(async () => client.end());
    client.send(query(SET), query(`INSERT INTO seen (label) VALUES ('behind')`));
    for (let answers = 0; answers < 2; answers++) await client.readUntil('Z');
    await mirrored.drained();
    assert.deepEqual(await mirrored.onMirror(`SELECT zone FROM seen WHERE label = 'behind'`), [{ zone: 'UTC' }]);
  });

  it('does not run one client’s transactions with what a function or DO set for another', async (t) => {
    const test = inReverse(t);
    const [one, two] = [await connect(test), await connect(test)];
    await seen(two);
    await one.query(`SELECT change_zone('Europe/Rome')`);
    assert.equal((await seen(two)).zone, OWN);
    await one.query('RESET TimeZone');
    assert.equal((await seen(one)).zone, OWN);
    await one.query('DO $$ BEGIN SET statement_timeout = 6000; END $$');
    assert.equal((await seen(two)).other, '0');
    assert.equal((await seen(one)).other, '6s');
  });
});
