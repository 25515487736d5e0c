import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Server } from '../../src/pooler/session-link.ts';
import { SpentChunks } from '../../src/pooler/spent-chunks.ts';

/** A server connection whose socket has so many bytes to write yet. */
function serverWith(backlog: { writableLength: number; closed?: boolean }): Server {
  const { closed = false } = backlog;
  return { socket: backlog, closed } as unknown as Server;
}

const isFreed = (chunk: Buffer): boolean => chunk.buffer.byteLength === 0;
const newChunk = (length = 8_192): Buffer => Buffer.allocUnsafeSlow(length).fill('x');

describe("A chunk's memory", () => {
  it('is given back when the server has taken the chunk', () => {
    const spent = new SpentChunks();
    const server = serverWith({ writableLength: 0 });
    for (const chunk of [newChunk(), newChunk()]) {
      spent.add(chunk, server);
      assert.ok(isFreed(chunk));
    }
  });

  it('is kept until all before it has been taken, too', () => {
    const socket = { writableLength: 3 };
    const server = serverWith(socket);
    const spent = new SpentChunks();
    const chunks = [newChunk(), newChunk(), newChunk()];
    for (const chunk of chunks.slice(0, 2)) spent.add(chunk, server);
    spent.release(server);
    assert.deepEqual(chunks.map(isFreed), [false, false, false]);
    socket.writableLength = 0;
    spent.add(chunks[2]!, server);
    assert.deepEqual(chunks.map(isFreed), [true, true, true]);
  });

  it('is not touched where the server connection was lost, or is another by now', () => {
    const spent = new SpentChunks();
    const [first, second, third] = [newChunk(), newChunk(), newChunk()];
    const slow = serverWith({ writableLength: 8_192 });
    spent.add(first, slow);
    spent.release(serverWith({ writableLength: 0 }));
    spent.add(second, serverWith({ writableLength: 0, closed: true }));
    spent.release(slow);
    spent.add(third, serverWith({ writableLength: 0 }));
    assert.deepEqual([first, second, third].map(isFreed), [false, false, true]);
  });

  it('is not touched where others have a part of it, or it is not worth it', () => {
    const spent = new SpentChunks();
    const server = serverWith({ writableLength: 0 });
    const whole = newChunk(16_384);
    const short = newChunk(1_023);
    spent.add(whole.subarray(0, 8_192), server);
    spent.add(whole.subarray(1), server);
    spent.add(short, server);
    assert.deepEqual([whole, short].map(isFreed), [false, false]);
  });
});
