import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';

import { cstr, errorFields, msg, sslRequest, startup, type Message } from '../support/bytes.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { LeakWatch } from '../support/leaks.ts';
import { databaseEntry, Pgmirror, type PgmirrorFiles } from '../support/pgmirror.ts';
import { createDatabase, query, startTestPostgres, type RunningPostgres } from '../support/postgres.ts';
import { TemporaryFiles } from '../support/temporary-files.ts';
import { WireClient } from '../support/wire-client.ts';

describe('Logins', () => {
  const cleanup = inReverse({ after });
  let files: TemporaryFiles;
  let source: RunningPostgres;
  let database: string;

  before(async () => {
    LeakWatch.during(cleanup);
    files = await TemporaryFiles.start(cleanup);
    source = await startTestPostgres(cleanup, { hba: ['host all old all md5', 'host all keyed all scram-sha-256'] });
    database = await createDatabase(source);
    await onSource("CREATE ROLE keyed LOGIN PASSWORD 'keyed-password'");
    await onSource("SET password_encryption = 'md5'; CREATE ROLE old LOGIN PASSWORD 'old-password'");
    await onSource("CREATE ROLE asker LOGIN SUPERUSER PASSWORD 'asker-password'");
  });

  async function onSource<Row extends Record<string, unknown>>(sql: string): Promise<Row[]> {
    return query<Row>(source.url(database), sql);
  }

  async function storedPassword(role: string): Promise<string> {
    const sql = `SELECT rolpassword FROM pg_authid WHERE rolname = '${role}'`;
    return (await onSource<{ rolpassword: string }>(sql))[0]?.rolpassword ?? '';
  }

  /** Clients' own names are the servers' as well: the database has no login of its own. */
  async function started(scope: Cleanup, changed: PgmirrorFiles = {}): Promise<Pgmirror> {
    const databases = [{ name: 'app', host: source.host, port: source.port, database_name: database }];
    return Pgmirror.start(inReverse(scope), { databases, users: [], ...changed });
  }

  const currentUser = async (pgmirror: Pgmirror, user: string, password: string): Promise<unknown> =>
    (await query(pgmirror.url('app', user, password), 'SELECT current_user'))[0]?.current_user;

  describe('of users of whom only a verifier is known', () => {
    it('are made on the server with the key that the client showed, and no password is anywhere', async (t) => {
      const users = [{ name: 'keyed', databases: ['app'], password_hash: await storedPassword('keyed') }];
      const pgmirror = await started(t, { users, general: { log_level: 'trace' } });
      assert.equal(await currentUser(pgmirror, 'keyed', 'keyed-password'), 'keyed');
      await Promise.all(
        Array.from({ length: 5 }, async () =>
          query(pgmirror.url('app', 'keyed', 'keyed-password'), 'SELECT pg_sleep(0.1)'),
        ),
      );
      assert.doesNotMatch(pgmirror.output(), /keyed-password|SCRAM-SHA-256\$/);
    });

    it('are refused with the wrong password, and open nothing on the server', async (t) => {
      const users = [{ name: 'keyed', databases: ['app'], password_hash: await storedPassword('keyed') }];
      const pgmirror = await started(t, { users });
      const sessions = async (): Promise<number> =>
        (await onSource("SELECT FROM pg_stat_activity WHERE usename = 'keyed'")).length;
      await eventually(async () => (await sessions()) === 0); // those of the pgmirror before may be on their way out
      await assert.rejects(currentUser(pgmirror, 'keyed', 'wrong'), { code: '28P01' });
      assert.equal(await sessions(), 0);
    });

    it('are made with the new key once the password was changed on both sides', async (t) => {
      await onSource("CREATE ROLE changing LOGIN PASSWORD 'first-password'");
      const users = async () => [
        { name: 'changing', databases: ['app'], password_hash: await storedPassword('changing') },
      ];
      const pgmirror = await started(t, { users: await users() });
      assert.equal(await currentUser(pgmirror, 'changing', 'first-password'), 'changing');
      await onSource("ALTER ROLE changing PASSWORD 'second-password'");
      await pgmirror.reload({ users: await users() });
      await assert.rejects(currentUser(pgmirror, 'changing', 'first-password'), { code: '28P01' });
      assert.equal(await currentUser(pgmirror, 'changing', 'second-password'), 'changing');
    });

    it('work with MD5 where the server stores that', async (t) => {
      const users = [];
      for (const name of ['old', 'keyed']) {
        users.push({ name, databases: ['app'], password_hash: await storedPassword(name) });
      }
      const pgmirror = await started(t, { users, general: { auth_type: 'md5' } });
      assert.equal(await currentUser(pgmirror, 'old', 'old-password'), 'old');
      // Of whom a verifier is known is asked for SCRAM.
      assert.equal(await currentUser(pgmirror, 'keyed', 'keyed-password'), 'keyed');
      await assert.rejects(currentUser(pgmirror, 'keyed', 'old-password'), { code: '28P01' });
    });

    it('work with a password in plain text, which is passed on to the server', async (t) => {
      const users = [{ name: 'keyed', databases: ['app'], password_hash: await storedPassword('keyed') }];
      const pgmirror = await started(t, { users, general: { auth_type: 'plain' } });
      assert.equal(await currentUser(pgmirror, 'keyed', 'keyed-password'), 'keyed');
    });
  });

  it('check the password of the entry for the database, where a user has one for each', async (t) => {
    const databases = ['app', 'other'].map((name) => databaseEntry(name, source, database));
    const users = ['app', 'other'].map((name) => ({ name: 'alice', database: name, password: `${name}-password` }));
    const pgmirror = await started(t, { databases, users });
    await query(pgmirror.url('app', 'alice', 'app-password'), 'SELECT 1');
    await query(pgmirror.url('other', 'alice', 'other-password'), 'SELECT 1');
    await assert.rejects(query(pgmirror.url('other', 'alice', 'app-password'), 'SELECT 1'), { code: '28P01' });
  });

  describe('of users whom users.toml lacks (auth_query)', () => {
    let pgmirror: Pgmirror;
    const asker = { name: 'asker', databases: ['app'], password: 'asker-password' };

    before(async () => {
      await onSource("CREATE ROLE found LOGIN PASSWORD 'found-password'");
      await onSource("CREATE ROLE expired LOGIN PASSWORD 'expired-password' VALID UNTIL '2020-01-01'");
      await onSource("CREATE ROLE current LOGIN PASSWORD 'current-password' VALID UNTIL '2120-01-01'");
      await onSource("CREATE ROLE nologin NOLOGIN PASSWORD 'nologin-password'");
      await onSource('CREATE ROLE passwordless LOGIN');
      await onSource(`CREATE ROLE "O'Hara ""$1""; --" LOGIN PASSWORD 'odd-password'`);
      pgmirror = await started(cleanup, { users: [asker], general: { auth_user: 'asker', log_level: 'trace' } });
    });

    it('succeed with the password that the source stores, and connect as the same user', async () => {
      assert.equal(await currentUser(pgmirror, 'found', 'found-password'), 'found');
      assert.equal(await currentUser(pgmirror, 'current', 'current-password'), 'current');
      assert.equal(await currentUser(pgmirror, 'old', 'wrong').catch((error: { code: string }) => error.code), '28P01');
    });

    it('take the name as a parameter, whatever is in it', async () => {
      const name = `O'Hara "$1"; --`;
      assert.equal(await currentUser(pgmirror, name, 'odd-password'), name);
    });

    it('fail alike for a wrong password, VALID UNTIL in the past, NOLOGIN, no password, and nobody', async () => {
      const refusal = async (user: string, password: string): Promise<unknown> => {
        const error = await currentUser(pgmirror, user, password).then(
          () => assert.fail(`${user} was let in`),
          (reason: { code: string; message: string }) => reason,
        );
        return { code: error.code, message: error.message.replace(user, 'X') };
      };
      const wrong = await refusal('found', 'wrong');
      assert.deepEqual(wrong, { code: '28P01', message: 'password authentication failed for user "X"' });
      for (const user of ['expired', 'nologin', 'passwordless', 'nobody-of-that-name', 'f'.repeat(100)]) {
        assert.deepEqual(await refusal(user, `${user}-password`), wrong, user);
      }
    });

    it('ask on a connection of its own as auth_user, with no parameter of the client', async () => {
      await onSource(`CREATE SCHEMA evil; GRANT ALL ON SCHEMA evil TO PUBLIC`);
      await onSource(`CREATE FUNCTION evil.equal(name, text) RETURNS bool LANGUAGE sql AS
        $$ SELECT set_config('evil.ran', 'yes', false) IS NOT NULL $$`);
      await onSource('CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = text, FUNCTION = evil.equal)');
      const client = await connected(pgmirror, {});
      client.send(
        startup({ user: 'found', database: 'app', search_path: 'evil, pg_catalog', options: '-c role=found' }),
      );
      await client.expect('R');
      const [asking] = await onSource<{ usename: string; application_name: string }>(
        "SELECT usename, application_name FROM pg_stat_activity WHERE query LIKE '%rolpassword%rolcanlogin'",
      );
      assert.deepEqual(asking, { usename: 'asker', application_name: 'pgmirror auth_query' });
      await client.destroy();
    });

    it('notice a changed password at the first attempt that fails, and keep nothing for long', async () => {
      await onSource("CREATE ROLE moving LOGIN PASSWORD 'first-password'");
      assert.equal(await currentUser(pgmirror, 'moving', 'first-password'), 'moving');
      await onSource("ALTER ROLE moving PASSWORD 'second-password'");
      await assert.rejects(currentUser(pgmirror, 'moving', 'second-password'), { code: '28P01' });
      assert.equal(await currentUser(pgmirror, 'moving', 'second-password'), 'moving');
      await onSource("ALTER ROLE moving VALID UNTIL '2020-01-01'");
      await eventually(
        async () =>
          currentUser(pgmirror, 'moving', 'second-password').then(
            () => false,
            () => true,
          ),
        { timeoutMs: 15_000, intervalMs: 500 },
      );
    });

    it('cost the source one connection, however many ask at once', async () => {
      let most = 0;
      const clients = await Promise.all(Array.from({ length: 40 }, async () => connected(pgmirror, {})));
      for (const [index, client] of clients.entries()) client.send(startup({ user: `guess${index}`, database: 'app' }));
      await Promise.all(
        clients.map(async (client) => {
          await client.expect('R');
          const sql = "SELECT FROM pg_stat_activity WHERE application_name = 'pgmirror auth_query'";
          most = Math.max(most, (await onSource(sql)).length);
        }),
      );
      assert.equal(most, 1);
      await Promise.all(clients.map(async (client) => client.destroy()));
    });

    it('count as failed where the source was asked for nothing, and not where what is known was enough', async (t) => {
      const general = { auth_user: 'asker', login_failures_per_minute: 3 };
      const limited = await started(t, { users: [asker], general });
      const look = async (user: string): Promise<string | undefined> => {
        const client = await connected(limited, t);
        client.send(startup({ user, database: 'app' }));
        const answer = await client.read();
        await client.destroy();
        return answer.type === 'E' ? errorFields(answer).C : undefined;
      };
      for (let probe = 0; probe < 8; probe++) assert.equal(await look('found'), undefined, 'as pg_isready does');
      assert.equal(await currentUser(limited, 'found', 'found-password'), 'found');
      let guesses = 0;
      await eventually(async () => (await look(`guess${++guesses}`)) === '28000', { intervalMs: 10 });
      assert.ok(guesses >= 2, `refused at guess ${guesses}`);
      await limited.waitForLog(({ msg: text }) => /too many failed logins/.test(text));
    });

    it('do not show the client why they cannot be looked up', async (t) => {
      const broken = await started(t, {
        users: [asker],
        general: { auth_user: 'asker', auth_query: 'SELECT secret_detail FROM nowhere WHERE name = $1' },
      });
      await assert.rejects(
        currentUser(broken, 'found', 'found-password'),
        (error: { code: string; message: string }) => {
          assert.equal(error.code, '08006');
          assert.doesNotMatch(error.message, /nowhere|secret_detail/);
          return true;
        },
      );
      await broken.waitForLog((line) => /nowhere/.test(String(line['reason'])));
    });

    it('can be by a query of one’s own, and the database’s login cannot be chosen by the client', async (t) => {
      await onSource(`CREATE FUNCTION public.credentials(who text) RETURNS TABLE (name text, secret text)
        LANGUAGE sql SECURITY DEFINER AS $$ SELECT rolname::text, rolpassword FROM pg_authid WHERE rolname = who $$`);
      const own = await started(t, {
        databases: [databaseEntry('app', source, database)],
        users: [{ name: 'asker', databases: ['app'], password: 'asker-password' }],
        general: { auth_user: 'asker', auth_query: 'SELECT * FROM public.credentials($1)' },
      });
      assert.equal(await currentUser(own, 'found', 'found-password'), 'postgres');
      await assert.rejects(currentUser(own, 'found', 'wrong'), { code: '28P01' });
    });

    it('go by users.toml alone for who stands there', async (t) => {
      const users = [asker, { name: 'found', databases: ['app'], password: 'another-password' }];
      const pgmirrorWithBoth = await started(t, { users, general: { auth_user: 'asker' } });
      await assert.rejects(currentUser(pgmirrorWithBoth, 'found', 'found-password'), { code: '28P01' });
    });

    it('leave no password in the log, whatever its level', () => {
      assert.doesNotMatch(pgmirror.output(), /SCRAM-SHA-256\$|(?:found|asker|second)-password/);
    });
  });

  describe('that fail', () => {
    const users = [{ name: 'alice', databases: ['app'], password: 'alice-password' }];

    it('look alike for an unknown user, an unknown database and a wrong password, step by step', async (t) => {
      const pgmirror = await started(t, { users });
      const seen = async (login: { user: string; database: string }): Promise<unknown> => {
        const client = await connected(pgmirror, t);
        const messages: Message[] = await client.logIn({ ...login, password: 'wrong' }).then(
          () => assert.fail('let in'),
          (error: Error) => [
            { type: error.message.replace(login.user, 'X'), body: Buffer.alloc(0), bytes: Buffer.alloc(0) },
          ],
        );
        return messages.map(({ type }) => type);
      };
      const wrong = await seen({ user: 'alice', database: 'app' });
      assert.deepEqual(await seen({ user: 'nobody', database: 'app' }), wrong);
      assert.deepEqual(await seen({ user: 'alice', database: 'nowhere' }), wrong);
      assert.deepEqual(await seen({ user: 'admin', database: 'pgmirror' }), wrong);
    });

    it('but for one to an unknown database with the right password, which says so', async (t) => {
      for (const auth_type of ['scram', 'trust']) {
        const pgmirror = await started(t, { users, general: { auth_type } });
        await assert.rejects(query(pgmirror.url('nowhere', 'alice', 'alice-password'), 'SELECT 1'), {
          code: '3D000',
          message: 'database "nowhere" does not exist',
        });
        await assert.rejects(query(pgmirror.url('nowhere', 'nobody', 'alice-password'), 'SELECT 1'), {
          code: auth_type === 'trust' ? '28000' : '28P01',
        });
      }
    });

    it('show unknown users the same salt each time, and others another', async (t) => {
      const pgmirror = await started(t, { users });
      const salt = async (user: string): Promise<string> => {
        const client = await connected(pgmirror, t);
        client.send(startup({ user, database: 'app' }));
        await client.expect('R');
        const first = Buffer.from('n,,n=,r=abcdefghijklmnop');
        const length = Buffer.alloc(4);
        length.writeInt32BE(first.length);
        const body = Buffer.concat([Buffer.from('SCRAM-SHA-256\0'), length, first]);
        const header = Buffer.alloc(5, 'p');
        header.writeInt32BE(body.length + 4, 1);
        client.send(header, body);
        const [challenge] = await client.expect('R');
        return /s=([^,]*)/.exec(challenge?.body.toString() ?? '')?.[1] ?? '';
      };
      assert.equal(await salt('nobody'), await salt('nobody'));
      assert.notEqual(await salt('nobody'), await salt('somebody'));
      assert.equal((await salt('nobody')).length, (await salt('alice')).length);
    });

    it('too often from one address are refused without being looked at, in every thread', async (t) => {
      const general = { login_failures_per_minute: 3, workers: 2 };
      const pgmirror = await started(t, { users, general, databases: [databaseEntry('app', source, database)] });
      for (let attempt = 0; attempt < 3; attempt++) {
        await assert.rejects(query(pgmirror.url('app', 'alice', 'wrong'), 'SELECT 1'), { code: '28P01' });
      }
      await pgmirror.waitForLog((line) => /too many failed logins/.test(line.msg));
      for (let attempt = 0; attempt < 8; attempt++) {
        await assert.rejects(
          query(pgmirror.url('app', 'alice'), 'SELECT 1'),
          (error: { code: string; message: string }) => {
            assert.equal(error.code, '28000');
            assert.match(error.message, /too many failed logins/);
            return true;
          },
        );
      }
    });

    it('too often are refused although they were begun before, all at once', async (t) => {
      const general = { login_failures_per_minute: 3, auth_type: 'plain' };
      const pgmirror = await started(t, { users, general, databases: [databaseEntry('app', source, database)] });
      const clients = await Promise.all(
        Array.from({ length: 10 }, async () => {
          const client = await connected(pgmirror, t);
          client.send(startup({ user: 'alice', database: 'app' }));
          await client.expect('R');
          return client;
        }),
      );
      for (const client of clients) client.send(msg('p', cstr('wrong')));
      const codes = await Promise.all(clients.map(async (client) => errorFields((await client.expect('E'))[0]!).C));
      assert.deepEqual(codes.filter((code) => code === '28P01').length, 3);
      assert.deepEqual(codes.filter((code) => code === '28000').length, 7);
    });

    it('too often are forgotten where a reload lifts the limit, and never counted over a unix socket', async (t) => {
      const general = { login_failures_per_minute: 1, unix_socket_dir: files.folder };
      const pgmirror = await started(t, { users, general, databases: [databaseEntry('app', source, database)] });
      const login = { user: 'alice', database: 'app', password: 'alice-password' };
      for (const password of ['wrong', 'wrong', 'wrong']) {
        const local = await WireClient.connect({ host: files.folder, port: pgmirror.port });
        await assert.rejects(local.logIn({ ...login, password }), /28P01/);
      }
      const local = await WireClient.login({ host: files.folder, port: pgmirror.port }, login);
      await local.end();
      await assert.rejects(query(pgmirror.url('app', 'alice', 'wrong'), 'SELECT 1'), { code: '28P01' });
      await assert.rejects(query(pgmirror.url('app', 'alice'), 'SELECT 1'), { code: '28000' });
      await pgmirror.writeFiles({ general: { login_failures_per_minute: 0 } });
      pgmirror.kill('SIGHUP');
      await pgmirror.waitForLog((line) => line.msg === 'reloaded');
      await query(pgmirror.url('app', 'alice'), 'SELECT 1');
    });
  });

  describe('that are not done yet', () => {
    const users = [{ name: 'alice', databases: ['app'], password: 'alice-password' }];

    it('are bounded in number, apart from the clients that are in', async (t) => {
      const general = { max_login_connections: 3 };
      const pgmirror = await started(t, { users, general, databases: [databaseEntry('app', source, database)] });
      const address = { host: '127.0.0.1', port: pgmirror.port };
      const login = { user: 'alice', database: 'app', password: 'alice-password' };
      const inside = await Promise.all(
        [1, 2, 3, 4].map(async () => {
          return eventually(async () => WireClient.login(address, login));
        }),
      );
      const idle = await Promise.all([1, 2, 3].map(async () => connected(pgmirror, t)));
      const refused = await eventually(async () => {
        const client = await connected(pgmirror, t);
        return (await client.expect('E'))[0];
      });
      assert.equal(errorFields(refused)['C'], '53300');
      for (const client of inside) assert.equal((await client.query('SELECT 1')).at(-1)?.type, 'Z');
      await idle[0]?.destroy();
      const next = await eventually(async () => WireClient.login(address, login));
      await Promise.all([...inside, next].map(async (client) => client.end()));
    });

    it('end at the deadline, which begins with the accepted socket and is not put off by bytes', async (t) => {
      const general = { client_login_timeout: 500 };
      const pgmirror = await started(t, { users, general });
      const packet = startup({ user: 'alice', database: 'app' });
      const client = await connected(pgmirror, t);
      let at = 0;
      const trickle = setInterval(() => client.socket.write(packet.subarray(at, ++at)), 50);
      const [error] = await client.expect('E');
      clearInterval(trickle);
      assert.equal(error && errorFields(error)['M'], 'canceling authentication due to timeout');
      assert.ok(at < packet.length, 'the deadline came amid the packet');
    });

    it('are closed for lengths that cannot be, and allocate nothing for them', async (t) => {
      const pgmirror = await started(t, { users });
      const lengths = [0, 4, 7, 10_005, 0x7fffffff, 0x80000000, 0xffffffff];
      for (const length of lengths) {
        const client = await connected(pgmirror, t);
        const bytes = Buffer.alloc(8);
        bytes.writeUInt32BE(length, 0);
        bytes.writeUInt32BE(0x0003_0000, 4);
        client.send(bytes);
        await client.waitForClose();
      }
      for (const length of [12, 15, 269, 10_000]) {
        const client = await connected(pgmirror, t);
        const bytes = Buffer.alloc(length);
        bytes.writeUInt32BE(length, 0);
        bytes.writeUInt32BE(80_877_102, 4); // CancelRequest
        client.send(bytes);
        await client.waitForClose();
      }
      for (const length of [0, 3, 65_536, 0x7fffffff, 0xffffffff]) {
        const client = await connected(pgmirror, t);
        client.send(startup({ user: 'alice', database: 'app' }));
        await client.expect('R');
        const bytes = Buffer.alloc(5, 'p');
        bytes.writeUInt32BE(length, 1);
        client.send(bytes);
        await client.waitForClose();
      }
    });

    it('are closed for a startup packet that is not laid out as it must be', async (t) => {
      const pgmirror = await started(t, { users });
      const version = Buffer.from([0, 3, 0, 0]);
      const packets: readonly (readonly [Buffer, string])[] = [
        [Buffer.from('user\0alice\0database\0app\0'), '08P01'],
        [Buffer.from('user\0alice\0database\0app\0\0x'), '08P01'],
        [Buffer.from('user\0alice\0database\0\0'), '08P01'],
        [Buffer.from('user\0alice'), '08P01'],
        [Buffer.from('database\0app\0\0'), '28000'],
        [Buffer.from('user\0\0database\0app\0\0'), '28000'],
      ];
      for (const [body, code] of packets) {
        const client = await connected(pgmirror, t);
        const length = Buffer.alloc(4);
        length.writeInt32BE(8 + body.length);
        client.send(length, version, body);
        const [error] = await client.expect('E');
        assert.equal(error && errorFields(error)['C'], code, JSON.stringify(body.toString()));
        await client.waitForClose();
      }
      const fine = await connected(pgmirror, t);
      fine.send(startup({ user: 'alice', database: 'app', options: '' }));
      await fine.expect('R');
    });

    it('are closed for a second startup packet, or a password before the first', async (t) => {
      const pgmirror = await started(t, { users });
      const twice = await connected(pgmirror, t);
      twice.send(startup({ user: 'alice', database: 'app' }));
      await twice.expect('R');
      twice.send(startup({ user: 'alice', database: 'app' }));
      await twice.waitForClose();
      const early = await connected(pgmirror, t);
      early.send(Buffer.from('p\0\0\0\x0bsecret\0', 'latin1'));
      await early.waitForClose();
      assert.equal(early.unread.length, 0);
      const again = await connected(pgmirror, t);
      again.send(sslRequest);
      assert.equal((await again.readBytes(1)).toString(), 'N');
      again.send(sslRequest);
      await again.waitForClose();
    });
  });

  it('to the admin database ask for its own password whatever auth_type says', async (t) => {
    const pgmirror = await started(t, {
      general: { auth_type: 'trust' },
      users: [{ name: 'admin', databases: ['app'] }],
    });
    await assert.rejects(query(pgmirror.url('pgmirror', 'admin', 'wrong'), 'SHOW VERSION'), { code: '28P01' });
    await assert.rejects(query(pgmirror.url('pgbouncer', 'nobody', 'admin-password'), 'SHOW VERSION'), {
      code: '28P01',
    });
    await query(pgmirror.url('pgmirror', 'admin', 'admin-password'), 'SHOW VERSION');
    for (const [auth_type, asked] of Object.entries({ trust: 10, plain: 10, scram: 10, md5: 5 })) {
      await pgmirror.reload({
        general: { auth_type },
        users: [{ name: 'admin', databases: ['app'], password: 'of-app' }],
      });
      const client = await connected(pgmirror, t);
      client.send(startup({ user: 'admin', database: 'pgmirror' }));
      const [request] = await client.expect('R');
      assert.equal(request?.body.readInt32BE(), asked, auth_type);
      await query(pgmirror.url('pgmirror', 'admin', 'admin-password'), 'SHOW VERSION');
    }
  });

  it('come over a unix socket that everybody may use where all are asked, and nobody else where none is', async (t) => {
    const users = [{ name: 'alice', databases: ['app'], password: 'alice-password' }];
    const pgmirror = await started(t, { users, general: { unix_socket_dir: files.folder } });
    const mode = async (): Promise<string> =>
      ((await stat(files.path(`.s.PGSQL.${pgmirror.port}`))).mode & 0o777).toString(8);
    assert.equal(await mode(), '777');
    await pgmirror.reload({ general: { auth_type: 'trust' } });
    assert.equal(await mode(), '700');
  });

  it('and what they say stay out of SHOW CONFIG, answers and the log, line by line', async (t) => {
    const secrets = ['alice-password', 'server-secret', 'admin-password', 'wrong-guess'];
    const users = [
      {
        name: 'alice',
        databases: ['app'],
        password: 'alice-password',
        server_user: 'keyed',
        server_password: 'server-secret',
      },
    ];
    const pgmirror = await started(t, { users, general: { log_level: 'trace' } });
    await assert.rejects(query(pgmirror.url('app', 'alice', 'wrong-guess'), 'SELECT 1'));
    await assert.rejects(query(pgmirror.url('app', 'alice', 'alice-password'), 'SELECT 1'));
    const injected = 'x"}\n{"level":60,"msg":"forged"';
    const client = await connected(pgmirror, t);
    await assert.rejects(client.logIn({ user: injected, database: injected, password: 'wrong-guess' }));
    const shown = JSON.stringify([
      await pgmirror.admin('SHOW CONFIG'),
      await pgmirror.admin('SHOW DATABASES').catch(() => []),
      await pgmirror.admin('SHOW USERS').catch(() => []),
      await pgmirror.admin('SHOW CLIENTS'),
      await pgmirror.admin('SHOW SERVERS'),
    ]);
    await pgmirror.writeFiles({ users: [{ ...users[0], pool_size: 'wrong' }] });
    await assert.rejects(pgmirror.admin('RELOAD'));
    await pgmirror.waitForLog((line) => line.msg === 'not reloaded');
    for (const secret of secrets) {
      assert.ok(!shown.includes(secret), `${secret} is shown`);
      assert.ok(!pgmirror.output().includes(secret), `${secret} is logged`);
    }
    assert.ok(pgmirror.log.lines.some((line) => line['user'] === injected));
    assert.ok(pgmirror.log.lines.every((line) => line.msg !== 'forged'));
  });

  async function connected(pgmirror: Pgmirror, scope: Partial<Cleanup>): Promise<WireClient> {
    const client = await WireClient.connect({ host: '127.0.0.1', port: pgmirror.port });
    scope.after?.(async () => client.destroy());
    return client;
  }
});
