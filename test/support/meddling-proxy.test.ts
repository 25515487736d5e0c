import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { after, before, describe, it } from 'node:test';

import { inReverse } from './cleanup.ts';
import { eventually, within } from './eventually.ts';
import { LeakWatch } from './leaks.ts';
import { MeddlingProxy } from './meddling-proxy.ts';
import { WireClient } from './wire-client.ts';

describe('MeddlingProxy', () => {
  const cleanup = inReverse({ after });
  let echo: Server;
  let target: { host: string; port: number };

  before(async () => {
    LeakWatch.during(cleanup);
    echo = createServer((socket) => socket.on('error', () => {}).pipe(socket));
    echo.listen(0, '127.0.0.1');
    await once(echo, 'listening');
    const address = echo.address();
    assert.ok(address !== null && typeof address === 'object');
    target = { host: '127.0.0.1', port: address.port };
    cleanup.after(() => void echo.close());
  });

  it('passes bytes on and counts them, until the client closes', async (t) => {
    const proxy = await MeddlingProxy.start(t, target);
    const client = await WireClient.connect(proxy);
    client.send(Buffer.from('hello'));
    assert.equal((await client.readBytes(5)).toString(), 'hello');
    assert.deepEqual(proxy.bytes, { toServer: 5, toClient: 5 });
    client.socket.end();
    await client.waitForClose();
    await eventually(() => proxy.open === 0, { what: 'the pair to be forgotten' });
  });

  it('stands still and goes on', async (t) => {
    const proxy = await MeddlingProxy.start(t, target);
    const client = await WireClient.connect(proxy);
    proxy.stall('toClient');
    client.send(Buffer.from('hello'));
    await assert.rejects(client.readBytes(5, 100), /in vain/);
    assert.deepEqual(proxy.bytes, { toServer: 5, toClient: 0 });
    proxy.resume();
    assert.equal((await client.readBytes(5)).toString(), 'hello');
    await client.destroy();
  });

  it('keeps the order of what it delays, also when the delay ends', async (t) => {
    const proxy = await MeddlingProxy.start(t, target);
    const client = await WireClient.connect(proxy);
    proxy.delay(60);
    const begun = performance.now();
    client.send(Buffer.from('a'));
    await eventually(() => proxy.bytes.toServer === 1, { what: 'the first byte' });
    proxy.delay(0);
    client.send(Buffer.from('b'));
    assert.equal((await client.readBytes(2)).toString(), 'ab');
    assert.ok(performance.now() - begun >= 55);
    await client.destroy();
  });

  it('breaks off, refuses, and accepts again on the same port', async (t) => {
    const proxy = await MeddlingProxy.start(t, target);
    const client = await WireClient.connect(proxy);
    client.send(Buffer.from('x'));
    await client.readBytes(1);
    await proxy.refuse();
    await assert.rejects(WireClient.connect(proxy), { code: 'ECONNREFUSED' });
    proxy.cut();
    const error = await within(client.closed, 5_000, 'the connection to break');
    assert.equal(error && 'code' in error && error.code, 'ECONNRESET');
    await proxy.accept();
    const again = await WireClient.connect(proxy);
    assert.equal(proxy.connections, 2);
    await again.destroy();
  });

  it('changes bytes', async (t) => {
    const proxy = await MeddlingProxy.start(t, target);
    proxy.corrupt((chunk, direction) =>
      direction === 'toServer' ? Buffer.from(chunk.toString().toUpperCase()) : chunk,
    );
    const client = await WireClient.connect(proxy);
    client.send(Buffer.from('hello'));
    assert.equal((await client.readBytes(5)).toString(), 'HELLO');
    await client.destroy();
  });

  it('carries more than its buffers hold', async (t) => {
    const proxy = await MeddlingProxy.start(t, target);
    const client = await WireClient.connect(proxy);
    const much = Buffer.alloc(8_000_000, 'x');
    client.send(much);
    assert.equal((await client.readBytes(much.length)).length, much.length);
    await client.destroy();
  });
});
