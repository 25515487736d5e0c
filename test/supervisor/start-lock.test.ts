import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { freePort } from '../../src/cli/embedded/free-port.ts';
import { startLock } from '../../src/supervisor/start-lock.ts';
import { within } from '../support/eventually.ts';

const skip = process.platform === 'linux' ? false : 'needs abstract sockets';

describe('the lock of a start', { skip }, () => {
  it('is had by one at a time, and by the others in turn', async () => {
    const port = await freePort();
    let holders = 0;
    let most = 0;
    const start = async (): Promise<void> => {
      const letGo = await startLock(port);
      holders++;
      most = Math.max(most, holders);
      await new Promise((resolve) => setImmediate(resolve));
      holders--;
      letGo();
    };
    await within(Promise.all([1, 2, 3, 4].map(start)), 10_000, 'all to have had it');
    assert.equal(most, 1);
  });

  it('of one port is no other’s', async () => {
    const locks = [await startLock(await freePort()), await startLock(await freePort())];
    for (const letGo of locks) letGo();
  });

  it('goes with its process, however that ends', async (t) => {
    const port = await freePort();
    const url = new URL('../../src/supervisor/start-lock.ts', import.meta.url);
    const hold = `await (await import(${JSON.stringify(url)})).startLock(${port}); console.log('held')`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', hold], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    const next = startLock(port);
    child.kill('SIGKILL');
    (await within(next, 10_000, 'the lock'))();
  });
});
