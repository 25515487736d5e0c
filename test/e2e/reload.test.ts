import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { alice, aliceEntry } from '../support/alice.ts';
import { ClientLoad } from '../support/client-load.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import type { LogLine } from '../support/log-lines.ts';
import { Mirrored } from '../support/mirrored.ts';
import { databaseEntry, Pgmirror, type PgmirrorFiles } from '../support/pgmirror.ts';
import { createDatabase, query, withClient, type RunningPostgres } from '../support/postgres.ts';
import { acceptLogin, expect, ScriptedPostgres, send, until, waitForClose } from '../support/scripted-postgres.ts';
import { TemporaryFiles } from '../support/temporary-files.ts';
import { WireClient } from '../support/wire-client.ts';
import { commandComplete, errorFields, readyForQuery } from '../support/bytes.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

const schema = 'CREATE TABLE load (id integer PRIMARY KEY)';

describe('A reload', () => {
  const cleanup = inReverse({ after });
  let source: RunningPostgres;

  before(async () => {
    source = await startWatchedPostgres(cleanup);
  });

  const start = async (test: Cleanup): Promise<Mirrored> => Mirrored.start(test, { source }, { schema });

  /** Writes the files and sends SIGHUP; resolves with the log line that tells how it ended. */
  async function hangUp({ pgmirror }: Mirrored, changed: PgmirrorFiles): Promise<LogLine> {
    const from = pgmirror.log.lines.length;
    await pgmirror.writeFiles(changed);
    const listening = pgmirror.log.lines.find(({ msg }) => msg === 'listening');
    process.kill(Number(listening?.processId), 'SIGHUP');
    return pgmirror.waitForLog(({ msg }) => msg === 'reloaded' || msg === 'not reloaded', { from });
  }

  it('turns mirroring on and off under load, by RELOAD and by SIGHUP, and no client notices', async (t) => {
    const test = inReverse(t);
    const mirrored = await start(test);
    const load = ClientLoad.start(test, mirrored.url, { clients: 4 });
    for (const round of [1, 2, 3]) {
      await mirrored.pgmirror.reload({ general: { mirror_exposure: 0 } });
      assert.equal((await mirrored.counts()).exposure, 0, `round ${round}`);
      await load.advance(100);
      const { mirrored: paused, queueLength } = await mirrored.counts();
      await load.advance(100);
      // One of each client may have begun before.
      assert.ok((await mirrored.counts()).mirrored <= paused + queueLength + 4, 'nothing more is mirrored');

      assert.equal((await hangUp(mirrored, { general: { mirror_exposure: 1 } })).msg, 'reloaded');
      assert.equal((await mirrored.counts()).exposure, 1, `round ${round}`);
      const { mirrored: earlier } = await mirrored.counts();
      await load.advance(100);
      await eventually(async () => (await mirrored.counts()).mirrored > earlier);
    }
    await load.stop();
    assert.deepEqual(load.errors, []);
    const counts = await mirrored.drained();
    assert.equal(counts.total, load.done);
    const [row] = await mirrored.onMirror('SELECT count(*)::int AS count FROM load');
    assert.deepEqual(row, { count: counts.mirrored });
  });

  it('adds databases, users and mirrors', async (t) => {
    const mirrored = await start(inReverse(t));
    const { pgmirror, files } = mirrored;
    const [second, extra] = [await createDatabase(source, 'mirror'), await createDatabase(source, 'extra')];
    await query(source.url(second), schema);
    await pgmirror.reload({
      databases: [
        ...(files.databases ?? []),
        databaseEntry('second', source, second),
        databaseEntry('extra', source, extra),
      ],
      mirroring: [...(files.mirroring ?? []), { source_db: 'app', destination_db: 'second' }],
      users: [aliceEntry, { name: 'bob', databases: ['app', 'extra'], password: 'bob-password' }],
    });
    assert.deepEqual(await query(pgmirror.url('extra', 'bob'), 'SELECT current_database() AS name'), [{ name: extra }]);
    await mirrored.whenMirroring('second');
    await query(pgmirror.url('app', 'bob'), 'INSERT INTO load VALUES (1)');
    await mirrored.drained();
    await mirrored.drained({ destination: 'second' });
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM load'), [{ id: 1 }]);
    assert.deepEqual(await query(source.url(second), 'SELECT id FROM load'), [{ id: 1 }]);
  });

  it('adds a mirror for clients, too, that keep their server connection', async (t) => {
    const test = inReverse(t);
    const mirrored = await start(test);
    const { pgmirror, files } = mirrored;
    const [app] = files.databases ?? [];
    const databases = [...(files.databases ?? []), { ...app, name: 'session', pooler_mode: 'session' }];
    const users = [{ name: 'alice', databases: ['app', 'session'], password: 'alice-password' }];
    await pgmirror.reload({ databases, users, mirroring: [] });
    await withClient(pgmirror.url('session'), async (session) => {
      await withClient(pgmirror.url('app'), async (pinned) => {
        await session.query('INSERT INTO load VALUES (1)');
        await pinned.query('CREATE TEMPORARY TABLE mine (id integer)');
        const mirroring = ['app', 'session'].map((name) => ({ source_db: name, destination_db: 'shadow' }));
        await pgmirror.reload({ databases, users, mirroring });
        await session.query('SELECT 1');
        await pinned.query('SELECT 1');
        for (let id = 2; id < 5; id++) await session.query('INSERT INTO load VALUES ($1)', [id]);
        await pinned.query('INSERT INTO mine VALUES (5)');
        await pinned.query('INSERT INTO load SELECT id FROM mine');
        await pinned.query('DROP TABLE mine');
        await pinned.query('INSERT INTO load VALUES (6)');
      });
    });
    const { mirrored: replayed, errors, reasons } = await mirrored.drained();
    assert.deepEqual({ replayed, errors, reasons }, { replayed: 4, errors: 0, reasons: { session_lost: 3 } });
    const rows = await mirrored.onMirror('SELECT id FROM load ORDER BY id');
    assert.deepEqual(
      rows.map(({ id }) => id),
      [2, 3, 4, 6],
    );
  });

  it('lets what it removes come to its end', async (t) => {
    const test = inReverse(t);
    const mirrored = await start(test);
    const { pgmirror, files } = mirrored;
    const extra = databaseEntry('extra', source, await createDatabase(source, 'extra'));
    const bob = { name: 'bob', databases: ['app', 'extra'], password: 'bob-password' };
    await pgmirror.reload({ databases: [...(files.databases ?? []), extra], users: [aliceEntry, bob] });
    const login = async (user: string, database: string): Promise<WireClient> => {
      const client = await WireClient.login(pgmirror, { user, database, password: `${user}-password` });
      test.after(async () => client.destroy());
      return client;
    };
    const [idle, busy, kept] = [await login('bob', 'extra'), await login('bob', 'app'), await login('alice', 'app')];
    await idle.query('SELECT 1');
    await busy.query('BEGIN');
    await busy.query('INSERT INTO load VALUES (1)');
    await kept.query('BEGIN');
    await kept.query('INSERT INTO load VALUES (2)');

    await pgmirror.reload({ databases: files.databases ?? [], mirroring: [], users: [aliceEntry] });

    const [fatal] = await idle.expect('E');
    assert.equal(fatal && errorFields(fatal).C, '57P01');
    await idle.waitForClose();
    assert.equal((await busy.query('COMMIT')).at(-1)?.body.toString(), 'I');
    await busy.waitForClose();
    assert.equal((await kept.query('COMMIT')).at(-1)?.body.toString(), 'I');
    assert.equal((await kept.query('INSERT INTO load VALUES (3)')).at(-1)?.body.toString(), 'I');
    assert.deepEqual(await mirrored.onSource('SELECT id FROM load ORDER BY id'), [{ id: 1 }, { id: 2 }, { id: 3 }]);
    await assert.rejects(query(pgmirror.url('app', 'bob', 'bob-password'), 'SELECT 1'), { code: '28P01' });
    await assert.rejects(query(pgmirror.url('extra', 'alice'), 'SELECT 1'));
    assert.deepEqual(await pgmirror.admin('SHOW MIRRORS'), []);
  });

  it('lets nobody in whom it removed while he logged in', async (t) => {
    const test = inReverse(t);
    const [asked, removed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    // It is asked what it makes of the client's settings, and takes its time.
    const server = await ScriptedPostgres.start(test, [
      acceptLogin(),
      expect('Q'),
      () => asked.resolve(),
      until(removed.promise),
      send(commandComplete('SET'), readyForQuery('I')),
      waitForClose(),
    ]);
    const { host, port } = server;
    const pgmirror = await Pgmirror.start(test, {
      databases: [{ name: 'app', host, port, user: 'alice', password: 'any' }],
      users: [aliceEntry],
    });
    const login = WireClient.login(pgmirror, {
      user: 'alice',
      database: 'app',
      password: aliceEntry.password,
      parameters: { datestyle: 'German' },
    });
    login.catch(() => undefined);
    await asked.promise;
    await pgmirror.reload({ users: [{ ...aliceEntry, name: 'bob' }] });
    removed.resolve();
    await assert.rejects(login, /3D000/);
    assert.deepEqual(await pgmirror.admin('SHOW CLIENTS'), []);
  });

  it('with a problem changes nothing, and says why as the error of RELOAD and in the log', async (t) => {
    const mirrored = await start(inReverse(t));
    const { pgmirror } = mirrored;
    const bad: PgmirrorFiles = {
      general: { mirror_exposure: 0.1, default_pool_size: -1 },
      users: [aliceEntry, { name: 'bob', database: 'app', password: 'bob-password' }],
    };
    await assert.rejects(pgmirror.reload(bad), /not reloaded: pgmirror\.toml: general\.default_pool_size: found -1/);
    const line = await hangUp(mirrored, bad);
    assert.equal(line.msg, 'not reloaded');
    assert.match(String(line.reason), /general\.default_pool_size: found -1/);
    assert.equal((await mirrored.counts()).exposure, 1);
    await assert.rejects(query(pgmirror.url('app', 'bob'), 'SELECT 1'), { code: '28P01' });
    assert.deepEqual(await mirrored.query('SELECT 1 AS one'), [{ one: 1 }]);

    // What was wrong does not stand in the way of what is right.
    await pgmirror.reload({ general: { mirror_exposure: 0.1, default_pool_size: 3 } });
    assert.equal((await mirrored.counts()).exposure, 0.1);
    assert.deepEqual(await query(pgmirror.url('app', 'bob'), 'SELECT 1 AS one'), [{ one: 1 }]);
  });

  it('costs no client anything where somebody has taken away the file of the unix socket', async (t) => {
    const test = inReverse(t);
    const { folder } = await TemporaryFiles.start(test);
    const { pgmirror } = await Mirrored.start(test, { source }, { schema, general: { unix_socket_dir: folder } });
    const client = await WireClient.login(pgmirror, alice);
    test.after(async () => client.destroy());
    await rm(join(folder, `.s.PGSQL.${pgmirror.port}`));
    await pgmirror.reload({ users: [{ ...aliceEntry, pool_size: 2 }] });
    assert.equal((await client.query('SELECT 1')).at(-1)?.body.toString(), 'I');
  });

  it('that cannot start what it needs for a first mirror changes nothing, and says why', async (t) => {
    const test = inReverse(t);
    const { folder } = await TemporaryFiles.start(test);
    const databases = [databaseEntry('app', source, 'postgres'), databaseEntry('shadow', source, 'template1')];
    const pgmirror = await Pgmirror.start(
      test,
      { databases, users: [aliceEntry] },
      { env: { TMPDIR: join(folder, 'gone') } },
    );
    const mirroring = [{ source_db: 'app', destination_db: 'shadow' }];
    await assert.rejects(pgmirror.reload({ mirroring }), /not reloaded: ENOENT/);
    assert.ok(pgmirror.log.lines.some(({ msg }) => msg === 'not reloaded'));
    assert.deepEqual(await pgmirror.admin('SHOW MIRRORS'), []);
    await mkdir(join(folder, 'gone'));
    await pgmirror.reload({ mirroring });
    assert.equal((await pgmirror.admin('SHOW MIRRORS')).length, 1);
  });

  it('names the keys that take effect at the next start, and applies the rest', async (t) => {
    const mirrored = await start(inReverse(t));
    const from = mirrored.pgmirror.log.lines.length;
    await mirrored.pgmirror.writeFiles({ general: { workers: 2, mirror_exposure: 0.5 } });
    const notices: (string | undefined)[] = [];
    await withClient(mirrored.pgmirror.url('pgmirror', 'admin', 'admin-password'), async (client) => {
      client.on('notice', ({ message }) => notices.push(message));
      await client.query('RELOAD');
    });
    assert.deepEqual(notices, ['changed, and applied at the next start: general.workers']);
    const line = await mirrored.pgmirror.waitForLog(({ msg }) => msg.includes('next start'), { from });
    assert.deepEqual(line.keys, ['general.workers']);
    assert.equal((await mirrored.counts()).exposure, 0.5);
  });
});
