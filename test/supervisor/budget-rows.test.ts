import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BudgetRows } from '../../src/supervisor/budget-rows.ts';

describe('the rows of the shared budgets', () => {
  it('are one for each key, and none where all are given away', () => {
    const rows = new BudgetRows(2);
    assert.deepEqual([rows.rowOf('a'), rows.rowOf('b'), rows.rowOf('c'), rows.rowOf('a')], [0, 1, -1, 0]);
    assert.deepEqual([...rows.keys()], ['a', 'b']);
  });
});
