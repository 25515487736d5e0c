import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ParameterSet } from '../../src/session/parameter-set.ts';
import { ServerSession } from '../../src/session/server-session.ts';
import { StatementRegistry } from '../../src/session/statement-names.ts';

function texts(...sqls: readonly string[]) {
  const registry = new StatementRegistry('p');
  return sqls.map((sql) => registry.acquire(Buffer.from(`${sql}\0\0\0`)));
}

describe("a server connection's session", () => {
  it('begins with what was reported at its login, and nothing applied', () => {
    const session = new ServerSession(new Map([['TimeZone', 'UTC']]));
    assert.equal(session.reported, session.baseline);
    assert.deepEqual([...session.baseline.entries], [['TimeZone', 'UTC']]);
    assert.deepEqual([session.applied.key, session.unclean, session.answers.quiet], ['', false, true]);
  });

  it('gives up the statement used least recently once the limit is reached', () => {
    const session = new ServerSession(new Map());
    const [one, two, three] = texts('1', '2', '3') as [never, never, never];
    for (const text of [one, two]) session.prepared.set(text, { shape: undefined });
    assert.equal(session.overLimit(3), undefined);
    assert.equal(session.overLimit(2), one);
    session.prepared.set(three, { shape: 'x' });
    session.use(one);
    assert.equal(session.overLimit(3), two);
    session.use(two);
    assert.equal(session.overLimit(3), three);
  });

  it('tells what is known of a statement that is used, and nothing of one it lacks', () => {
    const session = new ServerSession(new Map());
    const [one, two] = texts('1', '2') as [never, never];
    session.prepared.set(one, { shape: 'x' });
    assert.deepEqual(session.use(one), { shape: 'x' });
    assert.equal(session.use(two), undefined);
    assert.equal(session.prepared.size, 1);
  });

  it('is as after a login when DISCARD ALL was run', () => {
    const session = new ServerSession(new Map());
    const [one] = texts('1') as [never];
    session.prepared.set(one, { shape: 'x' });
    session.applied = ParameterSet.empty.with('a', '1');
    session.unnamedOwner = {};
    session.unclean = true;
    session.discarded();
    assert.deepEqual(
      [session.prepared.size, session.applied.key, session.unnamedOwner, session.unclean],
      [0, '', undefined, false],
    );
  });
});
