import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { PoolBudget } from '../../src/pool/pool-budget.ts';
import { eventually } from '../support/eventually.ts';

/** The budgets of several threads over the same cells, and what each announced. */
function budgets(threads: number, { rows = 1, row = 0 } = {}) {
  const cells = new Int32Array(new SharedArrayBuffer(4 * rows * PoolBudget.rowLength(threads)));
  const announced: string[] = [];
  const of = (thread: number, at = row): PoolBudget =>
    new PoolBudget({ cells, row: at, thread, threads, announce: (what) => void announced.push(`${thread} ${what}`) });
  return { cells, announced, of };
}

const OPENER = `
  const { parentPort, workerData } = require('node:worker_threads');
  import(workerData.module).then(({ PoolBudget }) => {
    const { cells, gate, thread, threads, limit, rounds } = workerData;
    const budget = new PoolBudget({ cells: new Int32Array(cells), row: 0, thread, threads, announce: () => undefined });
    let most = 0;
    let opened = 0;
    // All begin at the same moment.
    const ready = new Int32Array(gate);
    Atomics.add(ready, 0, 1);
    while (Atomics.load(ready, 0) < threads - 1);
    while (opened < rounds) {
      if (!budget.tryOpen(limit)) continue;
      opened++;
      most = Math.max(most, budget.open);
      budget.closed();
    }
    parentPort.postMessage({ most });
  });
`;

describe('the size of a pool', () => {
  it('holds for all threads together', () => {
    const { of } = budgets(2);
    const [one, two] = [of(0), of(1)];
    assert.deepEqual([one.tryOpen(2), two.tryOpen(2), one.tryOpen(2), two.tryOpen(2)], [true, true, false, false]);
    assert.deepEqual([one.open, two.open], [2, 2]);
    one.closed();
    assert.deepEqual([two.tryOpen(2), two.open], [true, 2]);
  });

  it('is counted apart for each pool', () => {
    const { of } = budgets(2, { rows: 3 });
    const [first, second] = [of(0, 0), of(0, 2)];
    assert.deepEqual([first.tryOpen(1), second.tryOpen(1), first.tryOpen(1)], [true, true, false]);
    first.closed();
    assert.deepEqual([first.open, second.open, of(1, 1).open], [0, 1, 0]);
  });

  it('may be lowered below what is open: then nothing is opened until enough have closed', () => {
    const budget = PoolBudget.alone();
    for (let opened = 0; opened < 3; opened++) assert.ok(budget.tryOpen(3));
    assert.equal(budget.tryOpen(2), false);
    budget.closed();
    assert.equal(budget.tryOpen(2), false);
    budget.closed();
    assert.equal(budget.tryOpen(2), true);
  });

  it('may be 0: nothing is opened', () => assert.equal(PoolBudget.alone().tryOpen(0), false));

  it('is not passed by threads that open at the same moment', async () => {
    const { cells, of } = budgets(3);
    const gate = new SharedArrayBuffer(4);
    const module = import.meta.resolve('../../src/pool/pool-budget.ts');
    const workers = [1, 2].map(
      (thread) =>
        new Worker(OPENER, {
          eval: true,
          workerData: { module, cells: cells.buffer, gate, thread, threads: 3, limit: 1, rounds: 50_000 },
        }),
    );
    const messages = (await Promise.all(workers.map((worker) => once(worker, 'message')))) as [{ most: number }][];
    await Promise.all(workers.map((worker) => worker.terminate()));
    for (const [{ most }] of messages) assert.equal(most, 1);
    assert.equal(of(0).open, 0);
    assert.deepEqual([...cells], new Array<number>(cells.length).fill(0));
  });
});

describe('who waits in which thread', () => {
  it('is told to others when a connection closes and one of them waits', () => {
    const { announced, of } = budgets(2);
    const [one, two] = [of(0), of(1)];
    one.tryOpen(1);
    two.waiting(100);
    one.closed();
    assert.deepEqual(announced, ['0 room']);
  });

  it('is nobody to be told of where only this thread has waiters, or none has', () => {
    const { announced, of } = budgets(2);
    const [one, two] = [of(0), of(1)];
    one.tryOpen(2);
    one.tryOpen(2);
    one.waiting(100);
    one.closed();
    two.waiting(100);
    two.waiting(undefined);
    one.closed();
    assert.deepEqual(announced, []);
  });

  it('asks the others for a connection', () => {
    const { announced, of } = budgets(2);
    of(1).want();
    assert.deepEqual(announced, ['1 wanted']);
  });

  it('asks once for all who want one at the same moment, and once more', async () => {
    const { announced, of } = budgets(2);
    const budget = of(1);
    for (let client = 0; client < 50; client++) budget.want();
    assert.deepEqual(announced, ['1 wanted']);
    await eventually(() => announced.length === 2, { intervalMs: 1 });
    budget.want();
    await eventually(() => announced.length === 3, { intervalMs: 1 });
  });

  it('is told of all room where several pools share the budget', () => {
    const { cells } = budgets(1);
    const announced: string[] = [];
    const announce = (what: string): void => void announced.push(what);
    const shared = new PoolBudget({ cells, row: 0, thread: 0, threads: 1, shared: true, announce });
    shared.tryOpen(1);
    shared.closed();
    assert.deepEqual(announced, ['room']);
  });

  it('decides by who has waited longest, with a margin', () => {
    const { of } = budgets(3);
    const [one, two, three] = [of(0), of(1), of(2)];
    assert.equal(one.olderElsewhere(1_000, 25), false);
    two.waiting(980);
    assert.equal(one.olderElsewhere(1_000, 25), false);
    three.waiting(970);
    assert.equal(one.olderElsewhere(1_000, 25), true);
    assert.equal(three.olderElsewhere(970, 25), false);
    three.waiting(undefined);
    assert.equal(one.olderElsewhere(1_000, 25), false);
  });

  it('knows whether anybody waits in another thread', () => {
    const { of } = budgets(2);
    const [one, two] = [of(0), of(1)];
    assert.equal(one.isWantedElsewhere, false);
    two.waiting(0);
    assert.deepEqual([one.isWantedElsewhere, two.isWantedElsewhere], [true, false]);
  });

  it('is of no interest where there is one thread', () => {
    const budget = PoolBudget.alone();
    budget.waiting(5);
    assert.deepEqual([budget.olderElsewhere(1_000, 0), budget.isWantedElsewhere], [false, false]);
  });
});

describe('a thread that died', () => {
  it('gives back what it had open, in every pool, and waits no more', () => {
    const { cells, of } = budgets(2, { rows: 2 });
    const [living, dead] = [of(0, 0), of(1, 0)];
    const elsewhere = of(1, 1);
    living.tryOpen(5);
    for (let opened = 0; opened < 3; opened++) dead.tryOpen(5);
    elsewhere.tryOpen(5);
    dead.waiting(1);
    PoolBudget.forgetThread(cells, 2, 1);
    assert.deepEqual([living.open, of(0, 1).open, living.isWantedElsewhere], [1, 0, false]);
    PoolBudget.forgetThread(cells, 2, 1);
    assert.equal(living.open, 1);
  });
});
