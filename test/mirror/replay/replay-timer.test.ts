import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ReplayTimer } from '../../../src/mirror/replay/replay-timer.ts';
import { monotonicNow } from '../../../src/util/clock.ts';

it('An answer that is overdue is told once to be cancelled, and once more when that did not help', () => {
  const timer = new ReplayTimer();
  const now = monotonicNow();
  assert.equal(timer.check(now + 1e6), undefined, 'nothing is waited for');
  timer.expect(1_000);
  assert.equal(timer.check(now + 900), undefined);
  assert.equal(timer.check(now + 5_000), 'first');
  assert.ok(timer.timedOut);
  assert.equal(timer.check(now + 6_000), undefined);
  assert.equal(timer.check(now + 8_000), 'again');
  timer.clear();
  assert.equal(timer.check(now + 1e6), undefined);
  // What is left of the transaction is only to be ended: soon, whatever it may take otherwise.
  timer.expect(60_000);
  assert.equal(timer.check(monotonicNow() + 3_000), 'again');
  timer.reset();
  assert.ok(!timer.timedOut);
});

it('A cancel is repeated until the answer is there', (test) => {
  test.mock.timers.enable({ apis: ['setTimeout'] });
  const timer = new ReplayTimer();
  let cancels = 0;
  timer.cancelLater(5_000, () => cancels++);
  test.mock.timers.tick(4);
  assert.equal(cancels, 0);
  test.mock.timers.tick(1);
  assert.equal(cancels, 1);
  for (let second = 0; second < 3; second++) test.mock.timers.tick(1_000);
  assert.equal(cancels, 4);
  timer.clear();
  test.mock.timers.tick(60_000);
  assert.equal(cancels, 4);
});
