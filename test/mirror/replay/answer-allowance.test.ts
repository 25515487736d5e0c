import assert from 'node:assert/strict';
import { it } from 'node:test';
import { answerAllowance } from '../../../src/mirror/replay/answer-allowance.ts';

it('a mirror may answer 16 MiB, and 8 MiB more for each millisecond that the transaction lasted on the source', () => {
  const mebibytes = (startedAt: number, endedAt: number): number =>
    answerAllowance({ startedAt, endedAt }) / (1024 * 1024);
  assert.deepEqual([mebibytes(1000, 1000), mebibytes(1000, 1001), mebibytes(1000, 1250.5)], [16, 24, 2020]);
  assert.equal(mebibytes(1000, 999), 16);
});
