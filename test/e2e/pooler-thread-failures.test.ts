import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import type { TomlTable } from 'smol-toml';

import { alice, aliceEntry } from '../support/alice.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually, within } from '../support/eventually.ts';
import { inspectable, Inspector } from '../support/inspector.ts';
import { Mirrored } from '../support/mirrored.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { query, type RunningPostgres } from '../support/postgres.ts';
import { TemporaryFiles } from '../support/temporary-files.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';

describe('A pooler thread that fails', () => {
  const cleanup = inReverse({ after });
  let source: RunningPostgres;
  let mirrored: Mirrored;

  before(async () => {
    source = await startWatchedPostgres(cleanup);
    mirrored = await Mirrored.start(
      cleanup,
      { source },
      {
        schema: 'CREATE TABLE kept (id integer PRIMARY KEY)',
        general: { workers: 2, max_client_connections: 40, default_pool_size: 2 },
        process: { env: inspectable },
      },
    );
  });

  async function start(test: Cleanup, general: TomlTable): Promise<Pgmirror> {
    const files = {
      general,
      databases: [databaseEntry('app', source, 'postgres')],
      users: [aliceEntry],
    };
    return Pgmirror.start(test, files, { env: inspectable });
  }

  it('takes down its own clients and nobody else’s, and is started again', async (t) => {
    const test = inReverse(t);
    const { pgmirror } = mirrored;
    const clients: WireClient[] = [];
    test.after(async () => void (await Promise.all(clients.map(async (client) => client.destroy()))));
    const connect = async (): Promise<void> => void clients.push(await WireClient.login(pgmirror, alice));
    // The kernel spreads them by chance.
    await eventually(
      async () => {
        await connect();
        return new Set(clients.map(({ thread }) => thread)).size === 2 && clients.length >= 4;
      },
      { intervalMs: 0, what: 'clients of both threads' },
    );
    for (const client of clients) await client.query('SELECT 1');
    const [mine, others] = [clients.filter((one) => one.thread === 0), clients.filter((one) => one.thread === 1)];
    const from = pgmirror.log.lines.length;

    const inspector = await Inspector.open(test, pgmirror, pgmirror.processId);
    await inspector.runInThread('pooler 0', `throw new Error('provoked')`);

    await Promise.all(mine.map(async (client) => client.waitForClose()));
    const failed = await pgmirror.waitForLog((line) => line.msg === 'pooler thread failed', { from });
    assert.equal(failed.thread, 0);
    for (const client of others) assert.equal((await client.query('SELECT 1')).at(-1)?.body.toString(), 'I');

    // Its share of the limits is free again: as many clients as before find a thread, and the pool its connections.
    clients.splice(0, clients.length, ...others);
    await eventually(
      async () => {
        await connect();
        return clients.some((client) => client.thread === 0) && clients.length > others.length;
      },
      { intervalMs: 50, what: 'a client of the new thread' },
    );
    for (const client of clients) assert.equal((await client.query('SELECT 1')).at(-1)?.body.toString(), 'I');
    await mirrored.whenMirroring();
    assert.deepEqual(await query(mirrored.url, 'INSERT INTO kept VALUES (1) RETURNING id'), [{ id: 1 }]);
  });

  it('leaves its server connections to who waits in another', async (t) => {
    const test = inReverse(t);
    const pgmirror = await start(test, { workers: 2, default_pool_size: 1, checkout_timeout: 60_000 });
    const clients: WireClient[] = [];
    test.after(async () => void (await Promise.all(clients.map(async (client) => client.destroy()))));
    const of = (thread: number): WireClient | undefined => clients.find((client) => client.thread === thread);
    while (of(0) === undefined || of(1) === undefined) clients.push(await WireClient.login(pgmirror, alice));
    await of(0)?.query('BEGIN');
    const answer = of(1)?.query('SELECT 1');
    await eventually(async () => {
      const pools = await pgmirror.admin<{ user: string; cl_waiting: number }>('SHOW POOLS');
      return pools.find(({ user }) => user === 'alice')?.cl_waiting === 1;
    });

    const inspector = await Inspector.open(test, pgmirror, pgmirror.processId);
    await inspector.runInThread('pooler 0', `throw new Error('provoked')`);

    assert.ok(answer !== undefined);
    assert.equal((await within(answer, 10_000, 'the answer')).at(-1)?.body.toString(), 'I');
  });

  it('keeps no reload from the others, where it hangs, and is named', async (t) => {
    const test = inReverse(t);
    const pgmirror = await start(test, { workers: 2, max_client_connections: 9 });
    const inspector = await Inspector.open(test, pgmirror, pgmirror.processId);
    const tell = `process.getBuiltinModule('node:fs').writeSync(1, '{"msg":"hangs"}\\n')`;
    await inspector.runInThread('pooler 1', `${tell}; for (;;);`);
    await pgmirror.waitForLog(({ msg }) => msg === 'hangs');
    await pgmirror.writeFiles({ general: { max_client_connections: 7 } });
    pgmirror.kill('SIGHUP');
    await pgmirror.waitForLog(({ msg }) => msg === 'reloaded', { timeoutMs: 30_000 });
    const line = await pgmirror.waitForLog(({ msg }) => /do not answer/.test(msg));
    assert.deepEqual(line['threads'], [1]);
    pgmirror.kill('SIGKILL');
    await pgmirror.exited;
  });

  it('is started again as often as it fails, and lets clients in where it still can', async (t) => {
    const test = inReverse(t);
    const { folder } = await TemporaryFiles.start(test);
    const directory = join(folder, 'sockets');
    await mkdir(directory);
    const pgmirror = await start(test, { unix_socket_dir: directory });
    await rm(directory, { recursive: true });
    for (let failure = 0; failure < 2; failure++) {
      const from = pgmirror.log.lines.length;
      const inspector = await Inspector.open(test, pgmirror, pgmirror.processId);
      await inspector.runInThread('pooler 0', `throw new Error('provoked')`);
      await pgmirror.waitForLog((line) => line.msg === 'cannot listen there any more', { from });
      const client = await eventually(async () => WireClient.login(pgmirror, alice));
      test.after(async () => client.destroy());
      assert.equal((await client.query('SELECT 1')).at(-1)?.body.toString(), 'I');
    }
  });

  it('is paused when it is started again, where it was', async (t) => {
    const test = inReverse(t);
    const pgmirror = await start(test, {});
    await pgmirror.admin('PAUSE');
    const inspector = await Inspector.open(test, pgmirror, pgmirror.processId);
    await inspector.runInThread('pooler 0', `throw new Error('provoked')`);
    await pgmirror.waitForLog((line) => line.msg === 'pooler thread ended');
    const held = eventually(async () => WireClient.login(pgmirror, alice), { timeoutMs: 20_000 });
    await eventually(async () => {
      const pools = await pgmirror.admin<{ user: string; maxwait_us: number }>('SHOW POOLS');
      return pools.some(({ user, maxwait_us: waits }) => user === 'alice' && waits > 0);
    });
    await pgmirror.admin('RESUME');
    const client = await held;
    test.after(async () => client.destroy());
    assert.equal((await client.query('SELECT 1')).at(-1)?.body.toString(), 'I');
  });
});
