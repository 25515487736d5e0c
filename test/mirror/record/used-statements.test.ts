import assert from 'node:assert/strict';
import { it } from 'node:test';

import { UsedStatements } from '../../../src/mirror/record/used-statements.ts';
import { StatementRegistry } from '../../../src/session/statement-names.ts';

it('Each statement that a transaction uses is there once, whether they are few or many', () => {
  const registry = new StatementRegistry('pgmirror_');
  const texts = Array.from({ length: 30 }, (_, index) => registry.acquire(Buffer.from(`SELECT ${index}\0\0\0`)));
  const used = new UsedStatements();
  for (const count of [1, 8, 9, 30, 2]) {
    const some = texts.slice(0, count);
    for (const text of [...some, ...some]) used.add(text);
    assert.deepEqual([...used], some);
    used.clear();
    assert.deepEqual([...used], []);
  }
});
