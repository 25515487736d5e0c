import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspectValue } from '../../src/config/inspect-value.ts';

describe('inspectValue', () => {
  it('shows scalars as they are written and everything else by kind', () => {
    for (const [value, shown] of [
      [undefined, 'nothing'],
      [1.5, '1.5'],
      [-0, '0'],
      [true, 'true'],
      ['a\n"b"', '"a\\n\\"b\\""'],
      [[], 'an empty list'],
      [[1], 'a list'],
      [{}, 'a table'],
      [new Date(0), 'a date'],
    ] as const) {
      assert.equal(inspectValue(value, { secret: false }), shown);
    }
  });

  it('cuts long strings', () => {
    assert.equal(inspectValue('x'.repeat(100), { secret: false }), `"${'x'.repeat(60)}…"`);
  });

  it('never shows a secret', () => {
    assert.equal(inspectValue('hunter2', { secret: true }), 'a string');
    assert.equal(inspectValue('', { secret: true }), 'an empty string');
    assert.equal(inspectValue(42, { secret: true }), 'a number');
  });
});
