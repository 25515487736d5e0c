import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { ClientSocket } from '../../src/net/client-socket.ts';
import { Farewells } from '../../src/net/farewells.ts';
import { eventually } from '../support/eventually.ts';
import { accepted, listening } from './sockets.ts';

describe('farewells', () => {
  async function bench(t: TestContext, limit: number) {
    const { server, port } = await listening(t);
    const farewells = new Farewells(limit);
    const turnAway = async (): Promise<{ client: ClientSocket; heard: Promise<string> }> => {
      const accepting = accepted(server);
      const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      t.after(() => peer.destroy());
      const heard = once(peer, 'data').then(([chunk]) => String(chunk));
      peer.on('end', () => undefined);
      const client = new ClientSocket(await accepting);
      client.end(Buffer.from('no room'));
      farewells.add(client);
      return { client, heard };
    };
    return { turnAway, connections: promisify(server.getConnections.bind(server)) };
  }

  it('are not said to more than a number at once, and everybody hears them', async (t) => {
    const { turnAway, connections } = await bench(t, 3);
    for (let crowd = 0; crowd < 10; crowd++) {
      const { heard } = await turnAway();
      assert.equal(await heard, 'no room');
      assert.ok((await connections()) <= 4, 'those that wait, and one that is closing');
    }
  });

  it('are over where the client has closed, or had before', async (t) => {
    const { turnAway } = await bench(t, 1);
    const first = await turnAway();
    first.client.destroy();
    await eventually(() => first.client.closed);
    const second = await turnAway();
    await second.heard;
    assert.equal(second.client.closed, false);
    new Farewells(1).add(first.client);
  });
});
