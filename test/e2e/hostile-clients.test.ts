import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { aliceEntry } from '../support/alice.ts';
import { bind, cstr, errorFields, int32, msg, query, splitMessages, startup, sync, untyped } from '../support/bytes.ts';
import { ClientLoad } from '../support/client-load.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { createDatabase, query as run, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient, type WireAddress } from '../support/wire-client.ts';

describe('A client that does not keep to the protocol', () => {
  const cleanup = inReverse({ after });
  let source: RunningPostgres;
  let database: string;
  let pgmirror: Pgmirror;
  let others: ClientLoad;

  before(async () => {
    source = await startWatchedPostgres(cleanup);
    database = await createDatabase(source);
    pgmirror = await Pgmirror.start(cleanup, {
      general: {
        client_login_timeout: 1_000,
        max_login_connections: 20,
        max_message_size: 1_000_000,
        log_connections: false,
      },
      databases: [{ ...databaseEntry('app', source, database), pool_size: 1 }],
      users: [aliceEntry],
    });
    // All the while others are served, on the one connection that there is.
    others = ClientLoad.start(cleanup, pgmirror.url('app'), {
      clients: 2,
      pauseMs: 10,
      transaction: async (client) => client.query('SELECT 1'),
    });
    cleanup.after(async () => {
      await others.advance(20);
      await others.stop();
      assert.deepEqual(others.errors, []);
    });
  });

  async function connect(test: Cleanup, address: WireAddress): Promise<WireClient> {
    const client = await WireClient.connect(address);
    test.after(async () => client.destroy());
    return client;
  }

  async function login(test: Cleanup, address: WireAddress): Promise<WireClient> {
    const direct = address === source;
    const client = await WireClient.login(address, {
      user: direct ? source.user : 'alice',
      database: direct ? database : 'app',
      password: direct ? source.password : 'alice-password',
    });
    test.after(async () => client.destroy());
    return client;
  }

  const startups: readonly (readonly [what: string, bytes: Buffer])[] = [
    ['a request of another protocol', Buffer.from('GET / HTTP/1.1\r\nHost: app\r\n\r\n')],
    ['a startup packet of 2 GB', Buffer.concat([int32(0x7fffffff), int32(0x30000)])],
    ['a startup packet longer than PostgreSQL takes', untyped(int32(0x30000), Buffer.alloc(20_000, 'x'))],
    ['a startup packet shorter than its length', Buffer.concat([int32(3), int32(0x30000)])],
    ['a startup packet of a version that there is not', startup({ user: 'alice' }, 0x90000)],
    ['a startup packet without a user', startup({ database: 'app' })],
    ['a startup packet that does not end', untyped(int32(0x30000), cstr('user'), cstr('alice'))],
  ];

  for (const [what, bytes] of startups) {
    it(`is answered as PostgreSQL would: ${what}`, async (t) => {
      const test = inReverse(t);
      const [ours, theirs] = await Promise.all(
        [pgmirror, source].map(async (address) => {
          const client = await connect(test, address);
          client.send(bytes);
          await client.waitForClose();
          return told(client.unread);
        }),
      );
      assert.deepEqual(ours, theirs);
    });
  }

  const messages: readonly (readonly [what: string, bytes: Buffer])[] = [
    ['a message of a type that there is not', msg('z', Buffer.alloc(4))],
    ['a message with a length of 3', Buffer.concat([Buffer.from('Q'), int32(3)])],
    ['a message that belongs to a login', msg('p', cstr('secret'))],
  ];

  for (const [what, bytes] of messages) {
    it(`is answered as PostgreSQL would after its login: ${what}`, async (t) => {
      const test = inReverse(t);
      const [ours, theirs] = await Promise.all(
        [pgmirror, source].map(async (address) => {
          const client = await login(test, address);
          client.send(bytes);
          await client.waitForClose();
          return told(client.unread);
        }),
      );
      assert.deepEqual(ours, theirs);
    });
  }

  it('gets an error and goes on where only its request is broken', async (t) => {
    const test = inReverse(t);
    const [ours, theirs] = await Promise.all(
      [pgmirror, source].map(async (address) => {
        const client = await login(test, address);
        // A Bind that promises more than it has, and one for a statement that there is not.
        client.send(msg('B', cstr(''), cstr('none'), Buffer.from([0, 9])), sync);
        const first = await client.readUntil('Z');
        client.send(bind('', 'none'), sync);
        const second = await client.readUntil('Z');
        const third = await client.query('SELECT 1');
        return [...first, ...second, ...third].map((message) => told(message.bytes));
      }),
    );
    assert.deepEqual(ours, theirs);
  });

  it('is closed when it announces more than max_message_size', async (t) => {
    const client = await login(inReverse(t), pgmirror);
    client.send(Buffer.concat([Buffer.from('Q'), int32(1_000_001 + 4), Buffer.from('SELECT')]));
    await client.waitForClose(); // without a word, as PostgreSQL does where it cannot take a message
  });

  it('is closed when its login does not come to an end in time', async (t) => {
    const test = inReverse(t);
    const [silent, half] = [await connect(test, pgmirror), await connect(test, pgmirror)];
    half.send(startup({ user: 'alice', database: 'app' }).subarray(0, 12));
    await silent.waitForClose();
    await half.waitForClose();
  });

  it('leaves nothing behind when it goes in mid-message', async (t) => {
    const test = inReverse(t);
    const half = query(`SELECT '${'x'.repeat(500)}'`);
    for (const length of [1, 4, 5, 6, 100, half.length - 1]) {
      const client = await login(test, pgmirror);
      client.send(half.subarray(0, length));
      await client.destroy();
    }
    const long = query(`SELECT '${'x'.repeat(500_000)}'`);
    const client = await login(test, pgmirror);
    client.send(long.subarray(0, 300_000));
    await eventually(() => client.socket.writableLength === 0);
    await client.destroy();
    await eventually(
      async () => (await pgmirror.admin('SHOW CLIENTS')).filter(({ user }) => user === 'alice').length === 2,
    );
    assert.deepEqual(await run(pgmirror.url('app'), 'SELECT 1 AS one'), [{ one: 1 }]);
  });

  it('holds nobody else up by standing still in mid-message', async (t) => {
    const client = await login(inReverse(t), pgmirror);
    client.send(query('SELECT 1').subarray(0, 7));
    await others.advance(20);
    client.send(query('SELECT 1').subarray(7));
    await client.expect('T', 'D', 'C', 'Z');
  });

  it('cannot keep others out by not logging in: there are so many such places, and they are given up', async (t) => {
    const test = inReverse(t);
    const idle = await Promise.all(Array.from({ length: 20 }, async () => connect(test, pgmirror)));
    const late = await connect(test, pgmirror);
    const [fatal] = await late.expect('E');
    assert.equal(fatal && errorFields(fatal).C, '53300');
    await late.waitForClose();
    await others.advance(10); // who is logged in does not notice
    await Promise.all(idle.map(async (client) => client.waitForClose()));
    assert.deepEqual(await run(pgmirror.url('app'), 'SELECT 1 AS one'), [{ one: 1 }]);
  });
});

/** What matters of an answer: types, and of errors the severity and the SQLSTATE. */
function told(bytes: Buffer): readonly string[] {
  return splitMessages(bytes).messages.map((message) => {
    if (message.type !== 'E') return message.type;
    const { S: severity, C: code } = errorFields(message);
    return `E ${severity} ${code}`;
  });
}
