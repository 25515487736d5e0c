import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { freePort } from '../../src/cli/embedded/free-port.ts';
import { aliceEntry } from './alice.ts';
import { inReverse } from './cleanup.ts';
import { eventually } from './eventually.ts';
import { databaseEntry, Pgmirror, type PgmirrorFiles } from './pgmirror.ts';
import { createDatabase, query } from './postgres.ts';
import { ScriptedPostgres } from './scripted-postgres.ts';
import { startWatchedPostgres } from './watched-postgres.ts';

describe('Pgmirror', () => {
  const cleanup = inReverse({ after });
  let files: PgmirrorFiles;

  before(async () => {
    const server = await startWatchedPostgres(cleanup);
    files = {
      databases: [databaseEntry('app', server, await createDatabase(server))],
      users: [aliceEntry],
    };
  });

  it('starts one that serves users and the admin database, and stops it', async (t) => {
    const pgmirror = await Pgmirror.start(inReverse(t), files);
    assert.deepEqual(await query(pgmirror.url('app'), 'SELECT 1 AS one'), [{ one: 1 }]);
    assert.equal((await pgmirror.admin('SHOW VERSION')).length, 1);
    assert.equal((await pgmirror.waitForLog((line) => line.msg === 'listening')).port, pgmirror.port);
    assert.equal(await pgmirror.stop(), 0);
    assert.equal(await pgmirror.exited, 0);
  });

  it('reloads changed files, and hands on the error when they are refused', async (t) => {
    const pgmirror = await Pgmirror.start(inReverse(t), files);
    const bob = { name: 'bob', database: 'app', password: 'bob-password' };
    await pgmirror.reload({ users: [...(files.users ?? []), bob] });
    await eventually(async () => (await query(pgmirror.url('app', 'bob'), 'SELECT 1')).length === 1);
    await assert.rejects(pgmirror.reload({ general: { default_pool_size: -1 } }), /default_pool_size/);
  });

  it('rejects with what was said when it ends before it listens', async (t) => {
    const start = Pgmirror.start(inReverse(t), { ...files, general: { no_such_key: 1 } });
    await assert.rejects(start, /pgmirror ended \(2\) before it listened[^]*no_such_key/);
  });

  it('listens on another port where somebody was faster to take the first', async (t) => {
    const test = inReverse(t);
    const { port: taken } = await ScriptedPostgres.start(test);
    const ports = [taken];
    const choosePort = async (): Promise<number> => ports.shift() ?? freePort();
    const pgmirror = await Pgmirror.start(test, files, { choosePort });
    assert.notEqual(pgmirror.port, taken);
    assert.deepEqual(await query(pgmirror.url('app'), 'SELECT 1 AS one'), [{ one: 1 }]);
  });

  it('tells the signal that ended one', async (t) => {
    const pgmirror = await Pgmirror.start(inReverse(t), files);
    pgmirror.kill('SIGKILL');
    assert.equal(await pgmirror.exited, 'SIGKILL');
  });
});
