import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { ServerSocket, socketPath } from '../../src/net/server-socket.ts';
import { eventually } from '../support/eventually.ts';
import { accepted, listening } from './sockets.ts';

/** What a handler was told. */
class Told {
  bytes = '';
  chunks = 0;
  readonly closed: (Error | undefined)[] = [];

  readonly handler = {
    bytes: (chunk: Buffer): void => {
      this.bytes += chunk.toString('latin1');
      this.chunks++;
    },
    closed: (error: Error | undefined): void => void this.closed.push(error),
  };
}

async function connected(t: TestContext): Promise<{ socket: ServerSocket; peer: Socket }> {
  const { server, port } = await listening(t);
  const accepting = accepted(server);
  const socket = await ServerSocket.connect({ host: '127.0.0.1', port }, { timeoutMs: 10_000 });
  t.after(() => socket.destroy());
  return { socket, peer: await accepting };
}

describe('connecting to a server', () => {
  it('goes to the socket file in a directory where the host is a path', async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'pgmirror-net-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const address = { host: directory, port: 5433 };
    assert.equal(socketPath(address), `${directory}/.s.PGSQL.5433`);
    const { server } = await listening(t, socketPath(address));
    const accepting = accepted(server);
    const socket = await ServerSocket.connect(address, { timeoutMs: 10_000 });
    const told = new Told();
    socket.handler = told.handler;
    (await accepting).write('hello');
    await eventually(() => told.bytes === 'hello');
    socket.destroy();
  });

  it('rejects with the error of the connection where nobody listens', async (t) => {
    const { server, port } = await listening(t);
    server.close();
    await once(server, 'close');
    await assert.rejects(ServerSocket.connect({ host: '127.0.0.1', port }, { timeoutMs: 10_000 }), {
      code: 'ECONNREFUSED',
    });
    await assert.rejects(ServerSocket.connect({ host: '/nowhere', port }, { timeoutMs: 10_000 }), { code: 'ENOENT' });
  });

  it('rejects with ETIMEDOUT where the time is over before somebody has answered', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { port } = await listening(t);
    const connecting = ServerSocket.connect({ host: '127.0.0.1', port }, { timeoutMs: 50 });
    t.mock.timers.tick(50);
    await assert.rejects(connecting, { code: 'ETIMEDOUT', message: 'no connection within 50 ms' });
  });
});

describe("a server's connection", () => {
  it('hands on what arrives, and keeps what arrives while nobody listens', async (t) => {
    const { socket, peer } = await connected(t);
    peer.write('early');
    const other = await connected(t);
    other.peer.write('x');
    const witness = new Told();
    other.socket.handler = witness.handler;
    await eventually(() => witness.bytes === 'x');
    const told = new Told();
    socket.handler = told.handler;
    peer.write(' and late');
    await eventually(() => told.bytes === 'early and late');
  });

  it('tells the next owner of what comes after it took over', async (t) => {
    const { socket, peer } = await connected(t);
    const [first, second] = [new Told(), new Told()];
    socket.handler = first.handler;
    peer.write('one');
    await eventually(() => first.bytes === 'one');
    socket.handler = second.handler;
    peer.end('two');
    await eventually(() => second.closed.length > 0);
    assert.deepEqual([first.bytes, first.closed, second.bytes, second.closed], ['one', [], 'two', [undefined]]);
  });

  it('tells of its end once, with the error if there was one', async (t) => {
    const { socket, peer } = await connected(t);
    const told = new Told();
    socket.handler = told.handler;
    peer.resetAndDestroy();
    await eventually(() => told.closed.length > 0);
    assert.equal(told.closed.length, 1);
    assert.equal((told.closed[0] as NodeJS.ErrnoException).code, 'ECONNRESET');
  });

  it('tells of an end that came while nobody listened, behind the bytes that came before it', async (t) => {
    const { socket, peer } = await connected(t);
    const gone = once(peer, 'close');
    peer.end('last words');
    await gone;
    const told = new Told();
    let order = '';
    await eventually(() => {
      socket.handler = {
        bytes: (chunk) => (order += chunk.toString()),
        closed: (error) => {
          order += '|';
          told.handler.closed(error);
        },
      };
      return told.closed.length > 0;
    });
    assert.equal(order, 'last words|');
  });

  it('calls nobody after it was destroyed', async (t) => {
    const { socket, peer } = await connected(t);
    const told = new Told();
    socket.handler = told.handler;
    const gone = once(peer, 'close');
    socket.destroy();
    peer.end('too late');
    await gone;
    assert.deepEqual([told.bytes, told.closed], ['', []]);
  });

  it('sends what is queued and the last bytes before it ends, and calls nobody any more', async (t) => {
    const { socket, peer } = await connected(t);
    const told = new Told();
    socket.handler = told.handler;
    let received = '';
    peer.on('data', (chunk: Buffer) => (received += chunk.toString()));
    socket.write(Buffer.from('first '));
    socket.end(Buffer.from('last'));
    await once(peer, 'end');
    peer.end('answer');
    await once(peer, 'close');
    assert.deepEqual([received, told.bytes, told.closed], ['first last', '', []]);
  });

  it('says that bytes are still queued, and calls back when they are with the kernel', async (t) => {
    const { socket, peer } = await connected(t);
    socket.handler = new Told().handler;
    peer.pause();
    let queued = false;
    for (let round = 0; round < 1_000 && !queued; round++) queued = !socket.write(Buffer.alloc(65_536));
    assert.ok(queued);
    assert.ok(socket.writableLength > 0);
    let flushed = false;
    socket.whenFlushed(() => (flushed = true));
    assert.equal(flushed, false);
    peer.resume();
    await eventually(() => flushed);
    assert.equal(socket.writableLength, 0);
  });

  it('is not read from while it is paused', async (t) => {
    const { socket, peer } = await connected(t);
    const told = new Told();
    socket.handler = told.handler;
    socket.pause();
    // More than the kernel and the read buffer take: the peer's own queue stays as long as nobody reads.
    const all = Buffer.alloc(30_000_000, 'x');
    peer.write(all);
    await eventually(() => peer.writableLength > 0);
    assert.ok(told.bytes.length <= 65_536);
    socket.resume();
    await eventually(() => told.bytes.length === all.length);
  });

  it('reads a long answer into one buffer, chunk by chunk', async (t) => {
    const { socket, peer } = await connected(t);
    const buffers = new Set<ArrayBufferLike>();
    let length = 0;
    socket.handler = {
      bytes: (chunk) => {
        buffers.add(chunk.buffer);
        length += chunk.length;
      },
      closed: () => undefined,
    };
    peer.write(Buffer.alloc(1_000_000));
    await eventually(() => length === 1_000_000);
    assert.equal(buffers.size, 1);
  });
});
