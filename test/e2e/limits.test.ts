import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { after, before, describe, it, type TestContext } from 'node:test';

import type { TomlTable } from 'smol-toml';

import { bind, errorFields, execute, parse, query as queryMessage, startup, sync } from '../support/bytes.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually, within } from '../support/eventually.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { skipWithoutProc } from '../support/processes.ts';
import { runProgram, skipWithout } from '../support/programs.ts';
import { query, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';
import { copyData, copyDone } from './wire/copy-messages.ts';

describe('A limit', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
    await query(server.url('postgres'), 'CREATE TABLE noted (id int)');
  });

  async function start(t: TestContext, general: TomlTable): Promise<Pgmirror> {
    // Those of the one before may be on their way out.
    await eventually(async () => (await connections()).length === 0);
    return Pgmirror.start(inReverse(t), {
      general: { auth_type: 'trust', default_pool_size: 1, checkout_timeout: 20_000, ...general },
      databases: [databaseEntry('app', server, 'postgres'), databaseEntry('other', server, 'template1')],
      users: [
        { name: 'alice', database: 'app' },
        { name: 'bob', database: 'app' },
      ],
    });
  }

  async function login(t: TestContext, { host, port }: Pgmirror, user = 'alice'): Promise<WireClient> {
    const client = await WireClient.login({ host, port }, { user, database: 'app' });
    t.after(async () => client.destroy());
    return client;
  }

  /** Process ids of pgmirror's connections. */
  const connections = async (): Promise<number[]> => {
    const sql = `SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY pid`;
    return (await query<{ pid: number }>(server.url('postgres'), sql)).map(({ pid }) => pid);
  };

  async function expectFatal(client: WireClient, code: string, setting: string): Promise<void> {
    const message = await client.read();
    const { S, C, M } = errorFields(message);
    assert.deepEqual([S, C, M], ['FATAL', code, `terminating connection due to ${setting}`]);
    await client.waitForClose();
  }

  it('query_timeout ends a statement and its client, and frees the server', async (t) => {
    const pgmirror = await start(t, { query_timeout: 300 });
    const client = await login(t, pgmirror);
    client.send(queryMessage('SELECT pg_sleep(60)'));
    await expectFatal(client, '57014', 'query_timeout');
    await pgmirror.admin('SET query_timeout = 0');
    assert.equal((await (await login(t, pgmirror)).query('SELECT 1')).length, 4);
  });

  it('client_idle_timeout ends who asks nothing', async (t) => {
    const client = await WireClient.connect(await start(t, { client_idle_timeout: 300 }));
    t.after(async () => client.destroy());
    // In one write with the login: behind that it could come too late.
    client.send(startup({ user: 'alice', database: 'app' }), queryMessage('SELECT 1'));
    for (let answers = 0; answers < 2; answers++) await client.readUntil('Z');
    await expectFatal(client, '57P05', 'client_idle_timeout');
  });

  it('client_idle_in_transaction_timeout ends who asks nothing in a transaction, which is rolled back', async (t) => {
    const pgmirror = await start(t, { client_idle_in_transaction_timeout: 300 });
    const client = await login(t, pgmirror);
    await client.query('BEGIN; INSERT INTO noted VALUES (1)');
    await expectFatal(client, '25P03', 'client_idle_in_transaction_timeout');
    const other = await login(t, pgmirror);
    assert.equal((await other.query('SELECT 1 FROM noted')).filter(({ type }) => type === 'D').length, 0);
  });

  it('checkout_timeout fails the request of who waited for a server, and no more', async (t) => {
    const pgmirror = await start(t, {});
    const [holder, waiting] = [await login(t, pgmirror), await login(t, pgmirror)];
    await holder.query('BEGIN');
    await pgmirror.admin('SET checkout_timeout = 300');
    const [error] = await waiting.query('SELECT 1');
    assert.deepEqual([error && errorFields(error).S, error && errorFields(error).C], ['ERROR', '53300']);
    await pgmirror.admin('SET checkout_timeout = 20000');
    await holder.query('COMMIT');
    assert.equal((await waiting.query('SELECT 1')).length, 4);
  });

  it('idle_timeout closes a server connection that nobody uses, server_lifetime one that is old', async (t) => {
    for (const general of [{ idle_timeout: 300 }, { server_lifetime: 300, idle_timeout: 0 }]) {
      const pgmirror = await start(t, general);
      const client = await login(t, pgmirror);
      await client.query('SELECT 1');
      await eventually(async () => (await connections()).length === 0, { what: 'the connection to be closed' });
      assert.equal((await client.query('SELECT 1')).length, 4);
      await client.end();
      await pgmirror.stop();
    }
  });

  it('min_pool_size is kept from the start, whatever is killed', async (t) => {
    await start(t, { default_pool_size: 3, min_pool_size: 2 });
    const kept = await eventually(async () => {
      const found = await connections();
      return found.length === 4 && found; // of alice and of bob
    });
    await query(server.url('postgres'), `SELECT pg_terminate_backend(${kept[0]})`);
    await eventually(async () => {
      const now = await connections();
      return now.length === 4 && !now.includes(kept[0] ?? 0);
    });
  });

  it('healthcheck_interval keeps a server that is gone from the next client', async (t) => {
    const pgmirror = await start(t, { healthcheck_interval: 1 });
    const client = await login(t, pgmirror);
    for (let round = 0; round < 10; round += 1) {
      assert.equal((await client.query('SELECT 1')).length, 4);
      const pids = await connections();
      await query(
        server.url('postgres'),
        `SELECT pg_terminate_backend(pid, 5000) FROM unnest('{${pids.join()}}'::int[]) pid`,
      );
    }
  });

  it('max_db_connections holds for all users together, and nobody starves', async (t) => {
    const pgmirror = await start(t, { max_db_connections: 1 });
    const clients = [await login(t, pgmirror, 'alice'), await login(t, pgmirror, 'bob')];
    for (let round = 0; round < 5; round += 1) {
      for (const client of clients) {
        assert.equal((await client.query('SELECT 1')).length, 4);
        // One that pgmirror has closed may still be on its way out.
        await eventually(async () => (await connections()).length === 1);
      }
    }
  });

  it('max_db_connections: who waits gets the connection that another user’s transaction had', async (t) => {
    const pgmirror = await start(t, { max_db_connections: 1 });
    const [alice, bob] = [await login(t, pgmirror, 'alice'), await login(t, pgmirror, 'bob')];
    await alice.query('BEGIN');
    bob.send(queryMessage('SELECT 2'));
    await eventually(async () => {
      const pools = await pgmirror.admin<{ user: string; cl_waiting: number }>('SHOW POOLS');
      return pools.find(({ user }) => user === 'bob')?.cl_waiting === 1;
    });
    await alice.query('COMMIT');
    await bob.expect('T', 'D', 'C', 'Z');
  });

  const skip = skipWithout('prlimit');
  it('of the system on open files is told when it is reached, and when it is not any more', { skip }, async (t) => {
    const pgmirror = await start(t, {});
    const limited = async (files: number | string): Promise<void> => {
      const { status, stderr } = await runProgram('prlimit', [`--pid=${pgmirror.processId}`, `--nofile=${files}:`]);
      assert.equal(status, 0, stderr);
    };
    const earlier = await login(t, pgmirror);
    await earlier.query('SELECT 1');
    const open = new Set((await readdir(`/proc/${pgmirror.processId}/fd`)).map(Number));
    let free = 0;
    while (open.has(free)) free += 1;
    await limited(free + 3);
    const isHungUpOn = async (): Promise<boolean> => {
      const late = await WireClient.connect(pgmirror);
      t.after(async () => late.destroy());
      return late.logIn({ user: 'alice', database: 'app' }).then(
        () => false,
        () => true,
      );
    };
    await eventually(isHungUpOn, { intervalMs: 1 });
    const { level } = await pgmirror.waitForLog(
      ({ msg, reason }) => msg.startsWith('no more files') && reason === 'EMFILE',
    );
    assert.equal(level, 50);
    assert.equal((await earlier.query('SELECT 1')).length, 4);
    await limited(1_000);
    await pgmirror.waitForLog(({ msg }) => msg === 'files can be opened again');
    await (await login(t, pgmirror)).query('SELECT 1');
  });

  it('prepared_statements_bytes bounds the texts of one client', async (t) => {
    const client = await login(t, await start(t, { prepared_statements_bytes: 2_000 }));
    client.send(parse('small', 'SELECT 1'), parse('large', `SELECT '${'x'.repeat(3_000)}'`), sync);
    const error = (await client.readUntil('Z')).find(({ type }) => type === 'E');
    assert.equal(error && errorFields(error).C, '54000');
    assert.equal((await client.query('SELECT 1')).length, 4);
  });

  for (const [letter, length] of [
    ['x', 9_000_000],
    ['ä', 1_100_000],
  ] as const) {
    it(`a setting of ${length} letters ${letter} is more than is kept for a client, which is told so`, async (t) => {
      const client = await login(t, await start(t, {}));
      client.send(queryMessage(`SELECT set_config('my.key', repeat('${letter}', ${length}), false) IS NULL`));
      const [, , , , error] = await client.expect('T', 'D', 'C', 'Z', 'E');
      assert.equal(error && errorFields(error).C, '54000');
    });
  }

  it('max_pipeline_depth makes a client wait, and answers it all', async (t) => {
    const client = await login(t, await start(t, { max_pipeline_depth: 5 }));
    const segment = Buffer.concat([parse('', 'SELECT 1'), bind('', ''), execute(''), sync]);
    client.send(Buffer.concat(Array.from({ length: 500 }, () => segment)));
    for (let answered = 0; answered < 500; answered += 1) {
      assert.deepEqual(
        (await client.readUntil('Z')).map(({ type }) => type),
        ['1', '2', 'D', 'C', 'Z'],
      );
    }
  });

  it('max_pipeline_depth does not count what belongs to a COPY under way', async (t) => {
    const client = await login(t, await start(t, { max_pipeline_depth: 1 }));
    client.send(queryMessage('COPY noted FROM STDIN'), copyData('1\n'), sync, copyData('2\n'), copyDone);
    await client.expect('G', 'C', 'Z');
    assert.equal((await client.query('DELETE FROM noted')).length, 2);
  });

  it(
    'is the operating system’s for a client whose machine is gone: keepalive',
    { skip: skipWithoutProc },
    async (t) => {
      const pgmirror = await start(t, {});
      await login(t, pgmirror);
      const port = `:${pgmirror.port.toString(16).toUpperCase().padStart(4, '0')}`;
      const timer = await eventually(async () => {
        const sockets = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/));
        // Local address, remote address, state (01 is established), queues, timer (00: there is none).
        const found = sockets.filter(([, local, , state]) => local?.endsWith(port) && state === '01');
        return found.length === 1 && found[0]?.[5]?.startsWith('02:');
      });
      assert.ok(timer);
    },
  );

  it('statement mode ends who begins a block', async (t) => {
    const client = await login(t, await start(t, { pooler_mode: 'statement' }));
    assert.equal((await client.query('SELECT 1')).length, 4);
    client.send(queryMessage('BEGIN'));
    const messages = [await client.read()];
    while (messages.at(-1)?.type !== 'E') messages.push(await client.read());
    assert.equal(errorFields(messages.at(-1)!).C, '25001');
    await client.waitForClose();
  });

  describe('of an operator:', () => {
    it('PAUSE waits for transactions and holds clients, with no connection to the server, RESUME lets them go', async (t) => {
      const pgmirror = await start(t, { default_pool_size: 2, min_pool_size: 1 });
      const [busy, held] = [await login(t, pgmirror), await login(t, pgmirror)];
      await busy.query('BEGIN');
      let paused = false;
      const pausing = pgmirror.admin('PAUSE app').then(() => (paused = true));
      await eventually(async () => {
        const [row] = await pgmirror.admin<{ paused: number }>('SHOW DATABASES');
        return row?.paused === 1;
      });
      held.send(queryMessage('SELECT 2'));
      assert.equal((await busy.query('SELECT 1')).length, 4, 'a transaction that runs goes on');
      assert.equal(paused, false);
      await busy.query('COMMIT');
      await within(pausing, 10_000, 'PAUSE to be answered');
      assert.equal(held.unread.length, 0);
      await eventually(async () => (await connections()).length === 0);
      await pgmirror.admin('RESUME app');
      await held.expect('T', 'D', 'C', 'Z');
    });

    it('SIGUSR1 and SIGUSR2 are PAUSE and RESUME, as PgBouncer has it', async (t) => {
      const pgmirror = await start(t, { workers: 2 });
      const client = await login(t, pgmirror);
      const paused = async (expected: number): Promise<void> => {
        await eventually(async () => {
          const rows = await pgmirror.admin<{ name: string; paused: number }>('SHOW DATABASES');
          return rows.find(({ name }) => name === 'app')?.paused === expected;
        });
      };
      pgmirror.kill('SIGUSR1');
      await paused(1);
      client.send(queryMessage('SELECT 1'));
      pgmirror.kill('SIGUSR2');
      await paused(0);
      await client.expect('T', 'D', 'C', 'Z');
    });

    it('PAUSE that is cancelled is undone', async (t) => {
      const pgmirror = await start(t, { default_pool_size: 2, workers: 2 });
      const [busy, held] = [await login(t, pgmirror), await login(t, pgmirror)];
      await busy.query('BEGIN');
      const admin = await WireClient.login(pgmirror, {
        user: 'admin',
        database: 'pgmirror',
        password: 'admin-password',
      });
      t.after(async () => admin.destroy());
      const paused = async (): Promise<boolean> =>
        (await pgmirror.admin<{ paused: number }>('SHOW DATABASES'))[0]?.paused === 1;
      admin.send(queryMessage('pause app;'));
      await eventually(paused);
      held.send(queryMessage('SELECT 2'));
      await WireClient.cancel(pgmirror, admin.processId, Buffer.alloc(4, 7));
      assert.equal(await paused(), true, 'whoever has not got the key cancels nothing');
      await WireClient.cancel(pgmirror, admin.processId, admin.secretKey);
      assert.equal(errorFields((await admin.readUntil('Z'))[0]!).C, '57014');
      await held.expect('T', 'D', 'C', 'Z');
      assert.equal(await paused(), false);
      await busy.query('COMMIT');
      assert.equal((await admin.query('PAUSE app')).length, 2, 'and what comes next is not cancelled');
      await WireClient.cancel(pgmirror, admin.processId, admin.secretKey);
      assert.equal((await admin.query('RESUME app')).length, 2);
    });

    it('PAUSE of one database waits for its transactions, whatever is paused meanwhile', async (t) => {
      const pgmirror = await start(t, { default_pool_size: 2 });
      const busy = await login(t, pgmirror);
      await busy.query('BEGIN');
      let paused = false;
      const pausing = pgmirror.admin('PAUSE app').then(() => (paused = true));
      await eventually(async () => (await pgmirror.admin<{ paused: number }>('SHOW DATABASES'))[0]?.paused === 1);
      await pgmirror.admin('PAUSE other');
      await pgmirror.admin('SHOW POOLS');
      assert.equal(paused, false);
      await busy.query('COMMIT');
      await within(pausing, 10_000, 'PAUSE to be answered');
    });

    it('PAUSE holds nobody any more where pgmirror is told to stop', async (t) => {
      const pgmirror = await start(t, {});
      const client = await login(t, pgmirror);
      await client.query('SELECT 1');
      await pgmirror.admin('PAUSE');
      client.send(queryMessage('SELECT 2'));
      await eventually(async () => {
        const pools = await pgmirror.admin<{ user: string; cl_waiting: number }>('SHOW POOLS');
        return pools.find(({ user }) => user === 'alice')?.cl_waiting === 1;
      });
      pgmirror.kill('SIGTERM');
      assert.equal(errorFields(await client.read()).C, '57P01');
      await client.waitForClose();
      assert.equal(await within(pgmirror.exited, 10_000, 'the end'), 0);
    });

    it('PAUSE holds also who comes later to a database that nobody used, and RESUME lets one database of all go', async (t) => {
      const pgmirror = await start(t, {});
      const paused = async (): Promise<boolean> =>
        (await pgmirror.admin<{ paused: number }>('SHOW DATABASES'))[0]?.paused === 1;
      await pgmirror.admin('PAUSE');
      assert.equal(await paused(), true);
      const early = login(t, pgmirror);
      await eventually(async () => {
        const pools = await pgmirror.admin<{ user: string; cl_waiting: number }>('SHOW POOLS');
        return pools.find(({ user }) => user === 'alice')?.cl_waiting === 1;
      });
      assert.deepEqual(await connections(), []);
      await pgmirror.admin('RESUME app');
      assert.equal(await paused(), false);
      await (await within(early, 10_000, 'the login')).query('SELECT 1');
      await (await login(t, pgmirror, 'bob')).query('SELECT 1');
    });

    it('PAUSE keeps no place for who was to be let in behind it and has gone', async (t) => {
      const pgmirror = await start(t, { max_client_connections: 1 });
      const waiting = async (count: number): Promise<unknown> =>
        eventually(async () => {
          const pools = await pgmirror.admin<{ user: string; cl_waiting: number }>('SHOW POOLS');
          return (pools.find(({ user }) => user === 'alice')?.cl_waiting ?? 0) === count;
        });
      await pgmirror.admin('PAUSE');
      const impatient = await WireClient.connect(pgmirror);
      void impatient.logIn({ user: 'alice', database: 'app', password: 'alice-password' }).catch(() => undefined);
      await waiting(1);
      await impatient.destroy();
      await waiting(0);
      const coming = login(t, pgmirror);
      await waiting(1);
      await pgmirror.admin('RESUME');
      await (await within(coming, 10_000, 'the login')).query('SELECT 1');
    });

    it('RECONNECT replaces connections, also one that is in use, when it comes free', async (t) => {
      const pgmirror = await start(t, {});
      const client = await login(t, pgmirror);
      await client.query('BEGIN');
      const [earlier] = await connections();
      await pgmirror.admin('RECONNECT');
      assert.deepEqual(await connections(), [earlier]);
      await client.query('COMMIT');
      await eventually(async () => (await connections()).length === 0);
      await client.query('SELECT 1');
      assert.notEqual((await connections())[0], earlier);
    });

    it('KILL ends the database’s clients, in transactions too, and its connections; new ones wait for RESUME', async (t) => {
      const pgmirror = await start(t, { min_pool_size: 1 });
      const [busy, idle] = [await login(t, pgmirror), await login(t, pgmirror)];
      await busy.query('BEGIN');
      const killed = await connections();
      await pgmirror.admin('KILL app');
      for (const client of [busy, idle]) {
        assert.equal(errorFields(await client.read()).C, '57P01');
        await client.waitForClose();
      }
      const coming = login(t, pgmirror).then((next) => next.query('SELECT 1'));
      await eventually(async () => {
        const pools = await pgmirror.admin<{ user: string; cl_waiting: number }>('SHOW POOLS');
        return pools.find(({ user }) => user === 'alice')?.cl_waiting === 1;
      });
      await eventually(async () => (await connections()).every((pid) => !killed.includes(pid)));
      assert.deepEqual(await connections(), []);
      await pgmirror.admin('RESUME app');
      assert.equal((await within(coming, 10_000, 'the answer')).length, 4);
    });

    it('is nobody else’s to command: users of databases do not get into the admin database', async (t) => {
      const { host, port } = await start(t, {});
      for (const user of ['alice', 'nobody', '']) {
        const coming = WireClient.login({ host, port }, { user, password: 'admin-password', database: 'pgbouncer' });
        await assert.rejects(coming, /28P01|28000/);
      }
    });
  });
});
