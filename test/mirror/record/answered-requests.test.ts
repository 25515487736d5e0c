import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { AnsweredRequests } from '../../../src/mirror/record/answered-requests.ts';
import { REQUEST_HEADER_LENGTH } from '../../../src/mirror/record/record-stream.ts';
import { RecordingBuffer } from '../../../src/mirror/record/recording-buffer.ts';
import { RequestRecording } from '../../../src/mirror/record/request-recording.ts';
import { StatementRegistry } from '../../../src/session/statement-names.ts';

/** A shelf that knows what is out. */
class Shelf {
  readonly out = new Set<RecordingBuffer>();

  takeBuffer(): RecordingBuffer {
    const buffer = RecordingBuffer.ofLength(4_096);
    this.out.add(buffer);
    return buffer;
  }

  giveBuffer(buffer: RecordingBuffer): void {
    this.out.delete(buffer);
  }

  request(body: string, recorded = true): RequestRecording {
    const request = new RequestRecording(this, { recorded, startOffset: 1, now: 0, thinkTime: 0 });
    const bytes = Buffer.from(body);
    request.append(bytes, 0, bytes.length);
    return request;
  }
}

function bodies(answered: AnsweredRequests, ...lengths: readonly number[]): string[] {
  const parts = answered.recording().map(({ buffer, start, end }) => buffer.bytes.subarray(start, end));
  const whole = Buffer.concat(parts);
  assert.equal(whole.length, answered.length);
  let at = 0;
  return lengths.map((length) => {
    const body = whole.toString('latin1', at + REQUEST_HEADER_LENGTH, at + REQUEST_HEADER_LENGTH + length);
    at += REQUEST_HEADER_LENGTH + length;
    return body;
  });
}

describe('The answered requests of a transaction', () => {
  const registry = new StatementRegistry('pgmirror_');

  it('stand in order, whatever their lengths', () => {
    const shelf = new Shelf();
    const answered = new AnsweredRequests(shelf, registry);
    const texts = ['BEGIN', 'a'.repeat(3_000), 'b', 'c'.repeat(2_000), 'd'.repeat(70_000), 'e', 'COMMIT'];
    for (const text of texts) answered.add(shelf.request(text), text === 'COMMIT');
    assert.deepEqual(bodies(answered, ...texts.map(({ length }) => length)), texts);
    answered.clear();
    assert.deepEqual([shelf.out.size, answered.length, answered.recording()], [0, 0, []]);
  });

  it('hold few buffers, however many they are', () => {
    const shelf = new Shelf();
    const answered = new AnsweredRequests(shelf, registry);
    for (let count = 0; count < 10_000; count += 1) answered.add(shelf.request(`INSERT ${count}`), false);
    assert.ok(shelf.out.size <= 1);
    const held = answered.recording().length;
    assert.ok(held < 40, `${held} parts`);
    answered.clear();
    assert.equal(shelf.out.size, 0);
  });

  it('are not whole where one was left out, until a transaction begins anew', () => {
    const shelf = new Shelf();
    const answered = new AnsweredRequests(shelf, registry);
    answered.add(shelf.request('one'), false);
    answered.add(shelf.request('two', false), true);
    assert.equal(answered.isWhole, false);
    answered.clear();
    assert.equal(answered.isWhole, true);
  });

  const bodyLengths = [1, 10, 2_500];
  for (const before of bodyLengths) {
    for (const behind of bodyLengths) {
      it(`are cut behind the last commit that is not their end, of ${before} bytes, before others of ${behind}`, () => {
        const shelf = new Shelf();
        const answered = new AnsweredRequests(shelf, registry);
        const commit = (body: string): RequestRecording => {
          const request = shelf.request(body);
          request.committed(0, false);
          return request;
        };
        const kept = ['BEGIN', 'x'.repeat(before), 'y'.repeat(before)];
        answered.add(shelf.request('BEGIN'), false);
        answered.add(commit('x'.repeat(before)), false);
        answered.add(commit('y'.repeat(before)), false);
        for (let count = 0; count < 100; count += 1) answered.add(shelf.request('z'.repeat(behind)), false);
        assert.deepEqual([answered.hasCommitted, answered.cutBehindCommit(), answered.count], [true, true, 3]);
        assert.deepEqual(bodies(answered, ...kept.map(({ length }) => length)), kept);
        answered.clear();
        assert.deepEqual([shelf.out.size, answered.hasCommitted, answered.cutBehindCommit()], [0, false, false]);
      });
    }
  }

  it('are not cut where none committed, one was left out, or the commit was their end', () => {
    const shelf = new Shelf();
    const answered = new AnsweredRequests(shelf, registry);
    const add = (isLast: boolean, recorded = true, commits = true): void => {
      const request = shelf.request('COMMIT', recorded);
      if (commits) request.committed(0, false);
      answered.add(request, isLast);
    };
    add(false, true, false);
    assert.equal(answered.cutBehindCommit(), false);
    add(false, false, false);
    add(false);
    assert.equal(answered.cutBehindCommit(), false);
    answered.clear();
    add(true);
    assert.deepEqual([answered.hasCommitted, answered.cutBehindCommit()], [true, false]);
  });

  it('keep the unnamed statement that they need until they are cleared', () => {
    const shelf = new Shelf();
    const answered = new AnsweredRequests(shelf, registry);
    const text = registry.acquire(Buffer.from('SELECT 1\0\0\0'));
    const request = shelf.request('needs it');
    request.unnamed = text;
    answered.add(request, true);
    assert.deepEqual([answered.unnamed, text.references], [text, 1]);
    answered.clear();
    assert.deepEqual([answered.unnamed, text.references], [undefined, 0]);
  });
});
