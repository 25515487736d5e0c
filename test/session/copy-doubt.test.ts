import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CopyDoubt } from '../../src/session/copy-doubt.ts';

const [IDLE, FAILED] = [0x49, 0x45];

describe('the doubt that a COPY leaves which failed behind a Sync', () => {
  it('is settled by the ReadyForQuery behind the CloseComplete', () => {
    const doubt = new CopyDoubt();
    assert.equal(doubt.readyCame(IDLE), false);
    doubt.closeCompleteCame();
    assert.equal(doubt.readyCame(IDLE), true);
    assert.deepEqual(doubt.answered, [], 'the COPY had ignored the Sync');
  });

  it('yields the Syncs of the client that were answered, without that of the question', () => {
    const doubt = new CopyDoubt();
    for (const status of [FAILED, FAILED, IDLE]) assert.equal(doubt.readyCame(status), false);
    doubt.closeCompleteCame();
    assert.equal(doubt.readyCame(IDLE), true);
    assert.deepEqual(doubt.answered, [FAILED, FAILED]);
  });

  it('does not count what is answered behind a message that was shown and refused', () => {
    const doubt = new CopyDoubt();
    doubt.readyCame(IDLE);
    doubt.errorCame();
    doubt.readyCame(IDLE);
    doubt.readyCame(IDLE);
    doubt.closeCompleteCame();
    assert.equal(doubt.readyCame(IDLE), true);
    assert.deepEqual(doubt.answered, [IDLE]);
  });
});
