import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';

import type { TomlTable } from 'smol-toml';

import { errorFields, query as queryMessage } from '../support/bytes.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { MeddlingProxy } from '../support/meddling-proxy.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { query, type RunningPostgres } from '../support/postgres.ts';
import { ScriptedPostgres, waitForClose } from '../support/scripted-postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';

describe('Clients that need a server connection', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
    await query(server.url('postgres'), 'CREATE TABLE served (id serial, who text)');
  });

  async function start(
    t: TestContext,
    { general = {}, database = {}, users }: { general?: TomlTable; database?: TomlTable; users?: TomlTable[] } = {},
  ): Promise<Pgmirror> {
    return Pgmirror.start(inReverse(t), {
      general: { auth_type: 'trust', default_pool_size: 1, checkout_timeout: 20_000, ...general },
      databases: [{ ...databaseEntry('app', server, 'postgres'), ...database }],
      users: users ?? [{ name: 'alice', database: 'app' }],
    });
  }

  async function login(t: TestContext, { host, port }: Pgmirror, user = 'alice'): Promise<WireClient> {
    const client = await WireClient.login({ host, port }, { user, database: 'app' });
    t.after(async () => client.destroy());
    return client;
  }

  async function untilWaiting(pgmirror: Pgmirror, count: number): Promise<void> {
    await eventually(async () => {
      const [pool] = await pgmirror.admin<{ cl_waiting: number }>('SHOW POOLS');
      if (pool?.cl_waiting !== count) throw new Error(`${pool?.cl_waiting} clients wait`);
      return true;
    });
  }

  /** Has each ask for a connection that somebody else holds, one after the other. */
  async function queueUp(t: TestContext, pgmirror: Pgmirror, names: readonly string[]): Promise<WireClient[]> {
    const clients: WireClient[] = [];
    for (const name of names) {
      const client = await login(t, pgmirror);
      client.send(queryMessage(`INSERT INTO served (who) VALUES ('${name}')`));
      clients.push(client);
      await untilWaiting(pgmirror, clients.length);
    }
    return clients;
  }

  async function served(): Promise<string[]> {
    const rows = await query<{ who: string }>(server.url('postgres'), 'SELECT who FROM served ORDER BY id');
    await query(server.url('postgres'), 'TRUNCATE served');
    return rows.map(({ who }) => who);
  }

  it('are served in the order in which they asked', async (t) => {
    const pgmirror = await start(t);
    const holder = await login(t, pgmirror);
    await holder.query('BEGIN');
    const names = ['a', 'b', 'c', 'd', 'e'];
    const clients = await queueUp(t, pgmirror, names);
    await holder.query('COMMIT');
    for (const client of clients) await client.expect('C', 'Z');
    assert.deepEqual(await served(), names);
  });

  it('leave the queue when they are cancelled, and the others move up', async (t) => {
    const pgmirror = await start(t);
    const holder = await login(t, pgmirror);
    await holder.query('BEGIN');
    const [first, cancelled, last] = await queueUp(t, pgmirror, ['first', 'cancelled', 'last']);
    assert.ok(first && cancelled && last);
    await WireClient.cancel(pgmirror, cancelled.processId, cancelled.secretKey);
    const [error] = await cancelled.expect('E', 'Z');
    assert.deepEqual(error && errorFields(error).C, '57014');
    await untilWaiting(pgmirror, 2);
    await holder.query('COMMIT');
    for (const client of [first, last]) await client.expect('C', 'Z');
    assert.equal((await cancelled.query('SELECT 1')).length, 4, 'who was cancelled may ask again');
    assert.deepEqual(await served(), ['first', 'last']);
  });

  it('leave the queue when their connections break, and the others move up', async (t) => {
    const pgmirror = await start(t);
    const holder = await login(t, pgmirror);
    await holder.query('BEGIN');
    const [, broken, last] = await queueUp(t, pgmirror, ['a', 'b', 'c']);
    broken?.socket.resetAndDestroy();
    await untilWaiting(pgmirror, 2);
    await holder.query('COMMIT');
    await last?.expect('C', 'Z');
    assert.deepEqual(await served(), ['a', 'c']);
  });

  it('are served with all that they sent meanwhile, also where they send no more', async (t) => {
    const pgmirror = await start(t);
    const holder = await login(t, pgmirror);
    await holder.query('BEGIN');
    const [first, second] = await queueUp(t, pgmirror, ['a', 'b']);
    for (const client of [first, second]) {
      for (const who of ['c', 'd']) client?.send(queryMessage(`INSERT INTO served (who) VALUES ('${who}')`));
    }
    second?.socket.end();
    await holder.query('COMMIT');
    for (const client of [first, second]) await client?.expect('C', 'Z', 'C', 'Z', 'C', 'Z');
    await second?.closed;
    assert.deepEqual((await served()).toSorted(), ['a', 'b', 'c', 'c', 'd', 'd']);
  });

  it('behind PAUSE are served at RESUME though they send no more, unless their connections broke', async (t) => {
    const pgmirror = await start(t);
    const [closed, broken] = [await login(t, pgmirror), await login(t, pgmirror)];
    await pgmirror.admin('PAUSE app');
    closed.send(queryMessage("INSERT INTO served (who) VALUES ('closed')"));
    broken.send(queryMessage("INSERT INTO served (who) VALUES ('broken')"));
    await untilWaiting(pgmirror, 2);
    closed.socket.end();
    broken.socket.resetAndDestroy();
    await untilWaiting(pgmirror, 1);
    await pgmirror.admin('RESUME app');
    await closed.expect('C', 'Z');
    await closed.closed;
    assert.deepEqual(await served(), ['closed']);
  });

  it('get one that is idle in another thread', async (t) => {
    const pgmirror = await start(t, { general: { workers: 2 } });
    const clients: WireClient[] = [];
    while (new Set(clients.map(({ thread }) => thread)).size < 2) {
      assert.ok(clients.length < 40);
      clients.push(await login(t, pgmirror));
    }
    const [one, other] = [clients[0], clients.at(-1)];
    for (let round = 0; round < 5; round += 1) {
      for (const client of [one, other]) assert.equal((await client?.query('SELECT 1'))?.length, 4);
    }
    const sessions = `SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`;
    await eventually(async () => (await query(server.url('postgres'), sessions)).length === 1);
  });

  it('and keep it are bounded by pinned_pool_size: one more is told so when its transaction ends', async (t) => {
    const pgmirror = await start(t, { general: { default_pool_size: 2, pinned_pool_size: 1 } });
    const [keeper, late] = [await login(t, pgmirror), await login(t, pgmirror)];
    await keeper.query('CREATE TEMP TABLE mine (id int)');
    late.send(queryMessage('CREATE TEMP TABLE mine (id int)'));
    const messages = await late.readUntil('E');
    const { S, C, M = '' } = errorFields(messages.at(-1)!);
    assert.deepEqual([S, C], ['FATAL', '53300']);
    assert.match(M, /pinned_pool_size/);
    await late.waitForClose();
    assert.equal((await keeper.query('SELECT FROM mine')).length, 3);
    await keeper.end();
    const next = await login(t, pgmirror);
    // What was kept for somebody who has gone counts until nothing of it is left.
    await eventually(async () => (await pgmirror.admin('SHOW SERVERS')).every(({ state }) => state === 'idle'));
    assert.equal((await next.query('CREATE TEMP TABLE mine (id int)')).length, 2);
    assert.equal((await next.query('SELECT FROM mine')).length, 3);
  });

  it('have the mode and the number of connections of their database, and of their user before that', async (t) => {
    const pgmirror = await start(t, {
      database: { pooler_mode: 'statement', pool_size: 1 },
      users: [
        { name: 'alice', database: 'app' },
        { name: 'bob', database: 'app', pooler_mode: 'session', pool_size: 2 },
      ],
    });
    const alice = await login(t, pgmirror);
    alice.send(queryMessage('BEGIN'));
    assert.equal(errorFields((await alice.readUntil('E')).at(-1)!).C, '25001');
    const bobs = [await login(t, pgmirror, 'bob'), await login(t, pgmirror, 'bob')];
    for (const bob of bobs) await bob.query('SELECT 1');
    const third = await login(t, pgmirror, 'bob');
    third.send(queryMessage('SELECT 1'));
    await eventually(async () => {
      const pools = await pgmirror.admin<{ user: string; cl_waiting: number; pool_mode: string }>('SHOW POOLS');
      const pool = pools.find(({ user }) => user === 'bob');
      return pool?.cl_waiting === 1 && pool.pool_mode === 'session';
    });
    await bobs[0]?.end();
    await third.expect('T', 'D', 'C', 'Z');
  });

  it('are told in time when a server takes connections and says nothing (connect_timeout)', async (t) => {
    const silent = await ScriptedPostgres.start(inReverse(t), [waitForClose()]);
    const pgmirror = await start(t, { general: { connect_timeout: 300 }, database: { port: silent.port } });
    await assert.rejects(login(t, pgmirror), /08006 .*no connection within \d+ ms/);
  });

  it('do not get one whose last transaction cannot be rolled back in time (rollback_timeout)', async (t) => {
    const proxy = await MeddlingProxy.start(inReverse(t), server);
    const pgmirror = await start(t, { general: { rollback_timeout: 300 }, database: { port: proxy.port } });
    const client = await login(t, pgmirror);
    await client.query('BEGIN');
    const [old] = await pgmirror.admin<{ remote_pid: number }>('SHOW SERVERS');
    proxy.stall('toClient');
    await client.destroy();
    await eventually(async () => (await pgmirror.admin('SHOW SERVERS')).length === 0);
    proxy.resume();
    const next = await login(t, pgmirror);
    assert.equal((await next.query('SELECT 1')).length, 4);
    const [now] = await pgmirror.admin<{ remote_pid: number }>('SHOW SERVERS');
    assert.notEqual(now?.remote_pid, old?.remote_pid);
  });
});
