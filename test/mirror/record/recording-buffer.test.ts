import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RecordStreamWriter } from '../../../src/mirror/record/record-stream-writer.ts';
import { KeptBuffers, RecordingBuffer } from '../../../src/mirror/record/recording-buffer.ts';

const isFreed = (bytes: Buffer): boolean => bytes.buffer.byteLength === 0;

describe('A buffer that is given back', () => {
  it('is used again', () => {
    const kept = new KeptBuffers();
    const buffer = kept.takeBuffer();
    kept.giveBuffer(buffer);
    assert.equal(kept.takeBuffer(), buffer);
    assert.notEqual(kept.takeBuffer(), buffer);
  });

  it('has its memory given back at once where it is long', () => {
    const kept = new KeptBuffers();
    const [longest, long] = [RecordingBuffer.ofLength(65_536), RecordingBuffer.ofLength(65_537)];
    kept.giveBuffer(longest);
    kept.giveBuffer(long);
    assert.deepEqual(
      [longest, long].map(({ bytes }) => isFreed(bytes)),
      [false, true],
    );
    assert.equal(kept.takeBuffer(), longest);
  });
});

describe('A batch of the record stream that was sent', () => {
  const batchOf = (length: number): { writer: RecordStreamWriter; batch: Buffer } => {
    const writer = new RecordStreamWriter();
    writer.statement(1, 'pm_1', Buffer.alloc(length));
    return { writer, batch: writer.take() };
  };

  it('is filled again', () => {
    const { writer, batch } = batchOf(1_000);
    writer.recycle(batch);
    writer.take();
    writer.hello(1);
    assert.equal(writer.take().buffer, batch.buffer);
  });

  it('has its memory given back where one large transaction has made it long', () => {
    const { writer, batch } = batchOf(2_000_000);
    writer.recycle(batch);
    assert.ok(isFreed(batch));
  });
});
