import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { freePort } from '../../src/cli/embedded/free-port.ts';
import { inReverse } from '../support/cleanup.ts';
import { ask } from '../support/http.ts';
import { eventually } from '../support/eventually.ts';
import { Mirrored, type MirrorCounts } from '../support/mirrored.ts';
import {
  createDatabase,
  machinePostgres,
  query,
  startTestPostgres,
  type RunningPostgres,
} from '../support/postgres.ts';
import { databaseEntry } from '../support/pgmirror.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

describe('A mirror is refused, and production runs,', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
  });

  async function until(mirrored: Mirrored, fits: (counts: MirrorCounts) => boolean): Promise<MirrorCounts> {
    return eventually(
      async () => {
        const counts = await mirrored.counts();
        if (!fits(counts)) throw new Error(JSON.stringify(counts));
        return counts;
      },
      { timeoutMs: 20_000, intervalMs: 50 },
    );
  }

  /** Clients are served, and what they do is counted as refused. `lines`: of the log, since pgmirror was started. */
  async function assertRefused(mirrored: Mirrored, reason: RegExp, lines = 1): Promise<void> {
    const { reason: said } = await until(mirrored, ({ state }) => state === 'refused');
    assert.match(said, reason);
    await mirrored.pgmirror.admin('RESET STATS');
    for (let count = 0; count < 3; count++) await mirrored.query('SELECT 1');
    const { reasons, mirrored: replayed } = await mirrored.drained();
    assert.deepEqual({ reasons, replayed }, { reasons: { refused: 3 }, replayed: 0 });
    const told = (): number => mirrored.pgmirror.log.lines.filter(({ msg }) => msg === 'mirror is refused').length;
    await eventually(() => told() >= lines);
    assert.equal(told(), lines, 'one line in the log each time');
  }

  it('where it is the same database, under whatever name of its host, or by its socket', async (t) => {
    const httpPort = await freePort();
    const mirrored = await Mirrored.start(inReverse(t), { source: server }, { general: { http_port: httpPort } });
    const { databases = [] } = mirrored.files;
    const [source] = databases;
    await mirrored.pgmirror.reload({ databases: [source!, { ...source!, name: 'shadow', host: 'localhost' }] });
    await assertRefused(mirrored, /^it is the same database as the source$/);

    const [{ directory } = { directory: '' }] = await mirrored.onSource<{ directory: string }>(
      `SELECT current_setting('unix_socket_directories') AS directory`,
    );
    await mirrored.pgmirror.reload({ databases: [source!, { ...source!, name: 'shadow', host: directory }] });
    await mirrored.query('SELECT 1');
    const { state, reason } = await mirrored.counts();
    assert.deepEqual({ state, reason }, { state: 'refused', reason: 'it is the same database as the source' });
    // It does not wait long for a mirror process that is busy, and tells what it knew before.
    const tellsRefused = async (expected: unknown): Promise<true> =>
      eventually(async () => {
        assert.deepEqual(JSON.parse((await ask(httpPort, '/readyz')).body).refused, expected);
        return true;
      });
    await tellsRefused({ shadow: 'it is the same database as the source' });

    // Put right, it comes up with the next reload.
    await mirrored.pgmirror.reload({ databases: [...databases] });
    await mirrored.whenMirroring();
    await tellsRefused({});
    assert.equal((await mirrored.counts()).state, 'up');
  });

  it('where it is reached through another pooler that leads back to the source', async (t) => {
    const test = inReverse(t);
    const mirrored = await Mirrored.start(test, { source: server });
    const other = await Mirrored.start(test, { source: server });
    const [source] = mirrored.files.databases ?? [];
    await other.pgmirror.reload({
      databases: [{ ...source!, name: 'app' }, { ...databaseEntry('shadow', server, await createDatabase(server)) }],
    });
    const entry = { name: 'shadow', host: '127.0.0.1', port: other.pgmirror.port, database_name: 'app' };
    await mirrored.pgmirror.reload({
      databases: [source!, { ...entry, user: 'alice', password: 'alice-password' }],
    });
    await assertRefused(mirrored, /^it is the same database as the source$/);
  });

  it('where it is this pgmirror itself', async (t) => {
    const mirrored = await Mirrored.start(inReverse(t), { source: server });
    const [source] = mirrored.files.databases ?? [];
    const elsewhere = databaseEntry('elsewhere', server, await createDatabase(server));
    const entry = { name: 'shadow', host: '127.0.0.1', port: mirrored.pgmirror.port, database_name: 'elsewhere' };
    await mirrored.pgmirror.reload({
      databases: [source!, elsewhere, { ...entry, user: 'alice', password: 'alice-password' }],
      users: [{ name: 'alice', databases: ['app', 'elsewhere'], password: 'alice-password' }],
    });
    await assertRefused(mirrored, /^it is this pgmirror itself$/);
  });

  it('where it is another pgmirror whose mirrors lead back', async (t) => {
    const test = inReverse(t);
    const schema = 'CREATE TABLE item (id integer)';
    const first = await Mirrored.start(test, { source: server }, { schema });
    const second = await Mirrored.start(test, { source: server }, { schema });
    const third = await Mirrored.start(test, { source: server }, { schema });
    const mirrorTo = async (from: Mirrored, to: Mirrored): Promise<void> => {
      const [source] = from.files.databases ?? [];
      const entry = { name: 'shadow', host: '127.0.0.1', port: to.pgmirror.port, database_name: 'app' };
      await from.pgmirror.reload({
        databases: [source!, { ...entry, user: 'alice', password: 'alice-password' }],
      });
    };
    // What one mirrors is mirrored on: that is a chain, and no circle.
    await mirrorTo(first, second);
    await first.whenMirroring();
    await mirrorTo(second, third);
    await second.whenMirroring();
    // The connection that would close it is the one that is refused.
    await mirrorTo(third, first);
    await assertRefused(third, /^it is a pgmirror whose own mirrors lead back to this one$/);
    await first.drained();
    await second.drained();
    await third.pgmirror.admin('RESET STATS');
    await first.query('INSERT INTO item VALUES (1)');
    assert.equal((await first.drained()).errors, 0);
    assert.equal((await second.drained()).errors, 0);
    for (const each of [first, second, third]) {
      assert.deepEqual(await each.onSource('SELECT id FROM item'), [{ id: 1 }]);
    }
  });

  it('where it can act outside of itself, unless that is allowed', async (t) => {
    const mirrored = await Mirrored.start(inReverse(t), { source: server });
    // What another database of the server subscribes to does not matter.
    await mirrored.onSource(
      `CREATE SUBSCRIPTION other CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false, slot_name = NONE)`,
    );
    await mirrored.pgmirror.reload({});
    assert.equal((await mirrored.counts()).state, 'up');
    await mirrored.onSource('DROP SUBSCRIPTION other');
    await mirrored.onMirror('CREATE EXTENSION dblink');
    await mirrored.pgmirror.reload({});
    const { reason } = await until(mirrored, ({ state }) => state === 'refused');
    assert.equal(reason, 'it has extension dblink, and allow_side_effects is false');
    await mirrored.onMirror('DROP EXTENSION dblink');
    await mirrored.pgmirror.reload({});
    await mirrored.whenMirroring();

    await mirrored.onMirror(
      `CREATE FOREIGN DATA WRAPPER idle; CREATE SERVER elsewhere FOREIGN DATA WRAPPER idle;
       CREATE SUBSCRIPTION feed CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false)`,
    );
    await mirrored.pgmirror.reload({});
    await assertRefused(
      mirrored,
      /foreign server elsewhere, and allow_side_effects is false; it has subscription feed/,
      2,
    );

    const [mirroring] = mirrored.files.mirroring ?? [];
    await mirrored.pgmirror.reload({ mirroring: [{ ...mirroring!, allow_side_effects: true }] });
    await mirrored.whenMirroring();
    await mirrored.pgmirror.reload({ mirroring: [mirroring!] });
    await until(mirrored, ({ state }) => state === 'refused');

    // A fresh copy without them is looked at anew.
    await mirrored.onMirror('ALTER SUBSCRIPTION feed SET (slot_name = NONE)');
    await mirrored.onMirror('DROP SUBSCRIPTION feed');
    await mirrored.onMirror('DROP SERVER elsewhere');
    await mirrored.pgmirror.admin('RESET MIRROR shadow');
    await mirrored.whenMirroring();
    await assert.rejects(mirrored.pgmirror.admin('RESET MIRROR nobody'), /mirror "nobody" does not exist/);
  });

  it('where its address became that of the source while it was disabled', async (t) => {
    const mirrored = await Mirrored.start(inReverse(t), { source: server });
    const { source, mirror } = { source: await database(mirrored, 'app'), mirror: await database(mirrored, 'shadow') };
    await mirrored.pgmirror.admin('DISABLE MIRROR shadow');
    const away = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('${source}', '${mirror}')`;
    const admin = server.url('postgres');
    await query(admin, away);
    await query(admin, `ALTER DATABASE ${mirror} RENAME TO ${mirror}_old`);
    await query(admin, away);
    await query(admin, `ALTER DATABASE ${source} RENAME TO ${mirror}`);
    const [first, ...others] = mirrored.files.databases ?? [];
    await mirrored.pgmirror.reload({ databases: [{ ...first!, database_name: mirror }, ...others] });
    await mirrored.pgmirror.admin('ENABLE MIRROR shadow');
    await assertRefused(mirrored, /^it is the same database as the source$/);
  });

  it(
    'where it is a control of another version than the source, while what it is to control is not',
    { skip: machinePostgres() === undefined && 'needs another PostgreSQL than the embedded one' },
    async (t) => {
      const test = inReverse(t);
      const mirrored = await Mirrored.start(test, { source: server }, { mirroring: { compare: true } });
      const other = await startTestPostgres(test, { binaries: machinePostgres() ?? '' });
      const { databases = [], mirroring = [] } = mirrored.files;
      const control = { source_db: 'app', destination_db: 'control' };
      await mirrored.pgmirror.reload({
        databases: [...databases, databaseEntry('control', other, await createDatabase(other))],
        mirroring: [{ ...mirroring[0], control: 'control' }, control],
      });
      const reason = await eventually(async () => {
        const counts = await mirrored.counts('control');
        return counts.state === 'refused' && counts.reason;
      });
      assert.match(reason, /^it is a control of version \d+\.\d+, and the source has version \d+\.\d+$/);
      await mirrored.whenMirroring();

      // As a mirror like any other it may have another version: that is what mirrors are for.
      await mirrored.pgmirror.reload({
        databases: [...databases, databaseEntry('control', other, await createDatabase(other))],
        mirroring: [mirroring[0]!, control],
      });
      await mirrored.whenMirroring('control');
    },
  );

  /** What a database of the configuration is called on its server. */
  async function database(mirrored: Mirrored, name: 'app' | 'shadow'): Promise<string> {
    const sql = 'SELECT current_database() AS name';
    const rows = await (name === 'app'
      ? mirrored.onSource<{ name: string }>(sql)
      : mirrored.onMirror<{ name: string }>(sql));
    return rows[0]?.name ?? '';
  }
});
