import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import type { QueryReport } from '../../src/mirror/report/query-report.ts';
import { HttpServer } from '../../src/http/http-server.ts';
import { eventually } from '../support/eventually.ts';
import { figures } from './figures.ts';

/** Both ends of connections count, for both are in this process. */
const endsOpen = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;

describe('The HTTP server', () => {
  it('closes a connection whose client does not read its answer', async (t) => {
    const long = [{ query: 'x'.repeat(32 * 1_048_576) }] as unknown as QueryReport[];
    const server = new HttpServer({ ...figures, queries: () => Promise.resolve(long) }, '127.0.0.1');
    t.after(async () => server.close());
    const port = await server.listen({ host: '127.0.0.1', port: 0 });
    const others = endsOpen();
    const client = connect(port, '127.0.0.1');
    t.after(() => client.destroy());
    await once(client, 'connect');
    client.pause();
    client.write('GET /queries HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await eventually(() => endsOpen() === others + 2);
    await eventually(() => endsOpen() === others + 1, { timeoutMs: 30_000 });
    assert.equal(client.readableEnded, false);
  });
});
