import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { beginsTransaction } from '../../src/session/begins-transaction.ts';

describe('a text that does nothing but begin a transaction block', () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ['BEGIN', true],
    [' begin isolation level repeatable read ;\n', true],
    ['START TRANSACTION READ ONLY', true],
    ['BEGIN; SELECT 1', false],
    ['beginning', false],
    ['SELECT 1', false],
    ['start_it()', false],
    ['', false],
    [`BEGIN /* ${'long '.repeat(100)} */`, false],
  ];
  for (const [text, expected] of cases) {
    it(`is ${expected ? 'found' : 'not found'}: ${text.slice(0, 40)}`, () => {
      assert.equal(beginsTransaction(Buffer.from(`x${text}\0BEGIN\0`), 1), expected);
    });
  }
});
