import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import type { TomlTable } from 'smol-toml';

import { freePort } from '../../src/cli/embedded/free-port.ts';
import { alice, aliceEntry } from '../support/alice.ts';
import { errorFields } from '../support/bytes.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually, within } from '../support/eventually.ts';
import { inspectable, Inspector } from '../support/inspector.ts';
import { LeakWatch } from '../support/leaks.ts';
import { lockTable } from '../support/locks.ts';
import { Mirrored } from '../support/mirrored.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { startTestPostgres, withClient, type RunningPostgres } from '../support/postgres.ts';
import { familyOf, isAlive, skipWithoutProc } from '../support/processes.ts';
import { WireClient } from '../support/wire-client.ts';

describe('Stopping', () => {
  const cleanup = inReverse({ after });
  const leaks = new LeakWatch();
  let source: RunningPostgres;

  before(async () => {
    cleanup.after(async () => leaks.assertNone());
    source = await startTestPostgres(cleanup);
  });

  async function start(test: Cleanup, general: TomlTable = {}, mirroring: TomlTable = {}): Promise<Mirrored> {
    const schema = 'CREATE TABLE item (id integer PRIMARY KEY)';
    return Mirrored.start(test, { source }, { schema, general, mirroring });
  }

  async function login(test: Cleanup, { pgmirror }: Mirrored): Promise<WireClient> {
    const client = await WireClient.login(pgmirror, alice);
    test.after(async () => client.destroy());
    return client;
  }

  async function beginInsert(test: Cleanup, mirrored: Mirrored, id: number): Promise<WireClient> {
    const client = await login(test, mirrored);
    await client.query('BEGIN');
    await client.query(`INSERT INTO item VALUES (${id})`);
    return client;
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`by ${signal} lets transactions finish, ends idle clients, lets nobody in, and is status 0`, async (t) => {
      const test = inReverse(t);
      const mirrored = await start(test);
      const { pgmirror } = mirrored;
      const busy = await beginInsert(test, mirrored, 1);
      const idle = await login(test, mirrored);
      await idle.query('SELECT 1');

      pgmirror.kill(signal);

      await expectTermination(idle);
      await eventually(async () => refusesConnections(pgmirror.port), { what: 'new clients to be refused' });
      assert.equal((await busy.query('INSERT INTO item VALUES (2)')).at(-1)?.body.toString(), 'T');
      assert.equal((await busy.query('COMMIT')).at(-1)?.body.toString(), 'I');
      await expectTermination(busy);
      assert.equal(await within(pgmirror.exited, 10_000, 'the end'), 0);

      const rows = [{ id: 1 }, { id: 2 }];
      assert.deepEqual(await mirrored.onSource('SELECT id FROM item ORDER BY id'), rows);
      assert.deepEqual(await mirrored.onMirror('SELECT id FROM item ORDER BY id'), rows); // it was let finish, too
    });
  }

  it('cuts off after shutdown_timeout what has not finished, rolls it back, and is status 1', async (t) => {
    const test = inReverse(t);
    const mirrored = await start(test, { shutdown_timeout: 300 });
    const busy = await beginInsert(test, mirrored, 1);
    mirrored.pgmirror.kill('SIGTERM');
    await busy.waitForClose();
    assert.equal(await within(mirrored.pgmirror.exited, 10_000, 'the end'), 1);
    await sourceIsQuiet(mirrored);
    assert.deepEqual(await mirrored.onSource('SELECT id FROM item'), []);
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item'), []);
  });

  it('waits for a pooler thread that hangs no longer than for its clients, and for mirrors, and is status 1', async (t) => {
    const test = inReverse(t);
    const pgmirror = await Pgmirror.start(
      test,
      {
        general: { shutdown_timeout: 100 },
        databases: [databaseEntry('app', source, 'postgres')],
        users: [aliceEntry],
      },
      { env: inspectable },
    );
    const inspector = await Inspector.open(test, pgmirror, pgmirror.processId);
    const tell = `process.getBuiltinModule('node:fs').writeSync(1, '{"msg":"hangs"}\\n')`;
    await inspector.runInThread('pooler 0', `${tell}; for (;;);`);
    await pgmirror.waitForLog(({ msg }) => msg === 'hangs');
    pgmirror.kill('SIGTERM');
    assert.equal(await within(pgmirror.exited, 30_000, 'the end'), 1);
  });

  it('at a second signal ends at once, and is status 1', async (t) => {
    const test = inReverse(t);
    const mirrored = await start(test);
    const busy = await beginInsert(test, mirrored, 1);
    const idle = await login(test, mirrored);
    await idle.query('SELECT 1');
    await mirrored.drained();
    mirrored.pgmirror.kill('SIGTERM');
    await expectTermination(idle);
    mirrored.pgmirror.kill('SIGTERM');
    await busy.waitForClose();
    assert.equal(await within(mirrored.pgmirror.exited, 5_000, 'the end'), 1);
    const { lines } = mirrored.pgmirror.log;
    assert.ok(lines.some(({ msg }) => msg === 'asked to stop a second time: everything ends at once'));
    const counted = lines.find(({ msg }) => msg === 'mirrored');
    assert.deepEqual([counted?.total, counted?.replayed, counted?.dropped], [2, 1, 1]); // what was cut off is counted
    await sourceIsQuiet(mirrored);
    assert.deepEqual(await mirrored.onSource('SELECT id FROM item'), []);
  });

  it('does not wait for another one that starts on the same port', { skip: skipWithoutProc }, async (t) => {
    const test = inReverse(t);
    const port = await freePort();
    const waiting = Promise.withResolvers<void>();
    const other = createServer((socket) => {
      socket.on('error', () => undefined);
      waiting.resolve();
    });
    await new Promise<void>((resolve) => other.listen(`\0pgmirror starts on ${port}`, resolve));
    test.after(() => void other.close());
    const pgmirror = await Pgmirror.launch(test, {
      general: { port },
      databases: [databaseEntry('app', source, 'postgres')],
      users: [aliceEntry],
    });
    await within(waiting.promise, 20_000, 'a start that waits');
    pgmirror.kill('SIGTERM');
    assert.equal(await within(pgmirror.exited, 5_000, 'its end'), 0);
    assert.doesNotMatch(pgmirror.output(), /"level":(?:50|60)/);
  });

  it('by SHUTDOWN of the admin database is as by SIGTERM', async (t) => {
    const test = inReverse(t);
    const mirrored = await start(test);
    const busy = await beginInsert(test, mirrored, 1);
    const idle = await login(test, mirrored);
    await idle.query('SELECT 1');
    await mirrored.pgmirror.admin('SHUTDOWN');
    await expectTermination(idle);
    assert.equal((await busy.query('COMMIT')).at(-1)?.body.toString(), 'I');
    await expectTermination(busy);
    assert.equal(await within(mirrored.pgmirror.exited, 10_000, 'the end'), 0);
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item'), [{ id: 1 }]);
  });

  it('gives mirrors a moment for what is queued', async (t) => {
    const test = inReverse(t);
    const mirrored = await start(test);
    const unlock = await lockTable(test, mirrored.mirrorUrl, 'item');
    await withClient(mirrored.url, async (client) => {
      for (let id = 1; id <= 10; id += 1) await client.query(`INSERT INTO item VALUES (${id})`);
    });
    assert.equal((await mirrored.counts()).queueLength, 10);
    mirrored.pgmirror.kill('SIGTERM');
    await mirrored.pgmirror.waitForLog(({ msg }) => msg.startsWith('stopping'));
    await unlock();
    assert.equal(await within(mirrored.pgmirror.exited, 10_000, 'the end'), 0);
    assert.deepEqual(await mirrored.onMirror('SELECT count(*)::int AS count FROM item'), [{ count: 10 }]);
  });

  it('waits for a mirror that hangs no longer than that', async (t) => {
    const test = inReverse(t);
    const mirrored = await start(test);
    const unlock = await lockTable(test, mirrored.mirrorUrl, 'item');
    await mirrored.query('INSERT INTO item VALUES (1)');
    assert.equal((await mirrored.counts()).queueLength, 1);
    assert.equal(await mirrored.pgmirror.stop(), 0);
    const told = mirrored.pgmirror.log.lines.find((line) => line.msg === 'mirrored' && line.user === 'alice');
    assert.deepEqual([told?.total, told?.replayed, told?.dropped], [1, 0, 1]);
    await mirrored.onMirror(
      `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    await unlock();
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item'), []);
  });

  it('leaves no process, no socket file and no temporary folder', { skip: skipWithoutProc }, async (t) => {
    const test = inReverse(t);
    const directory = join(leaks.folder, 'sockets');
    mkdirSync(directory);
    const known = readdirSync(leaks.folder);
    const mirrored = await start(test, { unix_socket_dir: directory, workers: 2 });
    const { pgmirror } = mirrored;
    const file = join(directory, `.s.PGSQL.${pgmirror.port}`);
    assert.ok(existsSync(file));
    const local = await WireClient.login({ host: directory, port: pgmirror.port }, alice);
    test.after(async () => local.destroy());
    assert.equal((await local.query('SELECT 1')).at(-1)?.body.toString(), 'I');
    const processes = familyOf(pgmirror.processId);
    assert.equal(processes.length, 2);

    assert.equal(await pgmirror.stop(), 0);

    assert.deepEqual(processes.filter(isAlive), []);
    assert.ok(!existsSync(file), 'the socket file is still there');
    const left = readdirSync(leaks.folder).filter((name) => !known.includes(name));
    assert.deepEqual(left, []);
    await sourceIsQuiet(mirrored);
    rmSync(directory, { recursive: true });
  });
});

async function expectTermination(client: WireClient): Promise<void> {
  const [fatal] = await client.expect('E');
  assert.ok(fatal !== undefined);
  const { S: severity, C: code } = errorFields(fatal);
  assert.deepEqual({ severity, code }, { severity: 'FATAL', code: '57P01' });
  await client.waitForClose();
}

async function refusesConnections(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const { promise, resolve } = Promise.withResolvers<boolean>();
  socket.on('error', () => resolve(true));
  socket.on('connect', () => resolve(false));
  return promise.finally(() => socket.destroy());
}

/** No session of pgmirror is left on the source. */
async function sourceIsQuiet(mirrored: Mirrored): Promise<void> {
  await eventually(async () => {
    const sql = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`;
    return (await mirrored.onSource(sql)).length === 0;
  });
}
