import assert from 'node:assert/strict';
import { it } from 'node:test';
import { LogAllowance } from '../../../src/mirror/replay/log-allowance.ts';

it('What happens all the time is said a few times, then once a minute, with how often it was not', () => {
  const allowance = new LogAllowance();
  const said: [second: number, leftOut: number][] = [];
  for (let second = 1_000; second < 1_180; second++) {
    const leftOut = allowance.take(second * 1_000);
    if (leftOut !== undefined) said.push([second - 1_000, leftOut]);
  }
  assert.deepEqual(said, [...[0, 1, 2, 3, 4, 5].map((second) => [second, 0]), [60, 54], [120, 59]]);
});

it('What happens now and then is always said', () => {
  const allowance = new LogAllowance();
  for (let minute = 0; minute < 100; minute++) assert.equal(allowance.take(minute * 61_000), 0);
  // A quiet time earns no more than there was at first.
  for (let line = 0; line < 6; line++) assert.equal(allowance.take(1e9), 0);
  assert.equal(allowance.take(1e9), undefined);
});
