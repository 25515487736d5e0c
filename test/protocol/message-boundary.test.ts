import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MessageBoundary } from '../../src/protocol/message-boundary.ts';
import { commandComplete, dataRow, readyForQuery } from '../support/bytes.ts';

describe('The boundary between messages', () => {
  const messages = [dataRow('x'.repeat(1_000), null), commandComplete('SELECT 1'), readyForQuery('I')];
  const bytes = Buffer.concat(messages);
  const ends = messages.map((_, at) => Buffer.concat(messages.slice(0, at + 1)).length);

  for (const size of [1, 3, 5, 7, 64, 2_000]) {
    it(`is found in pieces of ${size}`, () => {
      const boundary = new MessageBoundary();
      assert.ok(boundary.reached);
      for (let at = 0; at < bytes.length; at += size) {
        boundary.passed(bytes.subarray(at, at + size));
        const end = Math.min(at + size, bytes.length);
        assert.equal(boundary.reached, ends.includes(end), `behind ${end} bytes`);
      }
    });
  }
});
