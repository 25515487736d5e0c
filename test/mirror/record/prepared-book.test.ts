import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PreparedBook, type PreparedNews } from '../../../src/mirror/record/prepared-book.ts';

describe('What threads know of two-phase commits', () => {
  it('is forgotten when they end, and told to the others by the thread that saw it', () => {
    const told: string[] = [];
    const book = new PreparedBook({
      tell: ({ gid, mirrors }) => told.push(`${gid} ${mirrors?.join() ?? 'ended'}`),
      take: () => undefined,
    });
    book.saw({ gid: 'a', user: 'anna', mirrors: [1, 2] });
    book.heard({ gid: 'b', user: 'anna', mirrors: [] });
    assert.deepEqual([book.mirrorsOf('a'), book.mirrorsOf('b')], [new Set([1, 2]), new Set()]);
    book.saw({ gid: 'b', user: 'bert', mirrors: undefined });
    assert.equal(book.mirrorsOf('b'), undefined);
    assert.deepEqual(told, ['a 1,2', 'b ended']);
  });

  it('is taken from what the others told before it is asked for, and before what was done since', () => {
    const untaken: PreparedNews[] = [{ gid: 'a', user: 'anna', mirrors: [1] }];
    const book = new PreparedBook({ tell: () => undefined, take: () => untaken.shift() });
    assert.deepEqual(book.mirrorsOf('a'), new Set([1]));
    untaken.push({ gid: 'a', user: 'anna', mirrors: [2] });
    book.saw({ gid: 'a', user: 'bert', mirrors: undefined });
    assert.equal(book.mirrorsOf('a'), undefined);
  });

  it('is bounded: of more than ten thousand the oldest is forgotten', () => {
    const book = new PreparedBook();
    const saw = (n: number): void => book.saw({ gid: `gid ${n}`, user: 'anna', mirrors: [1] });
    for (let n = 0; n < 10_000; n++) saw(n);
    assert.deepEqual(book.mirrorsOf('gid 0'), new Set([1]));
    saw(0);
    saw(10_000);
    const known = [0, 1, 2, 10_000].map((n) => book.mirrorsOf(`gid ${n}`) !== undefined);
    assert.deepEqual(known, [true, false, true, true]);
  });
});
