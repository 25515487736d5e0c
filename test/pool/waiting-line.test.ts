import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { WaitingLine } from '../../src/pool/waiting-line.ts';

const LIMIT_MS = 1_000;

/** A line in which somebody waits, and time that passes when it is told to. */
function lineOf(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 5_000;
  let limitMs = LIMIT_MS;
  const refused: string[] = [];
  const line = new WaitingLine<never>(
    () => limitMs,
    () => undefined,
    () => now,
  );
  return {
    line,
    refused,
    limit: (milliseconds: number) => {
      limitMs = milliseconds;
      line.limitChanged();
    },
    join: (name: string) => line.join({ granted: () => assert.fail(), refused: () => refused.push(name) }),
    pass: (milliseconds: number) => {
      for (const end = now + milliseconds; now < end;) {
        now++;
        t.mock.timers.tick(1);
      }
    },
  };
}

describe('whoever waits in the line', () => {
  it('is refused when the time is over, and no sooner', (t) => {
    const { line, refused, join, pass } = lineOf(t);
    join('first');
    pass(600);
    join('second');
    pass(398);
    assert.deepEqual([refused, line.length], [[], 2]);
    pass(2);
    assert.deepEqual([refused, line.length], [['first'], 1]);
    pass(600);
    assert.deepEqual([refused, line.length], [['first', 'second'], 0]);
  });

  it('has the whole time again when RESUME comes, however long ago PAUSE was', (t) => {
    const { line, refused, join, pass } = lineOf(t);
    line.patient = true;
    join('before');
    pass(2_500);
    line.patient = false;
    pass(900);
    join('after');
    assert.deepEqual(refused, []);
    pass(100);
    assert.deepEqual(refused, ['before']);
    pass(900);
    assert.deepEqual(refused, ['before', 'after']);
  });

  it('is not late for what another PAUSE took', (t) => {
    const { line, refused, join, pass } = lineOf(t);
    join('one');
    pass(900);
    line.patient = true;
    pass(5_000);
    assert.deepEqual(refused, []);
    line.patient = false;
    pass(999);
    assert.deepEqual(refused, []);
    pass(1);
    assert.deepEqual(refused, ['one']);
  });

  it('is refused when another time is over as soon as that has changed, whoever waited before', (t) => {
    const { line, refused, limit, join, pass } = lineOf(t);
    join('served');
    line.shift();
    limit(100);
    join('one');
    pass(100);
    assert.deepEqual(refused, ['one']);
    join('other');
    pass(50);
    limit(500);
    pass(449);
    assert.deepEqual(refused, ['one']);
    pass(1);
    assert.deepEqual(refused, ['one', 'other']);
  });
});
