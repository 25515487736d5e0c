import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Lane } from '../../../src/mirror/replay/lane.ts';
import type { MirroredTransaction } from '../../../src/mirror/replay/mirrored-transaction.ts';
import type { MirrorPool } from '../../../src/mirror/replay/mirror-pool.ts';
import { PreparedTransactions } from '../../../src/mirror/replay/prepared-transactions.ts';
import { halfFollows, LACKS_HALF } from '../../../src/mirror/replay/two-phase-order.ts';

const prepared = new PreparedTransactions({
  preparedOnSource: async () => [],
  preparedOnMirror: async () => [],
  onMirror: async () => undefined,
  settled: () => undefined,
});

/** What was on the source between these moments, and which half it is. */
function transaction(startedAt: number, endedAt: number, gid?: string, ends = false): MirroredTransaction {
  const twoPhase = gid === undefined ? undefined : { gid, ends };
  return { recorded: { startedAt, endedAt }, twoPhase } as unknown as MirroredTransaction;
}

function lane(...queue: readonly MirroredTransaction[]): Lane {
  const one = new Lane('someone', {} as MirrorPool);
  for (const queued of queue) {
    one.queue.push(queued);
    if (queued.twoPhase?.ends === true) one.endings.push(queued.twoPhase.gid);
  }
  return one;
}

/** What the head of the first of these lanes follows, `age` milliseconds after its end. */
function follows(age: number, ...lanes: readonly Lane[]): unknown {
  const [own] = lanes;
  const head = own?.queue.peek();
  assert.ok(own && head);
  return halfFollows(head, own, { lanes: new Set(lanes), prepared, maxLagMs: 60_000 }, head.recorded.endedAt + age);
}

describe('On a mirror PREPARE TRANSACTION follows', () => {
  const half = transaction(10, 20, 'a');
  const end = transaction(21, 22, 'a', true);
  const before = transaction(1, 2);

  it('what stands before its second half, however late that is', () => {
    assert.equal(follows(1_000, lane(half), lane(before, end)), before);
    const running = lane(end);
    running.running = before;
    assert.equal(follows(1_000, lane(half), running), before);
    assert.equal(follows(1_000, lane(half), lane(end)), undefined);
    assert.equal(follows(31_000, lane(half), lane(before, end)), undefined, 'it is about to be dropped');
  });

  it('nothing where its own client ends it, or where who ends it waits for a half', () => {
    assert.equal(follows(0, lane(half, end), lane(before)), undefined);
    assert.equal(follows(0, lane(half), lane(transaction(1, 2, 'b'), end)), undefined);
    assert.equal(follows(0, lane(half), lane(transaction(1, 2, 'b', true), end)), undefined);
  });

  it('what was over before it began where no second half has come, unless it is late', () => {
    assert.equal(follows(100, lane(half), lane(transaction(3, 12)), lane(before)), before);
    assert.equal(follows(100, lane(half), lane(transaction(3, 12))), undefined, 'it overlapped');
    assert.equal(follows(300, lane(half), lane(before)), undefined);
  });

  it('nothing where it is none, and the second half follows the first', () => {
    assert.equal(follows(0, lane(transaction(10, 20)), lane(before)), undefined);
    assert.equal(follows(0, lane(end)), LACKS_HALF);
    prepared.prepared('a', true, 'someone');
    assert.equal(follows(0, lane(end)), undefined);
    prepared.forgetAll();
  });
});
