import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LookedUpUsers } from '../../src/pooler/looked-up-users.ts';
import type { PoolerDatabase, UserLookupOptions } from '../../src/pooler/pooler-options.ts';
import { commandComplete, dataRow, msg, readyForQuery } from '../support/bytes.ts';
import { acceptLogin, ScriptedPostgres, waitForClose } from '../support/scripted-postgres.ts';

const ROUTE = {
  database: 'app',
  password: undefined,
  passwordHash: undefined,
  serverUser: undefined,
  serverPassword: undefined,
  mode: 'transaction',
  poolSize: 1,
  minPoolSize: 0,
  pinnedPoolSize: 1,
} as const;

describe('users who are looked up', () => {
  it('are let in by nothing that pg_roles shows in place of every password', async (t) => {
    const server = await ScriptedPostgres.start(t, [
      acceptLogin(),
      async (peer) => {
        await peer.expect('P', 'B', 'E', 'S');
        peer.send(msg('1'), msg('2'), dataRow('anna', '********'), commandComplete('SELECT 1'), readyForQuery('I'));
      },
      waitForClose(),
    ]);
    const database: PoolerDatabase = {
      name: 'app',
      address: { host: server.host, port: server.port },
      tls: { verify: 'disabled', ca: undefined, certificate: undefined, privateKey: undefined },
      userLookup: undefined,
      databaseName: 'app',
      resetAlways: false,
      parameters: {},
    };
    const asker = { user: 'asker', password: undefined, query: 'ask $1', timeoutMs: 2_000 };
    const lookup: UserLookupOptions = { ...asker, route: ROUTE };
    const logged: object[] = [];
    const users = new LookedUpUsers(Buffer.alloc(32, 1), (_message, fields) => logged.push(fields));
    t.after(() => users.clear());
    await assert.rejects(users.find('anna', database, lookup), /asterisks/);
    assert.equal(logged.length, 1);
  });
});
