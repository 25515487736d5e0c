import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { monotonicNow } from '../../src/util/clock.ts';

describe('the monotonic clock', () => {
  it('counts milliseconds with fractions and never goes back', () => {
    let before = monotonicNow();
    let fractions = 0;
    for (let reading = 0; reading < 1_000; reading++) {
      const now = monotonicNow();
      assert.ok(now >= before);
      if (!Number.isInteger(now)) fractions++;
      before = now;
    }
    assert.ok(fractions > 0);
  });

  it('is the clock of the machine, not of the process', () => {
    assert.ok(Math.abs(monotonicNow() - Number(process.hrtime.bigint()) / 1e6) < 50);
  });

  it('is the same in another thread, whose performance.now() begins at 0', async () => {
    const source = `
      const { parentPort, workerData } = require('node:worker_threads');
      import(workerData).then(({ monotonicNow }) => parentPort.postMessage(monotonicNow()));
    `;
    const before = monotonicNow();
    const worker = new Worker(source, { eval: true, workerData: import.meta.resolve('../../src/util/clock.ts') });
    const [there] = (await once(worker, 'message')) as [number];
    await worker.terminate();
    assert.ok(before - 1 <= there && there <= monotonicNow() + 1, `${before} ≤ ${there} ≤ ${monotonicNow()}`);
  });
});
