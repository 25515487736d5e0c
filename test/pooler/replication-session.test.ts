import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { ClientSocket } from '../../src/net/client-socket.ts';
import { connectServer } from '../../src/pool/connect-server.ts';
import { ReplicationSession } from '../../src/pooler/replication-session.ts';
import { query } from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import { MessageSocket } from '../support/message-socket.ts';
import { acceptLogin, ScriptedPostgres } from '../support/scripted-postgres.ts';
import { clientPair } from './relay-bench.ts';

/** A client that replicates from a server to which CancelRequests take until they are released. */
async function openReplication(t: TestContext) {
  const release = Promise.withResolvers<void>();
  const walsender = Promise.withResolvers<MessageSocket>();
  const over = Promise.withResolvers<void>();
  t.after(() => over.resolve());
  const serve = async (peer: MessageSocket): Promise<void> => {
    walsender.resolve(peer);
    await over.promise;
  };
  const cancelled = async (peer: MessageSocket): Promise<void> => {
    await peer.readUntyped();
    await release.promise;
  };
  const postgres = await ScriptedPostgres.start(t, [acceptLogin(), serve], [cancelled]);
  const { near, far } = await clientPair(t);
  const login = { database: 'shop', user: 'anna', password: undefined, parameters: {}, timeoutMs: 10_000 };
  const server = await connectServer({ address: { host: postgres.host, port: postgres.port }, ...login });
  const session = new ReplicationSession({
    client: new ClientSocket(near),
    processId: 1,
    secretKey: 'oooo',
    database: 'shop',
    user: 'anna',
    applicationName: '',
    kind: 'physical',
    server,
    cancelTimeoutMs: 10_000,
    onClosed: () => undefined,
  });
  session.start(Buffer.alloc(0));
  t.after(() => session.abort({ severity: 'FATAL', code: '57P01', message: 'over' }));
  return { session, postgres, near, release, client: new MessageSocket(far), peer: await walsender.promise };
}

describe('cancelling what a replication connection runs', () => {
  it('takes one more CancelRequest behind the one that is on its way, however often it is asked for', async (t) => {
    const { session, postgres, release, near } = await openReplication(t);
    for (let count = 0; count < 20; count++) session.cancel();
    await eventually(() => postgres.connections === 2);
    release.resolve();
    await eventually(() => postgres.connections === 3 && !near.isPaused());
  });

  it('does not hit what the client sends next', async (t) => {
    const { session, client, peer, near, release } = await openReplication(t);
    client.send(query('IDENTIFY_SYSTEM'));
    await peer.expect('Q');
    session.cancel();
    assert.ok(near.isPaused());
    client.send(query('SHOW work_mem'));
    release.resolve();
    await peer.expect('Q');
  });
});
