import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import {
  bind,
  commandComplete,
  describe as describeMessage,
  errorFields,
  execute,
  parse,
  readyForQuery,
  rowValues,
  sync,
} from './bytes.ts';
import { inReverse } from './cleanup.ts';
import { eventually } from './eventually.ts';
import { createDatabase, query, type RunningPostgres } from './postgres.ts';
import { acceptLogin, expect, expectQuery, ScriptedPostgres, send, waitForClose } from './scripted-postgres.ts';
import { startWatchedPostgres } from './watched-postgres.ts';
import { WireClient } from './wire-client.ts';

describe('WireClient', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;
  let database: string;

  before(async () => {
    server = await startWatchedPostgres(cleanup, {
      settings: { password_encryption: 'md5' },
      hba: ['host all trusted all trust', 'host all clear all password', 'host all old all md5'],
    });
    database = await createDatabase(server);
    const roles = ['trusted', 'clear', 'old'].map((name) => `CREATE ROLE ${name} LOGIN PASSWORD '${name}-secret'`);
    await query(server.url('postgres'), roles.join(';'));
  });

  for (const user of ['trusted', 'clear', 'old']) {
    it(`logs in as the server asks user ${user}`, async () => {
      const client = await WireClient.login(server, { user, database, password: `${user}-secret` });
      const [, row] = await client.query('SELECT current_user');
      assert.deepEqual(rowValues(row!), [user]);
      await client.end();
    });
  }

  it('logs in with SCRAM, and notes what the server reports', async () => {
    const { user, password, socketDirectory: host, port } = server;
    const client = await WireClient.login({ host, port }, { user, password, database });
    assert.equal(client.parameters.get('server_version')?.split(' ')[0], server.version);
    assert.ok(client.processId > 0);
    assert.equal(client.secretKey.length, 4);
    await client.end();
  });

  it('says why a login failed', async () => {
    const login = WireClient.login(server, { user: server.user, password: 'wrong', database });
    await assert.rejects(login, /the login failed: 28P01/);
  });

  it('expects messages type by type', async () => {
    const client = await WireClient.login(server, { user: 'trusted', database });
    client.send(parse('', 'SELECT $1::text'), bind('', '', 'x'), describeMessage('P', ''), execute(''), sync);
    const messages = await client.expect('1', '2', 'T', 'D', 'C', 'Z');
    assert.deepEqual(rowValues(messages[3]!), ['x']);
    client.send(parse('', 'SELEC'), sync);
    await assert.rejects(client.expect('1', 'Z'), /expected 1 Z, received {2}E .*syntax error/);
    await client.end();
  });

  it('cancels a query', async () => {
    const client = await WireClient.login(server, { user: 'trusted', database });
    const answer = client.query('SELECT pg_sleep(60)');
    const running = `SELECT FROM pg_stat_activity WHERE pid = ${client.processId} AND wait_event = 'PgSleep'`;
    await eventually(async () => (await query(server.url('postgres'), running)).length === 1, { what: 'it to sleep' });
    await WireClient.cancel(server, client.processId, client.secretKey);
    const error = (await answer).find(({ type }) => type === 'E');
    assert.equal(errorFields(error!).C, '57014');
    await client.reset();
  });

  it('talks to a scripted server', async (t) => {
    const scripted = await ScriptedPostgres.start(t, [
      acceptLogin({ server_version: '9.9' }),
      expectQuery('SELECT 1'),
      send(commandComplete('SELECT 1'), readyForQuery('I')),
      expect('X'),
      waitForClose(),
    ]);
    const client = await WireClient.login(scripted, { user: 'u' });
    assert.equal(client.parameters.get('server_version'), '9.9');
    assert.deepEqual(
      (await client.query('SELECT 1')).map(({ type }) => type),
      ['C', 'Z'],
    );
    client.socket.end(Buffer.from('X\0\0\0\x04', 'latin1'));
    await client.waitForClose();
    await scripted.finished();
  });

  it('is told by a scripted server what did not fit the script', async (t) => {
    const scripted = await ScriptedPostgres.start(t, [acceptLogin(), expectQuery('SELECT 1')]);
    const client = await WireClient.login(scripted, { user: 'u' });
    await assert.rejects(client.query('SELECT 2'), /the connection ended before a message came/);
    await assert.rejects(scripted.finished(), /SELECT 2/);
  });
});
