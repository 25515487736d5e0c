import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteBudget } from '../../../src/mirror/record/byte-budget.ts';

describe('the bytes recorded and not finished', () => {
  it('are limited for all threads together', () => {
    const cells = new Float64Array(2);
    const [one, two] = [0, 1].map((thread) => new ByteBudget({ cells, thread, limit: 100 })) as [
      ByteBudget,
      ByteBudget,
    ];
    assert.deepEqual([one.take(60), two.take(50), two.take(40), one.take(1)], [true, false, true, false]);
    assert.deepEqual([one.used, two.used], [100, 100]);
    one.giveBack(60);
    assert.deepEqual([one.used, two.take(60)], [40, true]);
    assert.deepEqual([...cells], [0, 100]);
  });

  it('may be lowered below what is recorded: then nothing is taken until enough was given back', () => {
    const budget = new ByteBudget({ cells: new Float64Array(1), thread: 0, limit: 100 });
    budget.take(80);
    budget.limit = 50;
    assert.equal(budget.take(1), false);
    budget.giveBack(40);
    assert.equal(budget.take(10), true);
  });

  it('may be none at all', () => {
    const budget = new ByteBudget({ cells: new Float64Array(1), thread: 0, limit: 0 });
    assert.deepEqual([budget.take(1), budget.take(0), budget.used], [false, true, 0]);
  });
});
