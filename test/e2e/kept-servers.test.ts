import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';

import { errorFields, query as queryMessage } from '../support/bytes.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { query, withClient, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';

/** The first column of the first row of an answer. */
function value(messages: Awaited<ReturnType<WireClient['query']>>): string | undefined {
  const row = messages.find(({ type }) => type === 'D')?.body;
  return row?.toString('utf8', 6, 6 + row.readInt32BE(2));
}

describe('A server connection', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
  });

  it('that is idle does not keep its database from being copied, renamed and dropped', async (t) => {
    const names = ['postgres', 'one', 'two', 'three'];
    const pgmirror = await Pgmirror.start(inReverse(t), {
      general: { auth_type: 'trust', workers: 2 },
      databases: names.map((name) => databaseEntry(name, server)),
      users: [{ name: 'alice', databases: names }],
    });
    const runs = async (database: string, sql: string): Promise<void> => {
      const client = await WireClient.login(pgmirror, { user: 'alice', database });
      client.send(queryMessage(sql));
      const [answer] = await client.readUntil('Z');
      assert.equal(answer?.type, sql.startsWith('SELECT') ? 'T' : 'C', sql);
      await client.end();
    };
    await runs('postgres', 'CREATE DATABASE one');
    // In both threads, as a rule.
    for (let time = 0; time < 6; time++) await runs('one', 'SELECT 1');
    await runs('postgres', '/* a copy */ CREATE DATABASE two TEMPLATE one');
    for (let time = 0; time < 6; time++) await runs('two', 'SELECT 1');
    await runs('postgres', 'ALTER DATABASE two RENAME TO three');
    await runs('three', 'SELECT 1');
    await runs('postgres', 'DROP DATABASE three');
    await runs('one', 'SELECT 1');
    await runs('postgres', 'DROP DATABASE one');
  });

  async function start(t: TestContext, general: object): Promise<Pgmirror> {
    return Pgmirror.start(inReverse(t), {
      general: { auth_type: 'trust', ...general },
      databases: [databaseEntry('app', server, 'postgres')],
      users: [{ name: 'alice', database: 'app' }],
    });
  }

  async function login(t: TestContext, pgmirror: Pgmirror, parameters = {}): Promise<WireClient> {
    const client = await WireClient.login(pgmirror, { user: 'alice', database: 'app', parameters });
    inReverse(t).after(async () => client.destroy());
    return client;
  }

  it('had from the login on: the client is told its process id, and cancels with it', async (t) => {
    const pgmirror = await start(t, { pooler_mode: 'session', default_pool_size: 3, workers: 2 });
    const clients = [
      await login(t, pgmirror),
      await login(t, pgmirror, { search_path: 'pg_catalog' }),
      await login(t, pgmirror, { application_name: 'third' }),
    ];
    for (const client of clients) {
      assert.equal(value(await client.query('SELECT pg_backend_pid()')), String(client.processId));
      client.send(queryMessage('SELECT pg_sleep(60)'));
      // A CancelRequest that overtakes its query finds nothing to cancel, on PostgreSQL as well.
      const asleep = `SELECT 1 FROM pg_stat_activity WHERE pid = ${client.processId} AND wait_event = 'PgSleep'`;
      await eventually(async () => (await query(server.url('postgres'), asleep)).length === 1);
      await WireClient.cancel(pgmirror, client.processId, Buffer.alloc(4, 7));
      await WireClient.cancel(pgmirror, client.processId, client.secretKey);
      assert.equal(errorFields((await client.readUntil('E')).at(-1)!).C, '57014');
      await client.readUntil('Z');
    }
    assert.equal(value(await clients[1]!.query('SHOW search_path')), 'pg_catalog');
    assert.equal(value(await clients[2]!.query('SHOW application_name')), 'third');
  });

  it('that others keep all of makes nobody wait who logs in, in whichever thread', async (t) => {
    const pgmirror = await start(t, {
      pooler_mode: 'session',
      default_pool_size: 1,
      workers: 2,
      checkout_timeout: 60_000,
    });
    const keeper = await login(t, pgmirror, { application_name: 'keeper' });
    const clients: WireClient[] = [];
    // A client without a server connection has its thread in the upper bits of its process id.
    while (new Set(clients.map(({ thread }) => thread)).size < 2) {
      assert.ok(clients.length < 40);
      clients.push(await login(t, pgmirror, { application_name: 'waiter' }));
      assert.equal(clients.at(-1)?.parameters.get('application_name'), 'waiter');
      assert.equal(clients.at(-1)?.parameters.get('server_version'), keeper.parameters.get('server_version'));
    }
    for (const client of clients) client.send(queryMessage('SHOW application_name'));
    await keeper.end();
    const served = clients.map(async (client) => {
      assert.equal(value(await client.readUntil('Z')), 'waiter');
      await client.end();
    });
    await Promise.all(served);
  });

  it('is kept for a client whose session cannot be looked at, because of a lock, and nobody waits for that for long', async (t) => {
    const pgmirror = await start(t, { default_pool_size: 1, rollback_timeout: 1_000 });
    const [one, other] = [await login(t, pgmirror), await login(t, pgmirror)];
    await withClient(server.url('postgres'), async (locker) => {
      await locker.query('BEGIN; LOCK TABLE pg_catalog.pg_settings IN ACCESS EXCLUSIVE MODE');
      assert.equal(value(await one.query("SELECT set_config('work_mem', '5MB', false)")), '5MB');
      assert.equal(value(await one.query('SHOW work_mem')), '5MB');
      assert.notEqual(value(await other.query('SHOW work_mem')), '5MB');
      assert.equal(value(await one.query('SHOW work_mem')), '5MB');
    });
  });

  for (const [what, create] of [
    ['a type', `CREATE TYPE pg_temp.mine AS ENUM ('one')`],
    ['a domain', 'CREATE DOMAIN pg_temp.mine AS integer'],
    ['an operator', 'CREATE OPERATOR pg_temp.=== (FUNCTION = int4eq, LEFTARG = integer, RIGHTARG = integer)'],
    ['a collation', 'CREATE COLLATION pg_temp.mine FROM "C"'],
    ['a function', 'CREATE FUNCTION pg_temp.mine() RETURNS integer RETURN 1'],
  ] as const) {
    it(`is kept because of ${what} in pg_temp, which nobody else sees`, async (t) => {
      const pgmirror = await start(t, { default_pool_size: 1 });
      const [one, other] = [await login(t, pgmirror), await login(t, pgmirror)];
      const mine = `SELECT count(*) FROM pg_depend
        WHERE refclassid = 'pg_namespace'::regclass AND refobjid = pg_my_temp_schema()`;
      assert.equal((await one.query(create)).length, 2);
      assert.equal(value(await other.query(mine)), '0');
      assert.notEqual(value(await one.query(mine)), '0');
    });
  }

  it('is kept because of dblink’s connections, and leaves none of them to others', async (t) => {
    const pgmirror = await start(t, { default_pool_size: 1 });
    await query(server.url('postgres'), 'CREATE EXTENSION dblink');
    const [one, other] = [await login(t, pgmirror), await login(t, pgmirror)];
    const connect = `SELECT dblink_connect('mine', '${server.url('postgres')}')`;
    await one.query('SELECT 1');
    assert.equal(value(await one.query(connect)), 'OK');
    assert.equal(value(await other.query('SELECT count(*) FROM unnest(dblink_get_connections())')), '0');
    assert.equal(value(await one.query(`SELECT * FROM dblink('mine', 'SELECT 17') AS answer (n integer)`)), '17');
    await one.end();
    for (let time = 0; time < 3; time++) {
      const next = await login(t, pgmirror);
      assert.equal(value(await next.query('SELECT count(*) FROM unnest(dblink_get_connections())')), '0');
      await next.end();
    }
  });

  it('is kept because of setseed, and what was seeded is nobody else’s', async (t) => {
    const pgmirror = await start(t, { default_pool_size: 1 });
    const [one, other] = [await login(t, pgmirror), await login(t, pgmirror)];
    const seed = 'SELECT setseed(0.5)';
    await one.query(seed);
    const first = value(await one.query('SELECT random()'));
    await one.query(seed);
    assert.notEqual(value(await other.query('SELECT random()')), first);
    assert.equal(value(await one.query('SELECT random()')), first);
    await one.query(seed);
    await one.end();
    const next = await login(t, pgmirror);
    assert.notEqual(value(await next.query('SELECT random()')), first);
    await next.end();
  });
});
