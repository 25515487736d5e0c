import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { receiveAsUsual, receiveDirectly } from '../../src/net/direct-reading.ts';
import { eventually } from '../support/eventually.ts';
import { accepted, listening } from './sockets.ts';

/** Both ends of a connection. */
async function pair(t: TestContext): Promise<{ readonly socket: Socket; readonly peer: Socket }> {
  const { server, port } = await listening(t);
  const accepting = accepted(server);
  const peer = connect({ port, host: '127.0.0.1', noDelay: true });
  const socket = await accepting;
  t.after(() => peer.destroy());
  return { socket, peer };
}

describe('reading past the stream', () => {
  it('gets what comes, and leaves nothing to whoever listens', async (t) => {
    const { socket, peer } = await pair(t);
    const [direct, usual]: [string[], string[]] = [[], []];
    socket.on('data', (chunk: Buffer) => usual.push(chunk.toString()));
    receiveDirectly(socket, (chunk) => direct.push(chunk.toString()));
    for (const text of ['first', 'second', 'third']) {
      peer.write(text);
      await eventually(() => direct.at(-1) === text);
    }
    assert.deepEqual([direct, usual], [['first', 'second', 'third'], []]);
    peer.end();
    await once(socket, 'end');
  });

  it('has everything come once and in order through any pause, and holds no more of it than a stream does', async (t) => {
    const { socket, peer } = await pair(t);
    const total = 8 << 20;
    const sent = Buffer.alloc(total);
    for (let at = 0; at < total; at += 4) sent.writeUInt32BE(at, at);
    const received: Buffer[] = [];
    let length = 0;
    let pauses = 0;
    const receive = (chunk: Buffer): void => {
      received.push(chunk);
      length += chunk.length;
      if (received.length % 3 !== 0) return;
      pauses++;
      socket.pause();
      setImmediate(() => {
        assert.ok(socket.readableLength <= 2 * socket.readableHighWaterMark);
        socket.resume();
      });
    };
    socket.on('data', receive);
    receiveDirectly(socket, receive);
    peer.end(sent);
    await once(socket, 'end');
    assert.equal(length, total);
    assert.ok(pauses > 10, `${pauses} pauses`);
    assert.ok(Buffer.concat(received).equals(sent));
  });

  it('leaves everything to whoever listens, once it is told to', async (t) => {
    const { socket, peer } = await pair(t);
    const [direct, usual]: [string[], string[]] = [[], []];
    socket.on('data', (chunk: Buffer) => usual.push(chunk.toString()));
    receiveDirectly(socket, (chunk) => direct.push(chunk.toString()));
    receiveAsUsual(socket);
    peer.write('text');
    await eventually(() => usual.length > 0);
    assert.deepEqual([direct, usual], [[], ['text']]);
  });
});
