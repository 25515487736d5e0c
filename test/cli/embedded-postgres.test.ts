import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { startPostgres, type RunningPostgres } from '../../src/cli/embedded-postgres.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { LeakWatch } from '../support/leaks.ts';
import { machinePostgres, query, startTestPostgres } from '../support/postgres.ts';
import { WireClient } from '../support/wire-client.ts';

describe('startPostgres', () => {
  const cleanup = inReverse({ after });
  let leaks: LeakWatch;
  let server: RunningPostgres;

  before(async () => {
    leaks = new LeakWatch();
    cleanup.after(async () => leaks.assertNone());
    server = await startTestPostgres(cleanup, {
      settings: { max_connections: '17', work_mem: '5MB', application_name: "it's" },
      hba: ['host all guest all trust'],
      password: 'p@ss/word',
      files: { 'server.key': 'a key' },
    });
  });

  it('starts one that answers over TCP and over its unix socket, with the settings it was given', async () => {
    const [row] = await query(
      server.url('postgres'),
      "SELECT current_setting('max_connections') AS n, current_setting('fsync') AS f",
    );
    assert.deepEqual(row, { n: '17', f: 'off' });
    const { user, password, port, socketDirectory: host } = server;
    const client = await WireClient.login({ host, port }, { user, password, database: 'postgres' });
    await client.end();
    assert.match(server.version, /^18\./);
  });

  it('asks for the password, unless a line of its own says otherwise', async () => {
    await query(server.url('postgres'), 'CREATE ROLE guest LOGIN');
    const url = new URL(server.url('postgres'));
    url.password = 'wrong';
    await assert.rejects(query(url.href, 'SELECT 1'), { code: '28P01' });
    url.username = 'guest';
    assert.equal((await query(url.href, 'SELECT 1')).length, 1);
  });

  it('writes files as PostgreSQL wants its keys', () => {
    const key = statSync(join(server.dataDirectory, 'server.key'));
    assert.equal(key.mode & 0o777, 0o600);
    assert.equal(key.uid, statSync(server.dataDirectory).uid);
  });

  it('does not run as root', { skip: process.getuid?.() !== 0 && 'this is not root' }, () => {
    assert.notEqual(statSync(`/proc/${server.processId}`).uid, 0);
  });

  it('starts again on the same port with the same data', async () => {
    const { port, processId } = server;
    await query(server.url('postgres'), 'CREATE TABLE kept (id int)');
    await server.restart();
    assert.notEqual(server.processId, processId);
    assert.equal(server.port, port);
    assert.equal((await query(server.url('postgres'), 'SELECT FROM kept')).length, 0);
  });

  it('starts again after it was killed', async () => {
    await server.kill('SIGKILL');
    await assert.rejects(query(server.url('postgres'), 'SELECT 1'), { code: 'ECONNREFUSED' });
    await server.restart();
    assert.equal((await query(server.url('postgres'), 'SELECT 1')).length, 1);
  });

  it('stops although its postmaster stands still', async () => {
    const other = await startPostgres();
    await other.kill('SIGSTOP');
    await other.stop();
    assert.equal(existsSync(other.dataDirectory), false);
  });

  it('keeps what it logged', async () => {
    await assert.rejects(query(server.url('postgres'), 'SELECT nonsense'));
    await eventually(() => server.log.some((line) => line.includes('column "nonsense" does not exist')));
  });

  it('says in one line why it cannot', async () => {
    const folders = readdirSync(leaks.folder).length;
    const cases: [object, string, RegExp][] = [
      [{ binaries: '/nowhere' }, 'NO_BINARIES', /^\/nowhere\/postgres does not run/],
      [
        { settings: { no_such_setting: '1' } },
        'START_FAILED',
        /unrecognized configuration parameter "no_such_setting"/,
      ],
    ];
    for (const [options, code, message] of cases) {
      await assert.rejects(startPostgres(options), (error: Error & { code?: string }) => {
        assert.equal(error.code, code);
        assert.match(error.message, message);
        return !error.message.includes('\n');
      });
    }
    assert.equal(readdirSync(leaks.folder).length, folders);
  });

  it('starts the machine’s own PostgreSQL too', { skip: machinePostgres() === undefined }, async () => {
    const other = await startPostgres({ binaries: machinePostgres() ?? '' });
    const [row] = await query(
      other.url('postgres'),
      "SELECT split_part(current_setting('server_version'), ' ', 1) AS version",
    );
    assert.deepEqual(row, { version: other.version });
    await other.stop();
  });

  it('leaves nothing when the process that started it is killed', async () => {
    const module = new URL('../../src/cli/embedded-postgres.ts', import.meta.url).href;
    const program = `const { startPostgres } = await import('${module}');
      const server = await startPostgres();
      console.log(server.dataDirectory);
      process.kill(process.pid, 'SIGKILL');`;
    const starter = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said] = (await once(starter.stdout, 'data')) as [Buffer];
    const folder = said.toString().trim();
    assert.ok(folder.startsWith(leaks.folder));
    await eventually(() => !existsSync(folder), { what: 'the folder to go' });
    await eventually(() => !leaks.left().some((line) => line.includes(folder)), { what: 'the server to go' });
  });
});
