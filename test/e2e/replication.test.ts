import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { errorFields, query as queryMessage, rowValues, type Message } from '../support/bytes.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { machinePostgres, query, type RunningPostgres } from '../support/postgres.ts';
import { runProgram } from '../support/programs.ts';
import { replicationHba } from '../support/standby.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';

const binaries = machinePostgres();
const settings = { wal_level: 'logical', max_wal_senders: '10' };

/** A source whose mirror is another database of the same server: what is mirrored would be counted. */
function files(server: RunningPostgres) {
  const { user, password } = server;
  return {
    general: { default_pool_size: 1, pinned_pool_size: 2, pooler_mode: 'statement' },
    databases: [
      databaseEntry('app', server, 'postgres'),
      databaseEntry('copy', server, 'copied'),
      databaseEntry('replication', server, 'postgres'),
    ],
    mirroring: [{ source_db: 'app', destination_db: 'copy' }],
    users: [{ name: user, password, all_databases: true }],
  };
}

describe('A replication connection', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;
  let pgmirror: Pgmirror;

  before(async () => {
    server = await startWatchedPostgres(cleanup, { settings, hba: [replicationHba] });
    await query(server.url('postgres'), 'CREATE DATABASE copied');
    await query(server.url('postgres'), 'CREATE TABLE event (id int PRIMARY KEY, what text)');
    await query(server.url('postgres'), 'CREATE PUBLICATION events FOR TABLE event');
    pgmirror = await Pgmirror.start(cleanup, files(server));
  });

  async function login(port: number, database: string, replication: string): Promise<WireClient> {
    const { user, password } = server;
    const parameters = { replication, application_name: 'follower' };
    return WireClient.login({ host: '127.0.0.1', port }, { user, password, database, parameters });
  }

  const rows = (messages: readonly Message[]) => messages.filter(({ type }) => type === 'D').map(rowValues);

  for (const [replication, database] of [
    ['database', 'app'],
    ['true', 'replication'],
    ['t', 'app'],
  ] as const) {
    it(`speaks to a walsender as without a pooler in between: replication=${replication}`, async () => {
      const direct = await login(server.port, 'postgres', replication);
      const pooled = await login(pgmirror.port, database, replication);
      for (const command of [
        'IDENTIFY_SYSTEM',
        'SHOW wal_level',
        'SHOW application_name',
        'TIMELINE_HISTORY 9',
        'SELECT 1',
      ]) {
        const [expected, actual] = [await direct.query(command), await pooled.query(command)];
        assert.deepEqual(
          actual.map(({ type }) => type),
          expected.map(({ type }) => type),
          command,
        );
        if (command !== 'IDENTIFY_SYSTEM') assert.deepEqual(rows(actual), rows(expected));
        else assert.deepEqual(rows(actual)[0]?.slice(0, 2), rows(expected)[0]?.slice(0, 2));
      }
      await Promise.all([direct.end(), pooled.end()]);
    });
  }

  for (const [replication, database] of [
    ['database', 'app'],
    ['true', 'replication'],
  ] as const) {
    it(`is answered what it has asked although it sends no more: replication=${replication}`, async () => {
      for (const [port, name] of [
        [server.port, 'postgres'],
        [pgmirror.port, database],
      ] as const) {
        const client = await login(port, name, replication);
        client.send(queryMessage('IDENTIFY_SYSTEM'), queryMessage('IDENTIFY'), queryMessage('SHOW wal_level'));
        client.socket.end();
        const messages = await client.expect('T', 'D', 'C', 'Z', 'E', 'Z', 'T', 'D', 'C', 'Z');
        assert.deepEqual(rows(messages).at(-1), ['logical']);
        await client.waitForClose();
      }
    });
  }

  it('ends for a client that sends no more amid a stream', async () => {
    for (const [port, name] of [
      [server.port, 'postgres'],
      [pgmirror.port, 'app'],
    ] as const) {
      const client = await login(port, name, 'database');
      const slot = `ending_${port}`;
      await client.query(`CREATE_REPLICATION_SLOT ${slot} TEMPORARY LOGICAL pgoutput`);
      const options = "(proto_version '1', publication_names 'events')";
      client.send(queryMessage(`START_REPLICATION SLOT ${slot} LOGICAL 0/0 ${options}`));
      await client.expect('W');
      client.socket.end();
      await client.waitForClose();
    }
    await eventually(async () => (await pgmirror.admin('SHOW CLIENTS')).length === 0);
  });

  it('streams changes, is shown as what it is, is cancelled, and is never mirrored', async () => {
    const follower = await login(pgmirror.port, 'app', 'database');
    await follower.query('CREATE_REPLICATION_SLOT following TEMPORARY LOGICAL pgoutput');
    follower.send(
      queryMessage(`START_REPLICATION SLOT following LOGICAL 0/0 (proto_version '1', publication_names 'events')`),
    );
    await follower.expect('W');
    const text = 'x'.repeat(300_000);
    await query(
      pgmirror.url('app', server.user),
      `INSERT INTO event SELECT n, '${text}' FROM generate_series(1, 20) n`,
    );
    let changes = 0;
    for (let committed = false; !committed;) {
      const { type, body } = await follower.read();
      assert.equal(type, 'd');
      const kind = body[0] === 0x77 ? String.fromCodePoint(body[25] ?? 0) : 'keepalive';
      if (kind === 'I') changes += 1;
      committed = kind === 'C';
    }
    assert.equal(changes, 20);

    const [client] = await pgmirror.admin<Record<string, string>>('SHOW CLIENTS');
    assert.deepEqual(
      [client?.replication, client?.pinned, client?.application_name],
      ['logical', 'replication', 'follower'],
    );
    const servers = await pgmirror.admin<Record<string, string>>('SHOW SERVERS');
    assert.equal(servers.find(({ replication }) => replication === 'logical')?.link, client?.ptr);

    await WireClient.cancel({ host: '127.0.0.1', port: pgmirror.port }, follower.processId, follower.secretKey);
    const ending = await follower.readUntil('Z');
    assert.equal(errorFields(ending.find(({ type }) => type === 'E')!).C, '57014');
    await follower.end();

    const [mirror] = await pgmirror.admin<Record<string, string>>('SHOW MIRRORS');
    assert.equal(Number(mirror?.total_count), 1, 'more than the INSERT');
  });

  it('is refused as the server would, or where too many connections are kept', async () => {
    const errorOf = async (promise: Promise<WireClient>): Promise<string> =>
      promise.then(
        () => 'logged in',
        (error: Error) => error.message,
      );
    assert.match(
      await errorOf(login(pgmirror.port, 'app', 'sometimes')),
      /22023 invalid value for parameter "replication"/,
    );
    const kept = [await login(pgmirror.port, 'app', 'database'), await login(pgmirror.port, 'app', 'database')];
    assert.match(await errorOf(login(pgmirror.port, 'app', 'database')), /53300/);
    await kept[0]?.end();
    await eventually(async () => (await pgmirror.admin('SHOW CLIENTS')).length === 1);
    await (await login(pgmirror.port, 'app', 'database')).end();
    await kept[1]?.end();
  });

  it('counts for max_db_connections, too, and is told so where that is full', async (t) => {
    const more = await Pgmirror.start(inReverse(t), { ...files(server), general: { max_db_connections: 1 } });
    const kept = await login(more.port, 'app', 'database');
    await assert.rejects(login(more.port, 'app', 'database'), /53300 .*max_db_connections/);
    await kept.end();
  });

  it('ends with the server, and with pgmirror at once', async () => {
    const [first, second] = [
      await login(pgmirror.port, 'app', 'database'),
      await login(pgmirror.port, 'app', 'database'),
    ];
    const [{ pid } = { pid: 0 }] = await query<{ pid: number }>(
      server.url('postgres'),
      "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walsender' LIMIT 1",
    );
    assert.ok(pid > 0);
    const ended = await Promise.race([first, second].map(async (client) => client.waitForClose().then(() => client)));
    const other = ended === first ? second : first;
    assert.equal(errorFields(await ended.read()).C, '57P01');
    assert.deepEqual(rows(await other.query('SHOW wal_level')), [['logical']]);
    const stopped = pgmirror.stop();
    assert.equal(errorFields(await other.read()).C, '57P01');
    assert.equal(await stopped, 0);
    await Promise.all([first.destroy(), second.destroy()]);
  });
});

describe('Programs that replicate', { skip: binaries === undefined ? 'no PostgreSQL is installed' : false }, () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;
  let pgmirror: Pgmirror;
  let folder: string;

  before(async () => {
    server = await startWatchedPostgres(cleanup, { settings, hba: [replicationHba], binaries: binaries ?? '' });
    await query(server.url('postgres'), 'CREATE DATABASE copied');
    await query(server.url('postgres'), 'CREATE TABLE event (id int PRIMARY KEY, what text)');
    pgmirror = await Pgmirror.start(cleanup, files(server));
    folder = mkdtempSync(join(tmpdir(), 'replicated-'));
    cleanup.after(() => rmSync(folder, { recursive: true }));
  });

  async function run(program: string, ...parameters: string[]): Promise<string> {
    const address = ['-h', '127.0.0.1', '-p', String(pgmirror.port), '-U', server.user];
    const env = { PGPASSWORD: server.password };
    const { status, stdout, stderr } = await runProgram(`${binaries}/${program}`, [...address, ...parameters], { env });
    assert.equal(status, 0, stderr);
    return stdout;
  }

  const position = async (): Promise<string> => {
    const [row] = await query<{ lsn: string }>(server.url('postgres'), 'SELECT pg_switch_wal() AS lsn');
    return row?.lsn ?? '';
  };

  it('pg_basebackup takes a whole copy of a server', async () => {
    const directory = join(folder, 'backup');
    await run('pg_basebackup', '-D', directory, '--wal-method=stream', '--checkpoint=fast');
    const { status, stderr } = await runProgram(`${binaries}/pg_verifybackup`, [directory]);
    assert.equal(status, 0, stderr);
  });

  it('pg_receivewal gets the same bytes as the server has', async () => {
    const directory = join(folder, 'wal');
    mkdirSync(directory);
    await query(server.url('postgres'), "SELECT pg_create_physical_replication_slot('receiving', true)");
    await query(server.url('postgres'), "INSERT INTO event VALUES (-1, repeat('wal', 10000))");
    await position(); // a segment is full
    await query(server.url('postgres'), "INSERT INTO event VALUES (-2, 'in the next one')");
    await run('pg_receivewal', '--slot=receiving', '-D', directory, `--endpos=${await position()}`, '--no-loop');
    const segments = readdirSync(directory).filter((name) => /^[0-9A-F]{24}$/.test(name));
    assert.ok(segments.length > 0, 'no whole segment came');
    for (const name of segments) {
      assert.ok(
        readFileSync(join(directory, name)).equals(readFileSync(join(server.dataDirectory, 'pg_wal', name))),
        name,
      );
    }
  });

  it('pg_recvlogical follows a database', async () => {
    const slot = ['-d', 'app', '--slot=following'];
    await run('pg_recvlogical', ...slot, '--create-slot', '--plugin=test_decoding');
    await query(
      pgmirror.url('app', server.user),
      "INSERT INTO event SELECT n, 'change ' || n FROM generate_series(1, 100) n",
    );
    const end = await position();
    const file = join(folder, 'changes');
    await run('pg_recvlogical', ...slot, '--start', `--endpos=${end}`, '--no-loop', '-f', file);
    const changes = readFileSync(file, 'utf8').match(/^table public\.event: INSERT: .*'change \d+'$/gm) ?? [];
    assert.equal(changes.length, 100);
    await run('pg_recvlogical', ...slot, '--drop-slot');
  });
});
