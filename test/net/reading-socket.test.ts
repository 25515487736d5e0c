import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { readOnWhenUnwritable } from '../../src/net/reading-socket.ts';
import { eventually } from '../support/eventually.ts';

/** What a client reads that writes to a server which has said its last words and closed without reading. */
async function heard(t: TestContext, path: string | undefined): Promise<string> {
  const listener = createServer({ pauseOnConnect: true });
  listener.listen(path === undefined ? { port: 0, host: '127.0.0.1' } : { path });
  await once(listener, 'listening');
  t.after(() => listener.close());
  const accepting = once(listener, 'connection') as Promise<[Socket]>;
  const address = listener.address();
  const target = typeof address === 'string' ? { path: address } : { port: address?.port ?? 0, host: '127.0.0.1' };
  let said = '';
  const client = connect({
    ...target,
    onread: {
      buffer: Buffer.alloc(1024),
      callback: (length, bytes) => {
        said += (bytes as Buffer).toString('latin1', 0, length);
        return true;
      },
    },
  });
  t.after(() => client.destroy());
  readOnWhenUnwritable(client);
  client.on('error', () => undefined);
  const [server] = await accepting;
  client.pause();
  client.write('not read');
  await new Promise<void>((resolve) => server.write('last words', () => resolve()));
  server.destroy();
  await once(server, 'close');
  let writes = 0;
  const unwritable = async (): Promise<boolean> => {
    await new Promise<void>((resolve) => client.write('x', () => resolve()));
    writes += 1;
    return writes === 10;
  };
  await eventually(unwritable, { intervalMs: 2 });
  const closed = once(client, 'close');
  client.resume();
  await closed;
  return said;
}

describe('A socket that cannot be written to any more', () => {
  it('is read to its end over TCP', async (t) => {
    assert.equal(await heard(t, undefined), 'last words');
  });

  it('is read to its end over a unix socket', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'reading-'));
    t.after(() => rmSync(folder, { recursive: true }));
    assert.equal(await heard(t, join(folder, 'socket')), 'last words');
  });
});
