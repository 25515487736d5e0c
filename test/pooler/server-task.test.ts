import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectServer } from '../../src/pool/connect-server.ts';
import { ServerConnection } from '../../src/pool/server-connection.ts';
import { runTask } from '../../src/pooler/server-task.ts';
import { ServerSession } from '../../src/session/server-session.ts';
import { commandComplete, errorResponse, int32, msg, readyForQuery } from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import { acceptLogin, expectQuery, ScriptedPostgres, send, until } from '../support/scripted-postgres.ts';

const NOTIFICATION = msg('A', int32(7), Buffer.from('channel\0hello\0'));

describe('a task of pgmirror’s own', () => {
  for (const [what, message] of [
    ['a notification', NOTIFICATION],
    ['the server’s last words', errorResponse('57P01', 'terminating', 'FATAL')],
    ['half a message', NOTIFICATION.subarray(0, 9)],
  ] as const) {
    it(`leaves ${what} that came with its answer to the next user`, async (t) => {
      const over = Promise.withResolvers<void>();
      const answer = Buffer.concat([commandComplete('DISCARD ALL'), readyForQuery('I'), message]);
      const postgres = await ScriptedPostgres.start(t, [
        acceptLogin(),
        expectQuery('DISCARD ALL'),
        send(answer),
        until(over.promise),
      ]);
      const login = { database: 'shop', user: 'anna', password: undefined, parameters: {}, timeoutMs: 10_000 };
      const loggedIn = await connectServer({ address: { host: '127.0.0.1', port: postgres.port }, ...login });
      const nothing = (): void => undefined;
      const server = new ServerConnection(loggedIn, new ServerSession(loggedIn.parameters), nothing, nothing);
      t.after(() => {
        server.close('shutdown');
        over.resolve();
      });
      const chunks: Buffer[] = [];
      const outcomes: string[] = [];
      runTask(server, 'DISCARD ALL', 10_000, ({ outcome }) => {
        outcomes.push(outcome);
        server.setUser({ bytes: (chunk) => void chunks.push(Buffer.from(chunk)), lost: nothing });
      });
      await eventually(() => Buffer.concat(chunks).length >= message.length);
      assert.deepEqual([outcomes, Buffer.concat(chunks)], [['done'], message]);
    });
  }
});
