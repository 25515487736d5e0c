import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WriteLog } from '../../../src/mirror/compare/write-log.ts';
import type { LoggedWrite, ReadMoment } from '../../../src/mirror/compare/write-log.ts';

/** What a write changes (`t` unless it says otherwise), and what it reads besides. */
interface Scope {
  readonly relations?: readonly string[] | 'any';
  readonly reads?: readonly string[];
  readonly insertsOnly?: boolean;
}
type Span = readonly [from: number, to: number];

/** A write of one request: when on the source, and when on the mirror. */
function write(
  source: Span,
  mirror: Span | undefined,
  { relations = ['t'], reads = [], ...more }: Partial<LoggedWrite> & Scope = {},
): LoggedWrite {
  const [sent, done] = mirror ?? [Infinity, Infinity];
  const written = relations === 'any' ? undefined : new Set(relations);
  return {
    scope: {
      written,
      touched: written && new Set([...written, ...reads]),
      insertsOnly: more.insertsOnly === true,
    },
    defines: false,
    isRolledBack: false,
    begunAt: source[0],
    sentAt: source[0],
    doneAt: source[1],
    mirrorBegunAt: sent,
    mirrorSentAt: sent,
    mirrorDoneAt: done,
    ...more,
  };
}

function read(source: Span, mirror: Span, more: Partial<ReadMoment> = {}): ReadMoment {
  return {
    relations: new Set(['t']),
    ofDefinitions: false,
    seesFrom: source[0],
    doneAt: source[1],
    mirrorSeesFrom: mirror[0],
    mirrorDoneAt: mirror[1],
    own: undefined,
    ...more,
  };
}

function logOf(...writes: readonly LoggedWrite[]): WriteLog {
  const log = new WriteLog((relation) => relation === 'numbered');
  for (const one of writes) log.add(one);
  const done = writes.filter(({ mirrorDoneAt }) => mirrorDoneAt !== Infinity);
  const ends = done.map((one) => [one, one.mirrorDoneAt] as const).toSorted(([, a], [, b]) => a - b);
  for (const [one] of ends) one.mirrorDoneAt = Infinity;
  for (const [one, event] of ends) log.done(one, event);
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
    const log = logOf(write([10, 20], [110, 120], { relations: ['u'] }));
    assert.equal(log.order(read([15, 30], [130, 140])), 'clear');
    assert.equal(log.order(read([15, 30], [130, 140], { relations: undefined })), 'ambiguous');
    assert.equal(log.order(read([15, 30], [130, 140], { relations: new Set() })), 'clear');
    const anywhere = logOf(write([10, 20], [110, 120], { relations: 'any' }));
    assert.equal(anywhere.order(read([15, 30], [130, 140])), 'ambiguous');
  });

  it('does not mind the transaction that a request is part of', () => {
    const own = write([10, 20], [110, 120]);
    assert.equal(logOf(own).order(read([12, 14], [112, 114], { own })), 'clear');
  });

  it('taints what a write was lost for, from then on, until it is reset', () => {
    const lost = write([10, 20], undefined);
    const log = logOf(lost);
    log.lost(lost, 100);
    assert.equal(log.order(read([30, 40], [130, 140])), 'unverified');
    assert.equal(log.order(read([1, 5], [101, 105])), 'clear');
    assert.equal(log.order(read([30, 40], [130, 140], { relations: new Set(['u']) })), 'clear');
    log.reset();
    assert.equal(log.order(read([50, 60], [150, 160])), 'clear');
  });

  it('does not taint rows that the source rolled back, too, where that failed on the mirror', () => {
    const undone = write([10, 20], undefined, { isRolledBack: true, relations: ['t', 'numbered'] });
    const log = logOf(undone);
    log.failed(undone, 100);
    assert.equal(log.order(read([30, 40], [130, 140])), 'clear');
    assert.equal(log.order(read([30, 40], [130, 140], { relations: new Set(['numbered']) })), 'unverified');

    const committed = write([50, 60], undefined);
    log.add(committed);
    log.failed(committed, 200);
    assert.equal(log.order(read([70, 80], [230, 240])), 'unverified');
  });

  it('taints what the source rolled back where the mirror did not run it: a part may have been committed', () => {
    const undone = write([10, 20], undefined, { isRolledBack: true });
    const log = logOf(undone);
    log.lost(undone, 100);
    assert.equal(log.order(read([30, 40], [130, 140])), 'unverified');
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

  it('minds the order of inserts where they take numbers from a sequence, even of one that was rolled back', () => {
    const insert = { insertsOnly: true, relations: ['numbered'] };
    const after = read([50, 60], [150, 160], { relations: new Set(['numbered']) });
    const swapped = logOf(write([10, 35], [130, 140], insert), write([30, 40], [110, 120], insert));
    assert.equal(swapped.order(after), 'unverified');
    const undone = { ...insert, isRolledBack: true };
    const gap = logOf(write([10, 35], [130, 140], undone), write([30, 40], [110, 120], insert));
    assert.equal(gap.order(after), 'unverified');
    const apart = logOf(write([10, 20], [110, 120], undone), write([30, 40], [130, 140], insert));
    assert.equal(apart.order(after), 'clear');
  });

  it('does not mind what was rolled back, where nothing is numbered', () => {
    const undone = { isRolledBack: true };
    const log = logOf(write([10, 35], [130, 140], undone), write([30, 40], [110, 120]));
    assert.equal(log.order(read([32, 34], [142, 145])), 'ambiguous', 'the other one');
    assert.equal(log.order(read([50, 60], [150, 160])), 'clear');
  });

  it('taints what a write stores that reads what another one changes, where their order was not the same', () => {
    const copy = { relations: ['u'], reads: ['t'] };
    const log = logOf(write([10, 35], [130, 140], copy), write([30, 40], [110, 120]));
    assert.equal(log.order(read([50, 60], [150, 160], { relations: new Set(['u']) })), 'unverified');
    assert.equal(log.order(read([50, 60], [150, 160])), 'clear');
  });

  it('minds changed definitions alone for what rows have nothing to do with', () => {
    const ofDefinitions = { ofDefinitions: true };
    const rows = logOf(write([10, 20], undefined));
    rows.taints.add(undefined, -Infinity);
    assert.equal(rows.order(read([15, 30], [100, 105], ofDefinitions)), 'clear');
    const definitions = logOf(write([10, 20], [110, 120], { relations: 'any', defines: true }));
    assert.equal(definitions.order(read([15, 30], [130, 140], ofDefinitions)), 'ambiguous');
    definitions.taints.addDefinitions(5);
    assert.equal(definitions.order(read([30, 40], [130, 140], ofDefinitions)), 'unverified');
  });

  it('forgets what is long ago, and judges nothing that began before', () => {
    const log = new WriteLog(() => false);
    for (let n = 0; n < 20_001; n++) {
      const one = { ...write([n * 10, n * 10 + 5], [n * 10, n * 10 + 5]), mirrorDoneAt: Infinity };
      log.add(one);
      log.done(one, n * 10 + 5);
    }
    assert.equal(log.order(read([5, 8], [6, 8])), 'unverified');
    assert.equal(log.order(read([300_000, 300_005], [300_000, 300_005])), 'clear');
  });
});
