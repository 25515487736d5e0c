import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';

import { Client } from 'pg';

import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { MeddlingProxy } from '../support/meddling-proxy.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { query, type RunningPostgres } from '../support/postgres.ts';
import { replicationHba, startStandby } from '../support/standby.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

/** Where a statement ran. */
interface Place {
  readonly port: number;
  readonly readonly: string;
}

const where = `SELECT inet_server_port() AS port, current_setting('default_transaction_read_only') AS readonly`;

describe('A failover', () => {
  const cleanup = inReverse({ after });
  let primary: RunningPostgres;
  let standby: RunningPostgres;

  before(async () => {
    primary = await startWatchedPostgres(cleanup, { hba: [replicationHba] });
    await query(primary.url('postgres'), 'CREATE TABLE noted (id int)');
    standby = await startStandby(cleanup, primary);
    await eventually(async () => query(standby.url('postgres'), 'SELECT FROM noted'));
  });

  /** A pgmirror whose database is found under a name that can be made to lead elsewhere. */
  async function start(t: TestContext): Promise<{ name: MeddlingProxy; pgmirror: Pgmirror }> {
    const test = inReverse(t);
    const name = await MeddlingProxy.start(test, primary);
    const pgmirror = await Pgmirror.start(test, {
      general: { default_pool_size: 3, auth_type: 'trust' },
      databases: [{ ...databaseEntry('app', primary, 'postgres'), port: name.port }],
      users: [{ name: 'alice', database: 'app' }],
    });
    return { name, pgmirror };
  }

  async function connect(t: TestContext, pgmirror: Pgmirror): Promise<Client> {
    const client = new Client({ connectionString: pgmirror.url('app') });
    client.on('error', () => undefined);
    await client.connect();
    t.after(async () => client.end());
    return client;
  }

  async function place(client: Client): Promise<Place | undefined> {
    return (await client.query<Place>(where)).rows[0];
  }

  async function makeReadOnly(isReadOnly: boolean): Promise<void> {
    const change = isReadOnly ? 'SET default_transaction_read_only = on' : 'RESET default_transaction_read_only';
    await query(primary.url('postgres'), `ALTER SYSTEM ${change}`);
    await query(primary.url('postgres'), 'SELECT pg_reload_conf()');
    await eventually(async () => {
      const [row] = await query<Place>(primary.url('postgres'), where);
      return row?.readonly === (isReadOnly ? 'on' : 'off');
    });
  }

  it('leaves what was configured on the old server behind: it was no setting of a client', async (t) => {
    const { pgmirror } = await start(t);
    const client = await connect(t, pgmirror);
    assert.equal((await place(client))?.readonly, 'off');
    await makeReadOnly(true);
    await eventually(async () => (await place(client))?.readonly === 'on');
    await place(client);
    await makeReadOnly(false);
    await pgmirror.admin('RECONNECT');
    assert.equal((await place(client))?.readonly, 'off');
    await client.query('INSERT INTO noted VALUES (1)');
  });

  it('keeps what a client has set, on the new server, too', async (t) => {
    const { pgmirror } = await start(t);
    const client = await connect(t, pgmirror);
    await client.query('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY');
    await pgmirror.admin('RECONNECT');
    assert.equal((await place(client))?.readonly, 'on');
    const other = await connect(t, pgmirror);
    assert.equal((await place(other))?.readonly, 'off');
  });

  it('to a promoted standby while the old primary goes on, read-only: nobody is left there', async (t) => {
    const { name, pgmirror } = await start(t);
    const clients = await Promise.all([1, 2, 3, 4].map(async () => connect(t, pgmirror)));
    const ports = async (): Promise<(number | undefined)[]> =>
      Promise.all(clients.map(async (client) => (await place(client))?.port));
    assert.deepEqual(new Set(await ports()), new Set([primary.port]));

    await query(standby.url('postgres'), 'SELECT pg_promote()');
    name.leadTo(standby);
    await makeReadOnly(true);

    // The server's word comes with its next answer, and that answer is the last from there for this connection.
    const seen = [...(await ports()), ...(await ports()), ...(await ports())];
    assert.equal(seen.at(-1), standby.port, seen.join());
    for (let round = 0; round < 5; round++) assert.deepEqual(new Set(await ports()), new Set([standby.port]));
    for (const client of clients) await client.query('INSERT INTO noted VALUES (2)');
    const rows = await query(standby.url('postgres'), 'SELECT FROM noted WHERE id = 2');
    assert.equal(rows.length, clients.length);
    const servers = await pgmirror.admin<{ state: string }>('SHOW SERVERS');
    assert.equal(name.open, servers.length, 'connections to the old one are closed');
  });

  it('to another machine under the same name after the old one died: clients that come again are served there', async (t) => {
    const { name, pgmirror } = await start(t);
    name.leadTo(standby);
    const client = await connect(t, pgmirror);
    const idle = await connect(t, pgmirror);
    await client.query('BEGIN');
    assert.equal((await place(client))?.port, standby.port);
    await standby.kill('SIGQUIT');
    await makeReadOnly(false);
    name.leadTo(primary);
    await assert.rejects(client.query('SELECT 1'));
    assert.equal((await place(idle))?.port, primary.port);
    assert.equal((await place(await connect(t, pgmirror)))?.port, primary.port);
    await standby.restart();
  });
});
