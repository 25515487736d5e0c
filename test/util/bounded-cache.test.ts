import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BoundedCache } from '../../src/util/bounded-cache.ts';

describe('A bounded cache', () => {
  it('forgets what was asked for longest ago', () => {
    const cache = new BoundedCache<number>({ entries: 2, characters: 100 });
    cache.set('a', 1);
    cache.set('b', 2);
    assert.equal(cache.get('a'), 1);
    cache.set('c', 3);
    assert.deepEqual([cache.get('a'), cache.get('b'), cache.get('c')], [1, undefined, 3]);
  });

  it('holds no more characters than it may, and counts a text once', () => {
    const cache = new BoundedCache<number>({ entries: 100, characters: 10 });
    for (let round = 0; round < 5; round++) cache.set('four', round);
    cache.set('five5', 1);
    assert.deepEqual([cache.get('four'), cache.get('five5')], [4, 1]);
    cache.set('xy', 2);
    assert.deepEqual([cache.size, cache.get('four')], [2, undefined]);
    cache.set('longer than all', 3);
    assert.equal(cache.size, 0);
  });
});
