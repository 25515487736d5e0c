import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { ClientSocket } from '../../src/net/client-socket.ts';
import { eventually } from '../support/eventually.ts';
import { accepted, listening } from './sockets.ts';

/** A client's connection, the other end of it, and what its handler was told. */
async function connected(t: TestContext) {
  const { server, port } = await listening(t);
  const accepting = accepted(server);
  const peer: Socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  peer.on('error', () => undefined);
  t.after(() => peer.destroy());
  const client = new ClientSocket(await accepting);
  const told: string[] = [];
  client.handler = {
    bytes: (chunk) => void told.push(chunk.toString()),
    ended: () => void told.push('ended'),
    closed: () => void told.push('closed'),
  };
  return { client, peer, told };
}

describe("a client's connection", () => {
  it('knows where the client is', async (t) => {
    const { client, peer } = await connected(t);
    assert.deepEqual([client.remoteAddress, client.remotePort], ['127.0.0.1', peer.localPort]);
  });

  it('hands on what arrives, then the end of it, then the end of all', async (t) => {
    const { client, peer, told } = await connected(t);
    peer.write('hello');
    await eventually(() => told.length === 1);
    peer.end();
    await eventually(() => told.length === 2);
    assert.equal(client.over, false);
    client.write(Buffer.from('still there'));
    const [answer] = (await once(peer, 'data')) as [Buffer];
    assert.equal(answer.toString(), 'still there');
    peer.resetAndDestroy();
    // Behind its end nothing is read from the client any more: that it has gone shows when it is written to.
    await eventually(() => {
      client.write(Buffer.from('still there'));
      return told.length === 3;
    });
    assert.deepEqual(told, ['hello', 'ended', 'closed']);
    assert.ok(client.over);
  });

  it('tells of a reset as of any other end, once', async (t) => {
    const { client, peer, told } = await connected(t);
    peer.resetAndDestroy();
    await eventually(() => client.over);
    assert.deepEqual(told, ['closed']);
  });

  it('sends what was written and the last bytes when it ends, and calls nobody any more', async (t) => {
    const { client, peer, told } = await connected(t);
    let received = '';
    peer.on('data', (chunk: Buffer) => (received += chunk.toString()));
    client.write(Buffer.from('answer '));
    client.end(Buffer.from('good-bye'));
    assert.ok(client.over);
    await once(peer, 'end');
    peer.end('too late');
    await once(peer, 'close');
    assert.deepEqual([received, told.filter((what) => what !== 'too late')], ['answer good-bye', []]);
  });

  it('delivers its last bytes although the client is still sending', async (t) => {
    const { client, peer } = await connected(t);
    client.pause();
    peer.write(Buffer.alloc(1_000_000));
    const received: Buffer[] = [];
    peer.on('data', (chunk: Buffer) => received.push(chunk));
    client.end(Buffer.from('FATAL'));
    await once(peer, 'end');
    assert.equal(Buffer.concat(received).toString(), 'FATAL');
  });

  it('ends once, whatever is asked for later', async (t) => {
    const { client, peer } = await connected(t);
    let received = '';
    peer.on('data', (chunk: Buffer) => (received += chunk.toString()));
    client.end(Buffer.from('one'));
    client.end(Buffer.from('two'));
    await once(peer, 'end');
    assert.equal(received, 'one');
  });

  it('cuts off a client that does not read its last bytes', async (t) => {
    const { client, peer } = await connected(t);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    peer.pause();
    const block = Buffer.alloc(1_000_000);
    while (client.write(block)) continue;
    client.end(Buffer.from('FATAL'));
    t.mock.timers.tick(5_000);
    let last = '';
    peer.on('data', (chunk: Buffer) => (last = chunk.toString('latin1', chunk.length - 5)));
    peer.resume();
    await new Promise((resolve) => peer.on('end', resolve).on('error', resolve));
    assert.notEqual(last, 'FATAL');
  });

  it('calls nobody after it was destroyed', async (t) => {
    const { client, peer, told } = await connected(t);
    peer.resume();
    const closed = once(peer, 'end');
    client.destroy();
    await closed;
    assert.deepEqual([told, client.over], [[], true]);
  });

  it('says that bytes are still queued, and calls back when they are with the kernel', async (t) => {
    const { client, peer } = await connected(t);
    peer.pause();
    const block = Buffer.alloc(65_536);
    while (client.write(block)) continue;
    assert.ok(client.writableLength > 0);
    let flushed = false;
    client.whenFlushed(() => (flushed = true));
    peer.resume();
    await eventually(() => flushed);
    assert.equal(client.writableLength, 0);
  });

  it('calls back, too, where the bytes will never get there', async (t) => {
    const { client, peer } = await connected(t);
    peer.pause();
    const block = Buffer.alloc(65_536);
    while (client.write(block)) continue;
    let called = false;
    client.whenFlushed(() => (called = true));
    peer.resetAndDestroy();
    await eventually(() => called);
  });

  it('is not read from while it is paused', async (t) => {
    const { client, peer, told } = await connected(t);
    client.pause();
    peer.write(Buffer.alloc(30_000_000, 'x'));
    await eventually(() => peer.writableLength > 0);
    const before = told.join('').length;
    assert.ok(before < 30_000_000);
    client.resume();
    await eventually(() => told.join('').length === 30_000_000);
  });
});
