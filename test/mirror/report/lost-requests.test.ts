import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { Outages } from '../../../src/mirror/replay/outages.ts';
import { LostRequests } from '../../../src/mirror/report/lost-requests.ts';

/** What is made of requests amid which connections ended, on a clock that moves when it is told, in milliseconds. */
function losses(t: TestContext) {
  const clock = { now: performance.now() };
  t.mock.method(performance, 'now', () => clock.now);
  const outages = new Outages();
  const lost = new LostRequests();
  const told: string[] = [];
  const ends = (endState: string, openedAgo: number, heardAgo: number): ReturnType<Outages['ended']> =>
    outages.ended({ openedAt: now() - openedAgo, heardAt: now() - heardAgo, endState, isSilent: endState === '08006' });
  const now = (): number => clock.now + offset;
  // That of the monotonic clock.
  const offset = Number(process.hrtime.bigint()) / 1e6 - clock.now;
  return {
    outages,
    told,
    /** Its connection ends, which was opened, and on which something was heard, so long ago. */
    loses: (fingerprint: string, { openedAgo = 60_000, heardAgo = 10 } = {}): void => {
      const outage = ends('08006', openedAgo, heardAgo);
      assert.ok(outage);
      lost.hold({ fingerprint, outage, count: (isItsDoing) => told.push(`${fingerprint} ${isItsDoing}`) });
    },
    /** One that ran nothing ends. */
    ends: (endState: string): void => void ends(endState, 60_000, 10),
    passes: (milliseconds: number): void => {
      clock.now += milliseconds;
      lost.sweep(now());
    },
  };
}

describe('A request amid which its connection ended', () => {
  it('did that where it does it again, and the server was there in between', (t) => {
    const { loses, passes, told } = losses(t);
    loses('a');
    passes(1_000);
    loses('a', { openedAgo: 500, heardAgo: 500 });
    assert.deepEqual(told, []);
    passes(1_500);
    passes(1_000);
    assert.deepEqual(told, ['a false', 'a true']);
    loses('b', { openedAgo: 500 });
    passes(3_000);
    assert.equal(told.at(-1), 'b false');
  });

  it('did it the first time where the server told others of a crash', (t) => {
    const { loses, ends, passes, told } = losses(t);
    loses('a');
    ends('57P02');
    passes(3_000);
    assert.deepEqual(told, ['a true']);
  });

  it('did not where others ended without a word as well, or later, having heard nothing since', (t) => {
    const { loses, ends, passes, told } = losses(t);
    loses('a');
    ends('08006');
    passes(60_000);
    loses('a', { openedAgo: 30_000 });
    passes(3_000);
    // So the one before was not of one alone, either.
    loses('a', { heardAgo: 10_000 });
    passes(3_000);
    loses('a', { openedAgo: 500 });
    passes(3_000);
    assert.deepEqual(told, ['a false', 'a false', 'a false', 'a false']);
  });

  it('did not where no server is there behind that', (t) => {
    const { loses, outages, passes, told } = losses(t);
    for (let time = 0; time < 2; time++) {
      loses('a', { openedAgo: 500 });
      passes(500);
      outages.unreachable();
      passes(3_000);
    }
    assert.deepEqual(told, ['a false', 'a false']);
  });
});
