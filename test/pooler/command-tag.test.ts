import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { stateTag } from '../../src/pooler/state-tag.ts';
import { commandComplete, readyForQuery } from '../support/bytes.ts';

/** What a tag says, with other messages around it. */
function said(tag: string): ReturnType<typeof stateTag> {
  const before = commandComplete('SELECT 1');
  return stateTag(Buffer.concat([before, commandComplete(tag), readyForQuery('I')]), before.length);
}

describe('what a command tag says of the session', () => {
  const cases = {
    ROLLBACK: 'ROLLBACK',
    SET: 'SET',
    RESET: 'unclear',
    'DISCARD ALL': 'DISCARD ALL',
    'DEALLOCATE ALL': 'DEALLOCATE ALL',
    DEALLOCATE: 'ends a pin',
    'DECLARE CURSOR': 'unclear',
    'DROP TABLE': 'ends a pin',
    'CLOSE CURSOR': 'ends a pin',
    'CLOSE CURSOR ALL': 'ends a pin',
    LISTEN: 'unclear',
    UNLISTEN: 'ends a pin',
    LOAD: 'LOAD',
    PREPARE: 'unclear',
  };
  for (const [tag, expected] of Object.entries(cases)) {
    it(`is "${expected}" for ${tag}`, () => assert.equal(said(tag), expected));
  }

  it('is nothing for the tags that are seen most, nor for those that only begin alike', () => {
    const tags = ['SELECT 1', 'INSERT 0 1', 'UPDATE 1', 'DELETE 0', 'BEGIN', 'COMMIT', 'START TRANSACTION', 'COPY 5'];
    const alike = ['SET CONSTRAINTS', 'ROLLBACK PREPARED', 'PREPARE TRANSACTION', 'SAVEPOINT', 'RELEASE', 'DISCARD PLANS', 'LOCK TABLE', 'S', ''];
    for (const tag of [...tags, ...alike]) assert.equal(said(tag), undefined, tag);
  });
});
