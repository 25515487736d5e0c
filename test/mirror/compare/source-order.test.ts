import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SourceOrder } from '../../../src/mirror/compare/source-order.ts';
import type { Underway } from '../../../src/mirror/compare/source-order.ts';

type Relations = readonly string[] | 'any';

const asSet = (relations: Relations): ReadonlySet<string> | undefined =>
  relations === 'any' ? undefined : new Set(relations);

/** A transaction by its name, when it was on the source, what it reads and writes, and which words are in it. */
function underway(
  transaction: string,
  [begunAt, doneAt]: readonly [number, number],
  uses: { readonly reads?: Relations; readonly writes?: Relations; readonly words?: readonly string[] },
): Underway<string> {
  const { reads = [], writes = [], words = [] } = uses;
  const touched = reads === 'any' || writes === 'any' ? 'any' : [...reads, ...writes];
  return {
    transaction,
    begunAt,
    doneAt,
    scope: { written: asSet(writes), touched: asSet(touched) },
    defines: undefined,
    findWords: () => new Set(words),
    words: undefined,
  };
}

function defining(
  transaction: string,
  [begunAt, doneAt]: readonly [number, number],
  {
    words,
    isAll = true,
    isExtension = false,
    uses = words,
  }: { words: readonly string[]; isAll?: boolean; isExtension?: boolean; uses?: readonly string[] },
): Underway<string> {
  const defines = { words: new Set(words), isAll, isExtension };
  return { ...underway(transaction, [begunAt, doneAt], { writes: 'any', words: uses }), defines };
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
    assert.equal(order.predecessorOf(write, false), undefined);
    assert.equal(order.predecessorOf(read, false), 'write');
    assert.equal(order.predecessorOf(later, false), 'read');
    order.over(read);
    assert.equal(order.predecessorOf(later, false), undefined);
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
      assert.equal(order.predecessorOf(other, false), undefined);
      order.over(other);
    }
  });

  it('says nothing where relations are not known: all would wait for all', () => {
    const unknown = underway('unknown', [3, 4], { writes: 'any' });
    const after = underway('after', [5, 6], { reads: ['t'] });
    const last = underway('last', [7, 8], { writes: 'any' });
    const order = orderOf(unknown, after, last);
    for (const one of [unknown, after, last]) assert.equal(order.predecessorOf(one, false), undefined);
  });

  it('has what defines something follow what names it, and what names it follow that, unless it is late', () => {
    const read = underway('read', [1, 3], { reads: ['t'], words: ['select', 'a', 'from', 't'] });
    const create = defining('create', [4, 6], { words: ['t'], uses: ['create', 'table', 't', 'kind'] });
    const elsewhere = defining('elsewhere', [4, 6], { words: ['u'] });
    const overlaps = underway('overlaps', [5, 8], { reads: ['t'], words: ['t'] });
    const other = underway('other', [7, 9], { reads: ['v'], words: ['v'] });
    const enumerate = defining('type', [7, 9], { words: ['kind'] });
    const drop = defining('drop', [10, 11], { words: ['t'] });
    const order = orderOf(read, create, elsewhere, overlaps, other, enumerate, drop);
    const expect = (expected: Readonly<Record<string, string | undefined>>): void => {
      for (const one of [create, elsewhere, overlaps, other, enumerate, drop]) {
        const name = one.transaction ?? '';
        if (name in expected) assert.equal(order.predecessorOf(one, false), expected[name], name);
        assert.equal(order.predecessorOf(one, true), undefined, name);
      }
    };
    expect({
      create: 'read',
      elsewhere: undefined,
      overlaps: undefined,
      other: undefined,
      type: 'create',
      drop: 'create',
    });
    order.over(create);
    expect({ type: 'elsewhere', drop: 'overlaps' });
    order.over(overlaps);
    expect({ drop: 'read' });
  });

  it('looks for words only while something that is defined is under way, and forgets them then', () => {
    const found: string[] = [];
    const naming = (name: string, at: number): Underway<string> => ({
      ...underway(name, [at, at + 1], {}),
      findWords: () => {
        found.push(name);
        return new Set(['t']);
      },
    });
    const [over, before, between, after] = [
      naming('over', 1),
      naming('before', 3),
      naming('between', 7),
      naming('after', 11),
    ];
    const order = orderOf(over, before);
    order.over(over);
    assert.deepEqual(found, []);
    const create = defining('create', [5, 6], { words: ['t'] });
    order.add(create);
    order.add(between);
    assert.deepEqual(found, ['before', 'between']);
    assert.equal(order.predecessorOf(create, false), 'before');
    assert.equal(order.predecessorOf(between, false), 'create');
    order.over(create);
    order.add(after);
    assert.deepEqual(found, ['before', 'between']);
    const drop = defining('drop', [9, 10], { words: ['t'] });
    order.add(drop);
    assert.equal(order.predecessorOf(drop, false), 'between');
    assert.equal(order.predecessorOf(after, false), 'drop');
    for (const one of [between, before]) order.over(one);
    assert.equal(order.predecessorOf(drop, false), undefined);
  });

  it('has all that began after an extension follow it, however late', () => {
    const extension = defining('extension', [1, 3], { words: ['hstore'], isAll: false, isExtension: true });
    const overlaps = underway('overlaps', [2, 8], { reads: ['u'] });
    const create = defining('create', [4, 5], { words: ['t'] });
    const read = underway('read', [6, 7], { reads: ['u'] });
    const order = orderOf(extension, overlaps, create, read);
    for (const one of [extension, overlaps]) assert.equal(order.predecessorOf(one, true), undefined);
    for (const one of [create, read]) assert.equal(order.predecessorOf(one, true), 'extension');
    order.over(extension);
    for (const one of [create, read]) assert.equal(order.predecessorOf(one, true), undefined);
  });

  it('has what defines tables follow what has to do with them, and that follow it, however late', () => {
    const write = underway('write', [1, 3], { writes: ['t'] });
    const defines = { words: new Set(['t']), isAll: true, isExtension: false };
    const alter = { ...underway('alter', [4, 5], { writes: ['t'] }), defines };
    const read = underway('read', [6, 7], { reads: ['t'] });
    const order = orderOf(write, alter, read);
    assert.equal(order.predecessorOf(alter, true), 'write');
    assert.equal(order.predecessorOf(read, true), 'alter');
  });

  it('keeps what is not late for definitions that may be used unnamed, and for what uses nobody knows what', () => {
    const unknown = underway('unknown', [1, 2], { reads: 'any', words: ['f'] });
    const create = defining('create', [3, 4], { words: ['t'] });
    const known = underway('known', [5, 6], { reads: ['u'], words: ['u'] });
    const called = underway('called', [5, 6], { reads: 'any', words: ['f'] });
    const cascade = defining('cascade', [7, 8], { words: ['s'], isAll: false });
    const last = underway('last', [9, 10], { reads: ['u'], words: ['u'] });
    const order = orderOf(unknown, create, known, called, cascade, last);
    const expected = [
      [unknown, undefined],
      [create, 'unknown'],
      [known, undefined],
      [called, 'create'],
      [cascade, 'called'],
      [last, 'cascade'],
    ] as const;
    for (const [one, before] of expected) {
      assert.equal(order.predecessorOf(one, false), before, one.transaction ?? '');
      assert.equal(order.predecessorOf(one, true), undefined, one.transaction ?? '');
    }
    order.over(called);
    assert.equal(order.predecessorOf(cascade, false), 'known');
  });

  it('names the last of several that are not over', () => {
    const writes = Array.from({ length: 200 }, (_, n) => underway(`write ${n}`, [2 * n, 2 * n + 1], { writes: ['t'] }));
    const after = underway('after', [401, 402], { reads: ['t'] });
    const order = orderOf(...writes, after);
    const [first, ...others] = writes;
    for (const one of others.toReversed()) {
      assert.equal(order.predecessorOf(after, false), one.transaction);
      order.over(one);
    }
    assert.equal(order.predecessorOf(after, false), 'write 0');
    assert.ok(first);
    order.over(first);
    assert.equal(order.predecessorOf(after, false), undefined);
  });
});
