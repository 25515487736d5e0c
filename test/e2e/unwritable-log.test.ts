import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';

import { stringify } from 'smol-toml';

import { freePort } from '../../src/cli/embedded/free-port.ts';
import { alice, aliceEntry } from '../support/alice.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually, within } from '../support/eventually.ts';
import { LeakWatch } from '../support/leaks.ts';
import { mainFile } from '../support/main-file.ts';
import { skipWithoutProc } from '../support/processes.ts';
import { TemporaryFiles } from '../support/temporary-files.ts';
import { WireClient } from '../support/wire-client.ts';

describe('A log that cannot be written, since the disk is full,', () => {
  const cleanup = inReverse({ after });

  before(() => {
    LeakWatch.during(cleanup);
  });

  it('costs nobody anything: clients are served, and pgmirror stops as ever', { skip: skipWithoutProc }, async (t) => {
    const test = inReverse(t);
    const port = await freePort();
    const files = await TemporaryFiles.start(test);
    const server = { host: '127.0.0.1', port: 1, user: 'app', password: 'secret' }; // where nobody listens
    const config = await files.write(
      'pgmirror.toml',
      stringify({
        general: { port },
        databases: [
          { ...server, name: 'app' },
          { ...server, name: 'shadow' },
        ],
        mirroring: [{ source_db: 'app', destination_db: 'shadow' }],
      }),
    );
    const users = await files.write('users.toml', stringify({ users: [aliceEntry] }));
    const full = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, [mainFile, 'run', '--config', config, '--users', users], {
      stdio: ['ignore', full, 'inherit'],
    });
    closeSync(full);
    test.after(() => void child.kill('SIGKILL'));
    const exited = once(child, 'exit');

    // Each of these logins is logged, as is that there is no server.
    for (let round = 0; round < 3; round++) {
      await eventually(async () => {
        await assert.rejects(WireClient.login({ host: '127.0.0.1', port }, alice), /08006/);
        return true;
      });
    }
    await assert.rejects(WireClient.login({ host: '127.0.0.1', port }, { ...alice, password: 'wrong' }), /28P01/);
    child.kill('SIGTERM');
    assert.deepEqual(await within(exited, 10_000, 'the end'), [0, null]);
  });
});
