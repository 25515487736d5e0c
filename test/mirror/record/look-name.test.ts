import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { lookName, passedOn, trailOf } from '../../../src/mirror/record/look-name.ts';

describe('The name of a look at a mirror', () => {
  it('tells who looks, and who passed it on', () => {
    const trail = passedOn(['first'], 'second');
    assert.deepEqual(trail, ['first', 'second']);
    assert.deepEqual(trailOf(lookName(trail ?? [])), ['first', 'second']);
  });

  it('is no other client’s', () => {
    for (const name of [undefined, '', 'psql', 'pgmirror', 'my pgmirror check a']) {
      assert.equal(trailOf(name), undefined);
    }
  });

  it('is not passed on for ever', () => {
    let trail: readonly string[] | undefined = ['0'];
    let length = 0;
    while (trail !== undefined && length < 100) trail = passedOn(trail, String(++length));
    assert.equal(length, 4);
  });
});
