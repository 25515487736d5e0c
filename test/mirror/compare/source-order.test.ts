import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SourceOrder } from '../../../src/mirror/compare/source-order.ts';
import type { Underway } from '../../../src/mirror/compare/source-order.ts';

type Relations = readonly string[] | 'any';

const asSet = (relations: Relations): ReadonlySet<string> | undefined =>
  relations === 'any' ? undefined : new Set(relations);

/** A transaction by its name, when it was on the source, and what it reads and writes. */
function underway(
  transaction: string,
  [begunAt, doneAt]: readonly [number, number],
  { reads = [], writes = [] }: { readonly reads?: Relations; readonly writes?: Relations },
): Underway<string> {
  const touched = reads === 'any' || writes === 'any' ? 'any' : [...reads, ...writes];
  return { transaction, begunAt, doneAt, scope: { written: asSet(writes), touched: asSet(touched) }, defines: false };
}

function defining(transaction: string, [begunAt, doneAt]: readonly [number, number]): Underway<string> {
  return { ...underway(transaction, [begunAt, doneAt], { writes: 'any' }), defines: true };
}

function orderOf(...all: readonly Underway<string>[]): SourceOrder<string> {
  const order = new SourceOrder<string>();
  for (const one of all) order.add(one);
  return order;
}

describe('The order of the source', () => {
  it('has a read follow what was written before, and a write what was read before', () => {
    const write = underway('write', [1, 2], { writes: ['t'] });
    const read = underway('read', [3, 4], { reads: ['t', 'u'] });
    const later = underway('later', [5, 6], { writes: ['u'] });
    const order = orderOf(write, read, later);
    assert.equal(order.predecessorOf(write), undefined);
    assert.equal(order.predecessorOf(read), 'write');
    assert.equal(order.predecessorOf(later), 'read');
    order.over(read);
    assert.equal(order.predecessorOf(later), undefined);
  });

  it('leaves alone what overlapped on the source, what only reads, and what has to do with other relations', () => {
    const write = underway('write', [1, 2], { writes: ['t'] });
    const read = underway('read', [3, 4], { reads: ['t', 'u'] });
    const order = orderOf(write, read);
    for (const other of [
      underway('overlaps', [2, 9], { writes: ['t'] }),
      underway('reads', [7, 8], { reads: ['u'] }),
      underway('elsewhere', [7, 8], { writes: ['v'] }),
      underway('nothing', [7, 8], {}),
    ]) {
      order.add(other);
      assert.equal(order.predecessorOf(other), undefined);
      order.over(other);
    }
  });

  it('says nothing where relations are not known: all would wait for all', () => {
    const unknown = underway('unknown', [3, 4], { writes: 'any' });
    const after = underway('after', [5, 6], { reads: ['t'] });
    const last = underway('last', [7, 8], { writes: 'any' });
    const order = orderOf(unknown, after, last);
    for (const one of [unknown, after, last]) assert.equal(order.predecessorOf(one), undefined);
  });

  it('has what defines something follow all that was over, and all that comes later follow it', () => {
    const read = underway('read', [1, 3], { reads: ['t'] });
    const create = defining('create', [4, 6]);
    const overlaps = underway('overlaps', [5, 8], { reads: ['t'] });
    const unknown = underway('unknown', [7, 9], { writes: 'any' });
    const drop = defining('drop', [10, 11]);
    const order = orderOf(read, create, overlaps, unknown, drop);
    const expect = (expected: Readonly<Record<string, string | undefined>>): void => {
      for (const one of [create, overlaps, unknown, drop]) {
        const name = one.transaction ?? '';
        if (name in expected) assert.equal(order.predecessorOf(one), expected[name], name);
      }
    };
    expect({ create: 'read', overlaps: undefined, unknown: 'create', drop: 'unknown' });
    order.over(read);
    expect({ create: undefined, unknown: 'create' });
    order.over(create);
    order.over(unknown);
    expect({ overlaps: undefined, drop: 'overlaps' });
    order.over(overlaps);
    expect({ drop: undefined });
  });

  it('names the last of several that are not over', () => {
    const writes = Array.from({ length: 200 }, (_, n) => underway(`write ${n}`, [2 * n, 2 * n + 1], { writes: ['t'] }));
    const after = underway('after', [401, 402], { reads: ['t'] });
    const order = orderOf(...writes, after);
    const [first, ...others] = writes;
    for (const one of others.toReversed()) {
      assert.equal(order.predecessorOf(after), one.transaction);
      order.over(one);
    }
    assert.equal(order.predecessorOf(after), 'write 0');
    assert.ok(first);
    order.over(first);
    assert.equal(order.predecessorOf(after), undefined);
  });
});
