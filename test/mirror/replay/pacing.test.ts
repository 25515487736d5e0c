import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Pacing } from '../../../src/mirror/replay/pacing.ts';

it('a think time is kept in whole milliseconds, and never grows', () => {
  const pacing = new Pacing('realistic');
  pacing.begin(1000, 995);
  assert.deepEqual(
    [0, 999, 1000, 2900, 300_000].map((thinkTime) => pacing.wait(thinkTime)),
    [0, 0, 1, 2, 300],
  );
});

it('what a lane is late beyond the tolerance is taken off the think times until it is made up', () => {
  const pacing = new Pacing('realistic');
  pacing.begin(1250, 1000);
  assert.deepEqual(
    [100_000, 100_000, 100_000].map((thinkTime) => pacing.wait(thinkTime)),
    [0, 50, 100],
  );
  pacing.begin(1100, 1000);
  assert.equal(pacing.wait(100_000), 100);
});

it('without timing nothing is waited for', () => {
  const pacing = new Pacing('none');
  pacing.begin(0, 0);
  assert.equal(pacing.wait(1_000_000), 0);
});
