import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectServer } from '../../src/pool/connect-server.ts';
import { ServerConnection } from '../../src/pool/server-connection.ts';
import { sendCancel } from '../../src/pooler/cancel.ts';
import type { Server } from '../../src/pooler/session-link.ts';
import { ServerSession } from '../../src/session/server-session.ts';
import { eventually } from '../support/eventually.ts';
import { acceptLogin, ScriptedPostgres, waitForClose } from '../support/scripted-postgres.ts';

describe('cancelling what a server runs', () => {
  it('takes one more CancelRequest behind the one that is on its way, however often it is asked for', async (t) => {
    const release = Promise.withResolvers<void>();
    const postgres = await ScriptedPostgres.start(
      t,
      [acceptLogin(), waitForClose()],
      [
        async (peer) => {
          await peer.readUntyped();
          await release.promise;
        },
      ],
    );
    const address = { host: postgres.host, port: postgres.port };
    const login = { address, database: 'shop', user: 'anna', password: undefined, parameters: {}, timeoutMs: 10_000 };
    const loggedIn = await connectServer(login);
    const none = (): void => undefined;
    const server: Server = new ServerConnection(loggedIn, new ServerSession(loggedIn.parameters), none, none);
    t.after(() => server.close('shutdown'));
    for (let count = 0; count < 20; count++) sendCancel(server, 10_000);
    assert.equal(server.cancels, 2);
    let done = false;
    server.onCancelsDone = () => (done = true);
    await eventually(() => postgres.connections === 2);
    release.resolve();
    await eventually(() => done);
    assert.deepEqual([postgres.connections, server.cancels], [3, 0]);
  });
});
