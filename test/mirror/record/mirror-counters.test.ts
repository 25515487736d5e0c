import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { DROP_REASONS, dropReasonIndex, indexOfDropReason } from '../../../src/mirror/record/drop-reason-names.ts';
import { allocateCounters, MirrorCounters } from '../../../src/mirror/record/mirror-counters.ts';
import type { MirrorCounts } from '../../../src/mirror/record/mirror-counters.ts';
import { DropReason, dropReasonNames, Outcome } from '../../../src/mirror/record/record-stream.ts';

function mirroredDroppedQueued(counts: MirrorCounts): number {
  const dropped = counts.dropped.reduce((sum, count) => sum + count, 0);
  return counts.replayed + counts.failed + counts.timedOut + dropped + counts.queueLength;
}

describe('the reasons of drops', () => {
  it('stand in the order in which they count', () => {
    assert.deepEqual(DROP_REASONS, [
      ...['refused', 'filtered', 'exposure', 'mirror_down'],
      ...['too_large', 'bytes_full'],
      ...['aborted', 'queue_full'],
      ...['unsafe', 'denied', 'no_user', 'session_lost', 'lag', 'lost'],
    ]);
  });

  it('that the mirror process gives have the same names, and an unknown one is lost', () => {
    for (const code of Object.values(DropReason)) {
      assert.equal(DROP_REASONS[indexOfDropReason(code)], dropReasonNames[code]);
    }
    assert.equal(indexOfDropReason(200), dropReasonIndex.lost);
  });
});

describe('the counters of a thread', () => {
  it('are kept for each mirror and user', () => {
    const counters = new MirrorCounters(allocateCounters());
    counters.queued(0, 100);
    counters.queued(0, 50);
    counters.dropped(1, dropReasonIndex.exposure);
    counters.finished(0, 100, Outcome.TimedOut, 0);
    counters.finished(0, 50, Outcome.Dropped, dropReasonIndex.lag);
    counters.queued(1, 7);
    const [first, second] = counters.read(2) as [MirrorCounts, MirrorCounts];
    assert.deepEqual(
      [first.total, first.replayed, first.failed, first.timedOut, first.queueLength, first.queuedBytes],
      [2, 0, 0, 1, 0, 0],
    );
    assert.equal(first.dropped[dropReasonIndex.lag], 1);
    assert.deepEqual([second.total, second.queueLength, second.queuedBytes], [2, 1, 7]);
    assert.equal(second.dropped[dropReasonIndex.exposure], 1);
    assert.deepEqual([first, second].map(mirroredDroppedQueued), [2, 2]);
  });

  it('are set to what is queued by a reset', () => {
    const counters = new MirrorCounters(allocateCounters());
    counters.queued(0, 10);
    counters.queued(0, 20);
    counters.finished(0, 10, Outcome.Failed, 0);
    counters.dropped(0, dropReasonIndex.refused);
    counters.reset(0);
    const [counts] = counters.read(1) as [MirrorCounts];
    assert.deepEqual([counts.total, counts.failed, counts.queueLength, counts.queuedBytes], [1, 0, 1, 20]);
    assert.equal(mirroredDroppedQueued(counts), 1);
  });

  it('have what was queued counted as lost when the thread is dead', () => {
    const memory = allocateCounters();
    const counters = new MirrorCounters(memory);
    counters.queued(0, 10);
    counters.queued(1, 20);
    counters.queued(1, 20);
    new MirrorCounters(memory).settleDeadThread(2, dropReasonIndex.lost);
    const read = counters.read(2);
    assert.deepEqual(
      read.map(({ queueLength, queuedBytes }) => [queueLength, queuedBytes]),
      [
        [0, 0],
        [0, 0],
      ],
    );
    assert.deepEqual(
      read.map(({ dropped }) => dropped[dropReasonIndex.lost]),
      [1, 2],
    );
    assert.deepEqual(read.map(mirroredDroppedQueued), [1, 2]);
  });

  it('can be read although the thread died while it wrote', () => {
    const memory = allocateCounters();
    Atomics.store(new Int32Array(memory.version), 0, 41);
    const counters = new MirrorCounters(memory);
    counters.settleDeadThread(1, dropReasonIndex.lost);
    assert.equal(counters.read(1).length, 1);
  });

  it('can be read, too, where nobody knows yet that it died', () => {
    const memory = allocateCounters();
    Atomics.store(new Int32Array(memory.version), 0, 41);
    assert.equal(new MirrorCounters(memory).read(1).length, 1);
  });
});

/** Reads until it has seen enough changes, or something wrong. */
const READER = `
  const { parentPort, workerData } = require('node:worker_threads');
  import(workerData.module).then(({ MirrorCounters }) => {
    const counters = new MirrorCounters(workerData.memory);
    const over = new Int32Array(workerData.over);
    const wrong = [];
    let last = 0;
    let changes = 0;
    parentPort.postMessage('ready');
    while (changes < 200 && wrong.length === 0 && Atomics.load(over, 0) === 0) {
      let total = 0;
      for (const counts of counters.read(2)) {
        const dropped = counts.dropped.reduce((sum, count) => sum + count, 0);
        const sum = counts.replayed + counts.failed + counts.timedOut + dropped + counts.queueLength;
        if (sum !== counts.total || counts.queuedBytes !== counts.queueLength * 8) wrong.push(JSON.stringify(counts));
        total += counts.total;
      }
      if (total !== last) changes++;
      last = total;
    }
    Atomics.store(over, 0, 1);
    parentPort.postMessage({ changes, wrong });
  });
`;

describe('a reading of the counters from another thread', () => {
  it('adds up at every sample: total = mirrored + dropped + queue', async () => {
    const memory = allocateCounters();
    const over = new Int32Array(new SharedArrayBuffer(4));
    const module = import.meta.resolve('../../../src/mirror/record/mirror-counters.ts');
    const worker = new Worker(READER, { eval: true, workerData: { module, memory, over: over.buffer } });
    await once(worker, 'message');
    const counters = new MirrorCounters(memory);
    const giveUpAt = performance.now() + 60_000;
    for (let round = 0; Atomics.load(over, 0) === 0 && performance.now() < giveUpAt; round++) {
      const row = round % 2;
      counters.queued(row, 8);
      counters.queued(row, 8);
      counters.dropped(row, round % DROP_REASONS.length);
      counters.finished(row, 8, Outcome.Replayed, 0);
      counters.finished(row, 8, Outcome.Dropped, dropReasonIndex.lag);
      if (round % 1_000 === 999) counters.reset(row);
      // A pause now and then, or a reader on a busy machine would never find a quiet moment.
      if (round % 100 === 99) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0.1);
    }
    Atomics.store(over, 0, 1);
    const [{ changes, wrong }] = (await once(worker, 'message')) as [{ changes: number; wrong: string[] }];
    await worker.terminate();
    assert.deepEqual(wrong, []);
    assert.ok(changes > 10, `${changes} changes`);
  });
});
