import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { describe, it } from 'node:test';

import { processorWait } from '../../src/supervisor/processor-wait.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { skipWithoutProc } from '../support/processes.ts';

describe('The time that a process waits for a processor', { skip: skipWithoutProc }, () => {
  it('is told where there are more processes than processors', async (t) => {
    const cleanup = inReverse(t);
    const busy = Array.from({ length: 2 * availableParallelism() }, () => {
      const child = spawn(process.execPath, ['-e', 'for (;;);'], {
        stdio: 'ignore',
        timeout: 60_000,
        killSignal: 'SIGKILL',
      });
      const ended = once(child, 'close');
      cleanup.after(async () => {
        child.kill('SIGKILL');
        await ended;
      });
      return child.pid ?? 0;
    });
    await eventually(() => busy.some((processId) => processorWait(processId) > 50), { what: 'one to wait' });
  });

  it('is 0 for a process that has ended', async (t) => {
    const child = spawn(process.execPath, ['-e', 'for (;;);'], {
      stdio: 'ignore',
      timeout: 60_000,
      killSignal: 'SIGKILL',
    });
    const ended = once(child, 'close');
    t.after(() => child.kill('SIGKILL'));
    child.kill('SIGKILL');
    await ended;
    assert.equal(processorWait(child.pid ?? 0), 0);
  });
});
