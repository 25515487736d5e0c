import assert from 'node:assert/strict';
import { it } from 'node:test';

import { copyBytes } from '../../src/util/copy-bytes.ts';

it('Bytes are copied to where they are to be, however many they are', () => {
  const from = Buffer.from(Array.from({ length: 300 }, (_, index) => index % 251));
  for (const length of [0, 1, 5, 23, 24, 25, 200]) {
    const to = Buffer.alloc(300);
    assert.equal(copyBytes(from, 7, 7 + length, to, 11), 11 + length);
    const expected = Buffer.concat([Buffer.alloc(11), from.subarray(7, 7 + length), Buffer.alloc(300 - 11 - length)]);
    assert.deepEqual(to, expected);
  }
});
