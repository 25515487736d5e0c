import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { SlowLookups } from '../../src/net/slow-lookups.ts';
import { monotonicNow } from '../../src/util/clock.ts';
import { eventually } from '../support/eventually.ts';

/** Who asks by this is answered by hand. */
class Asked {
  readonly lookups: SlowLookups;
  readonly under: [name: string, answered: () => void][] = [];

  constructor(lookups: SlowLookups) {
    this.lookups = lookups;
  }

  ask(...names: readonly string[]): void {
    for (const name of names) this.lookups.ask(name, (answered) => void this.under.push([name, answered]));
  }

  get names(): string[] {
    return this.under.map(([name]) => name);
  }

  answer(name: string): void {
    const index = this.under.findIndex(([each]) => each === name);
    for (const [, answered] of this.under.splice(index, 1)) answered();
  }

  /** Has these names take long. */
  slow(t: TestContext, ...names: readonly string[]): void {
    this.ask(...names);
    t.mock.timers.tick(2_000);
    for (const name of names) this.answer(name);
  }
}

/** The clock is the test's own. */
function mockClock(t: TestContext): void {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  let now = 0;
  const tick = t.mock.timers.tick.bind(t.mock.timers);
  t.mock.method(t.mock.timers, 'tick', (ms: number) => {
    for (let left = ms; left > 0; left -= 100) {
      now += 100;
      tick(100);
    }
  });
  t.mock.method(performance, 'now', () => now);
}

describe('names that took long to be answered', () => {
  it('are asked for one at a time, others at once', (t) => {
    mockClock(t);
    const asked = new Asked(new SlowLookups(new SharedArrayBuffer(4)));
    asked.ask('a', 'b', 'c');
    assert.deepEqual(asked.names, ['a', 'b', 'c']);
    for (const name of ['a', 'b', 'c']) asked.answer(name);
    asked.slow(t, 'a', 'b');
    asked.ask('a', 'b', 'c');
    assert.deepEqual(asked.names, ['a', 'c']);
    asked.answer('a');
    t.mock.timers.tick(1_000);
    assert.deepEqual(asked.names, ['c', 'b']);
  });

  it('are as others again when they were answered in time', (t) => {
    mockClock(t);
    const asked = new Asked(new SlowLookups(new SharedArrayBuffer(4)));
    asked.slow(t, 'a', 'b');
    for (const name of ['a', 'b']) {
      asked.ask(name);
      t.mock.timers.tick(500);
      asked.answer(name);
      t.mock.timers.tick(500);
    }
    asked.ask('a', 'b');
    assert.deepEqual(asked.names, ['a', 'b']);
  });

  it('are asked for by one thread at a time, and by each in turn', (t) => {
    mockClock(t);
    const shared = new SharedArrayBuffer(4);
    const threads = [new Asked(new SlowLookups(shared)), new Asked(new SlowLookups(shared))] as const;
    for (const thread of threads) thread.slow(t, 'a', 'b');
    for (const thread of threads) thread.ask('a', 'b');
    const order: string[] = [];
    for (let count = 0; count < 4; count++) {
      // Longer than the turn is had without being renewed.
      t.mock.timers.tick(20_000);
      const under = threads.map(({ names }) => names);
      assert.equal(under.flat().length, 1);
      const [first] = under.flat();
      const at = under.findIndex(({ length }) => length > 0);
      order.push(`${at}${first}`);
      threads[at]?.answer(first ?? '');
      t.mock.timers.tick(1_000);
    }
    assert.deepEqual(order, ['0a', '1a', '0b', '1b']);
  });

  it('are asked for again when the thread that had the turn has ended', async (t) => {
    const shared = new SharedArrayBuffer(4);
    const until = new Int32Array(shared);
    Atomics.store(until, 0, Math.ceil(monotonicNow() / 1_000) + 1);
    const asked = new Asked(new SlowLookups(shared));
    let late = 0;
    t.mock.method(performance, 'now', () => (late += 2_000));
    asked.ask('a');
    asked.answer('a');
    t.mock.restoreAll();
    asked.ask('a');
    assert.deepEqual(asked.names, []);
    await eventually(() => asked.names.length === 1);
    asked.answer('a');
  });

  it('are those of the process: threads that it starts share the turn', async (t) => {
    SlowLookups.ofProcess();
    const program = `const { getEnvironmentData, parentPort } = require('node:worker_threads');
      Atomics.store(new Int32Array(getEnvironmentData('pgmirror: slow lookups')), 0, 7);
      parentPort.postMessage('stored');`;
    const worker = new Worker(program, { eval: true });
    t.after(async () => worker.terminate());
    await once(worker, 'message');
    const { getEnvironmentData } = await import('node:worker_threads');
    const shared = new Int32Array(getEnvironmentData('pgmirror: slow lookups') as SharedArrayBuffer);
    assert.equal(Atomics.exchange(shared, 0, 0), 7);
  });
});
