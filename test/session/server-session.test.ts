import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Owed } from '../../src/session/answer-queue.ts';
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

  it('follows a changed configuration of its server, but for what was set in it', () => {
    const session = new ServerSession(new Map([...['TimeZone', 'DateStyle'].map((name) => [name, 'old'] as const)]));
    session.reported = session.reported.with('TimeZone', 'new').with('DateStyle', 'new');
    session.reconfigured(['TimeZone', 'DateStyle', 'other'], new Map([['datestyle', 'new']]));
    assert.deepEqual(
      [...session.baseline.entries],
      [
        ['DateStyle', 'old'],
        ['TimeZone', 'new'],
      ],
    );
  });

  it('is as after a login when DISCARD ALL was run', () => {
    const session = new ServerSession(new Map());
    const [one] = texts('1') as [never];
    session.prepared.prepared(one);
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

it('is about to end its block until the last request that does has been answered, whatever was sent behind it', () => {
  const session = new ServerSession(new Map());
  const send = (ends: boolean): void => {
    session.sends(ends);
    session.answers.push(Owed.Query);
  };
  const answer = (): boolean => {
    session.answers.shift();
    session.answered();
    return session.isEnding;
  };
  send(false);
  assert.equal(session.isEnding, false);
  send(true);
  send(false);
  send(true);
  send(false);
  assert.deepEqual(
    [session.isEnding, answer(), answer(), answer(), answer(), answer()],
    [true, true, true, true, false, false],
  );
  send(false);
  assert.equal(session.isEnding, false);
});
