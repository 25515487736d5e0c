import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Lane } from '../../../src/mirror/replay/lane.ts';
import type { MirrorPool } from '../../../src/mirror/replay/mirror-pool.ts';
import type { MirroredTransaction } from '../../../src/mirror/replay/mirrored-transaction.ts';
import { PATIENCE_MS, Turns, WAITS_FOR_EACH } from '../../../src/mirror/replay/turns.ts';

const START = 1_000_000;
const newLane = (): Lane => new Lane('someone', {} as MirrorPool);
const newTransaction = (): MirroredTransaction => ({}) as MirroredTransaction;

describe('The turns of lanes', () => {
  it('have a lane wait until what it follows is over', () => {
    const turns = new Turns();
    const [one, other, free] = [newLane(), newLane(), newLane()];
    const [first, second] = [newTransaction(), newTransaction()];
    assert.equal(turns.waits(free, undefined, START), false);
    assert.equal(turns.waits(one, first, START), true);
    assert.equal(turns.waits(one, first, START + 1), true);
    assert.equal(turns.waits(other, second, START), true);
    assert.deepEqual(turns.takeReady(), []);
    turns.over(first);
    assert.deepEqual(turns.takeReady(), [one]);
    assert.deepEqual(turns.takeReady(), []);
    assert.equal(turns.waits(one, undefined, START + 2), false);
    turns.over(newTransaction());
    assert.deepEqual(turns.takeReady(), []);
  });

  it('call all back now and then, whatever they wait for', () => {
    const turns = new Turns();
    const [one, other] = [newLane(), newLane()];
    turns.standAside(one);
    assert.equal(turns.waits(other, newTransaction(), START), true);
    assert.deepEqual(turns.takeReady(), []);
    assert.deepEqual(turns.takeAll(), [one, other]);
    assert.deepEqual(turns.takeAll(), []);
  });

  it('let no lane wait longer than a while', () => {
    const turns = new Turns();
    const lane = newLane();
    const slow = newTransaction();
    assert.equal(turns.waits(lane, slow, START), true);
    assert.equal(turns.waits(lane, slow, START + PATIENCE_MS - 1), true);
    assert.equal(turns.waits(lane, slow, START + PATIENCE_MS), false);
  });

  it('let a lane wait for so many times as long as it has run or had nothing to do, and no longer', () => {
    const turns = new Turns();
    const lane = newLane();
    const slow = newTransaction();
    turns.waits(lane, slow, START);
    let now = START + PATIENCE_MS;
    assert.equal(turns.waits(lane, slow, now), false);
    // It runs for 10 ms.
    assert.equal(turns.waits(lane, slow, (now += 10)), true);
    assert.equal(turns.waits(lane, slow, now + 10 * WAITS_FOR_EACH - 1), true);
    // It is called back later than it might have been.
    now += 30 * WAITS_FOR_EACH;
    assert.equal(turns.waits(lane, slow, now), false);
    assert.equal(turns.waits(lane, slow, (now += 20)), false);
    assert.equal(turns.waits(lane, slow, (now += 1)), true);
    assert.equal(turns.waits(lane, undefined, (now += 1)), false);
    // What one did not use up is there the next time, up to a bound.
    assert.equal(turns.waits(lane, slow, (now += 10_000)), true);
    assert.equal(turns.waits(lane, slow, now + PATIENCE_MS - 1), true);
    assert.equal(turns.waits(lane, slow, now + PATIENCE_MS), false);
  });
});
