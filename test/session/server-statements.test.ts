import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ServerStatements } from '../../src/session/server-statements.ts';
import { StatementRegistry } from '../../src/session/statement-names.ts';
import type { PreparedText } from '../../src/session/statement-names.ts';

type Texts = [PreparedText, PreparedText, PreparedText];

function texts(): Texts {
  const registry = new StatementRegistry('p');
  return ['1', '2', '3'].map((sql) => registry.acquire(Buffer.from(`${sql}\0\0\0`))) as Texts;
}

describe('the statements of a server connection', () => {
  it('are given up from the one used least recently when there would be too many', () => {
    const statements = new ServerStatements();
    const [one, two, three] = texts();
    for (const text of [one, two]) statements.prepared(text);
    assert.deepEqual(statements.beyond(3), []);
    assert.deepEqual(statements.beyond(2), [one]);
    statements.prepared(three);
    statements.use(one);
    assert.deepEqual(statements.beyond(3), [two]);
    assert.deepEqual(statements.beyond(1), [two, three, one]);
  });

  it('that are on their way count, and are not given up', () => {
    const statements = new ServerStatements();
    const [one, two, three] = texts();
    statements.prepared(one);
    statements.sent(two);
    assert.deepEqual(statements.beyond(2), [one]);
    statements.sent(one);
    assert.deepEqual(statements.beyond(1), []);
    assert.deepEqual(
      [one, two, three].map((text) => statements.isUnsettled(text)),
      [true, true, false],
    );
  });

  it('are settled when all that was sent about them has been answered', () => {
    const statements = new ServerStatements();
    const [one] = texts();
    for (let message = 0; message < 3; message++) statements.sent(one);
    for (let message = 0; message < 3; message++) {
      assert.ok(statements.isUnsettled(one));
      statements.answered(one);
    }
    assert.equal(statements.isUnsettled(one), false);
  });

  it('tell what is known of one that is used, and nothing of one that is not there', () => {
    const statements = new ServerStatements();
    const [one, two] = texts();
    statements.prepared(one);
    assert.deepEqual([statements.use(one), statements.use(two)], [{ shape: undefined }, undefined]);
    statements.closed(one);
    assert.deepEqual([statements.size, statements.has(one), statements.get(one)], [0, false, undefined]);
  });
});
