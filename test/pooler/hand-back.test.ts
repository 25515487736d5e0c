import { it } from 'node:test';
import type { Pool } from '../../src/pool/pool.ts';
import { handBack } from '../../src/pooler/hand-back.ts';
import type { ServerSession } from '../../src/session/server-session.ts';
import { commandComplete, query, readyForQuery, sync } from '../support/bytes.ts';
import { openBackend, received } from './relay-bench.ts';

it('a server connection is reset when no cancel of its client can hit that any more', async (t) => {
  const backend = await openBackend(t);
  const { server, peer } = backend;
  const released = Promise.withResolvers<void>();
  const pool = { options: { resetAlways: true }, release: () => released.resolve() };
  server.countCancel(1);
  handBack(server, pool as unknown as Pool<ServerSession>, 10_000);
  server.socket.write(sync);
  await received(backend, sync);
  server.countCancel(-1);
  await received(backend, query('DISCARD ALL'));
  peer.send(commandComplete('DISCARD ALL'), readyForQuery('I'));
  await released.promise;
});
