import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RequestFlag } from '../../../src/mirror/record/record-stream.ts';
import { KeptBuffers } from '../../../src/mirror/record/recording-buffer.ts';
import { RequestRecording } from '../../../src/mirror/record/request-recording.ts';
import { execute, query, sync } from '../../support/bytes.ts';

const status = (letter: string): number => letter.charCodeAt(0);

/** A request that is sent at 1000 ms. */
function recorded(thinkTime: number, ...messages: readonly Buffer[]): RequestRecording {
  const request = new RequestRecording(new KeptBuffers(), { recorded: true, startOffset: 100, now: 1_000, thinkTime });
  const bytes = Buffer.concat(messages);
  request.append(bytes, 0, bytes.length);
  request.sent = true;
  request.sentSequence = 7;
  return request;
}

function bytesOf({ whole }: RequestRecording): string {
  assert.ok(whole !== undefined);
  return whole.buffer.bytes.toString('hex', whole.start, whole.end);
}

describe('A recorded request', () => {
  it('has its header as documented, and its messages behind it', () => {
    const select = query('SELECT 1');
    const request = recorded(1.5, select);
    request.flags |= RequestFlag.Simple;
    request.erred('42P01', 0, 100 + select.length);
    request.complete({ statusBefore: status('I'), statusAfter: status('E'), answeredAt: 1_002.5, doneSequence: 9 });
    const expected = [
      ...['0e000000', 'dc050000', 'c4090000'], // 14 bytes, 1500 and 2500 microseconds
      ...['0000000000001c40', '0000000000002240'], // 7 and 9 as doubles
      ...['49', '45', (RequestFlag.Errored | RequestFlag.Simple).toString(16).padStart(2, '0'), '00', '3432503031'],
      ...['00000000', '00000000', '00000000', select.toString('hex')],
    ];
    assert.equal(bytesOf(request), expected.join(''));
  });

  it('has times that fit: none below 0, none above what 32 bits of microseconds hold', () => {
    const request = recorded(1e12, query('SELECT 1'));
    request.complete({ statusBefore: status('I'), statusAfter: status('I'), answeredAt: 999, doneSequence: 9 });
    assert.equal(bytesOf(request).slice(8, 24), 'ffffffff00000000');
  });

  it('tells which of its messages the source skipped: those from the one that erred to its Sync', () => {
    const [first, second] = [execute('a'), execute('b')];
    const request = recorded(0, first, second, execute('c'), sync);
    const ran = first.length + second.length;
    request.erred('22012', 100 + ran, 0);
    request.complete({ statusBefore: status('T'), statusAfter: status('E'), answeredAt: 1_001, doneSequence: 9 });
    const skipped = Buffer.from(bytesOf(request), 'hex').subarray(37, 45);
    assert.deepEqual([skipped.readUInt32LE(0), skipped.readUInt32LE(4)], [ran, ran + execute('c').length]);
  });
});
