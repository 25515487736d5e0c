import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WriteLog } from '../../../src/mirror/compare/write-log.ts';
import type { LoggedWrite, ReadMoment } from '../../../src/mirror/compare/write-log.ts';

type Span = readonly [from: number, to: number];

/** A write of one request: when on the source, and when on the mirror. */
function write(source: Span, mirror: Span | undefined, more: Partial<LoggedWrite> = {}): LoggedWrite {
  const [sent, done] = mirror ?? [Infinity, Infinity];
  return {
    relations: new Set(['t']),
    insertsOnly: false,
    begunAt: source[0],
    sentAt: source[0],
    doneAt: source[1],
    mirrorBegunAt: sent,
    mirrorSentAt: sent,
    mirrorDoneAt: done,
    isLost: false,
    ...more,
  };
}

function read(source: Span, mirror: Span, more: Partial<ReadMoment> = {}): ReadMoment {
  return {
    relations: new Set(['t']),
    seesFrom: source[0],
    doneAt: source[1],
    mirrorSeesFrom: mirror[0],
    mirrorDoneAt: mirror[1],
    own: undefined,
    ...more,
  };
}

function logOf(...writes: readonly LoggedWrite[]): WriteLog {
  const log = new WriteLog();
  for (const one of writes) {
    log.add(one);
    if (one.mirrorDoneAt !== Infinity) log.done(one);
  }
  return log;
}

describe('WriteLog', () => {
  it('is clear for a request that came before, or behind, every write on both sides', () => {
    const log = logOf(write([10, 20], [110, 120]));
    assert.equal(log.order(read([1, 5], [101, 105])), 'clear');
    assert.equal(log.order(read([30, 40], [130, 140])), 'clear');
  });

  it('is ambiguous where they overlapped on the source', () => {
    const log = logOf(write([10, 20], [110, 120]));
    for (const span of [
      [5, 15],
      [12, 15],
      [15, 30],
      [5, 30],
    ] as const) {
      assert.equal(log.order(read(span, [130, 140])), 'ambiguous', String(span));
    }
  });

  it('is unverified where the mirror had another order, or none', () => {
    const log = logOf(write([10, 20], [110, 120]));
    assert.equal(log.order(read([30, 40], [100, 105])), 'unverified');
    assert.equal(log.order(read([30, 40], [115, 130])), 'unverified');
    assert.equal(log.order(read([1, 5], [130, 140])), 'unverified');
    assert.equal(logOf(write([10, 20], undefined)).order(read([30, 40], [100, 105])), 'unverified');
  });

  it('does not mind a write that has yet to come on the mirror and came later on the source', () => {
    assert.equal(logOf(write([10, 20], undefined)).order(read([1, 5], [101, 105])), 'clear');
  });

  it('minds only writes on the relations of a request, or on any where they are not known', () => {
    const log = logOf(write([10, 20], [110, 120], { relations: new Set(['u']) }));
    assert.equal(log.order(read([15, 30], [130, 140])), 'clear');
    assert.equal(log.order(read([15, 30], [130, 140], { relations: undefined })), 'ambiguous');
    assert.equal(log.order(read([15, 30], [130, 140], { relations: new Set() })), 'clear');
    const anywhere = logOf(write([10, 20], [110, 120], { relations: undefined }));
    assert.equal(anywhere.order(read([15, 30], [130, 140])), 'ambiguous');
  });

  it('does not mind the transaction that a request is part of', () => {
    const own = write([10, 20], [110, 120]);
    assert.equal(logOf(own).order(read([12, 14], [112, 114], { own })), 'clear');
  });

  it('taints what a write was lost for, from then on, until it is reset', () => {
    const lost = write([10, 20], undefined);
    const log = logOf(lost);
    log.lost(lost);
    assert.equal(log.order(read([30, 40], [130, 140])), 'unverified');
    assert.equal(log.order(read([1, 5], [101, 105])), 'clear');
    assert.equal(log.order(read([30, 40], [130, 140], { relations: new Set(['u']) })), 'clear');
    log.reset();
    assert.equal(log.order(read([50, 60], [150, 160])), 'clear');
  });

  it('taints relations on which two writes took effect in another order, or in one that is not known', () => {
    const swapped = logOf(write([10, 20], [130, 140]), write([30, 40], [110, 120]));
    assert.equal(swapped.order(read([50, 60], [150, 160])), 'unverified');
    const overlapping = logOf(write([10, 35], [110, 120]), write([30, 40], [130, 140]));
    assert.equal(overlapping.order(read([50, 60], [150, 160])), 'unverified');
    const apart = logOf(write([10, 20], [110, 120]), write([30, 40], [130, 140]));
    assert.equal(apart.order(read([50, 60], [150, 160])), 'clear');
  });

  it('lets inserts come in any order', () => {
    const inserts = { insertsOnly: true };
    const log = logOf(write([10, 35], [130, 140], inserts), write([30, 40], [110, 120], inserts));
    assert.equal(log.order(read([50, 60], [150, 160])), 'clear');
  });

  it('forgets what is long ago, and judges nothing that began before', () => {
    const log = new WriteLog();
    for (let n = 0; n < 10_001; n++) {
      const one = write([n * 10, n * 10 + 5], [n * 10, n * 10 + 5]);
      log.add(one);
      log.done(one);
    }
    assert.equal(log.order(read([5, 8], [6, 8])), 'unverified');
    assert.equal(log.order(read([200_000, 200_005], [200_000, 200_005])), 'clear');
  });
});
