import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { DropReason, Outcome, TargetState, TransactionFlag } from '../../../src/mirror/record/record-stream.ts';
import type { RunningPostgres } from '../../../src/cli/embedded-postgres.ts';
import { query } from '../../support/bytes.ts';
import { inReverse } from '../../support/cleanup.ts';
import { eventually } from '../../support/eventually.ts';
import { lockAwaited, lockTable } from '../../support/locks.ts';
import { createDatabase, query as run, withClient } from '../../support/postgres.ts';
import { startWatchedPostgres } from '../../support/watched-postgres.ts';
import { simple, transaction } from '../recordings.ts';
import { MirrorChild, RecordFeeder, targetConfig } from './mirror-child.ts';

const cleanup = inReverse({ after });

let server: RunningPostgres;
let mirror: MirrorChild;
let nextId = 1;

before(async () => {
  server = await startWatchedPostgres(cleanup, { settings: { max_prepared_transactions: '20' } });
  mirror = await MirrorChild.start(cleanup, server);
});

async function backends(database: string): Promise<number> {
  const rows = await run(server.url('postgres'), 'SELECT 1 FROM pg_stat_activity WHERE datname = $1', [database]);
  return rows.length;
}

it('a client’s transactions run in order, and none waits for another client’s while there are connections', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE seen (n serial, client int, i int); CREATE TABLE gate ()');
  await mirror.configure(targetConfig(server, database, { id, poolSize: 2 }));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  for (let client = 1; client <= 8; client++) records.writer.client(client, 'app', 'someone');
  records.transaction({ ...simple('TABLE gate'), targets: [id] });
  await withClient(server.url(database), async (keeper) => {
    await keeper.query('BEGIN');
    await keeper.query('LOCK gate');
    for (let i = 0; i < 25; i++) {
      for (let client = 1; client <= 8; client++) {
        records.transaction({
          ...simple(`INSERT INTO seen (client, i) VALUES (${client}, ${i})`),
          client,
          targets: [id],
        });
      }
    }
    records.flush();
    // The first client stands before the gate, and holds up nobody.
    await eventually(async () => (await run(server.url(database), 'SELECT 1 FROM seen')).length === 175);
    await keeper.query('COMMIT');
  });
  const acknowledged = await records.finished();
  assert.ok(acknowledged.every(({ outcome }) => outcome === Outcome.Replayed));
  const rows = await run<{ client: number; i: number }>(server.url(database), 'SELECT client, i FROM seen ORDER BY n');
  assert.equal(rows.length, 200);
  for (let client = 1; client <= 8; client++) {
    assert.deepEqual(
      rows.filter((row) => row.client === client).map(({ i }) => i),
      Array.from({ length: 25 }, (_, i) => i),
    );
  }
  assert.ok(rows.slice(0, 175).every(({ client }) => client !== 1));
  // Each client in turn: no lane keeps a connection while others wait.
  assert.ok(new Set(rows.slice(0, 14).map(({ client }) => client)).size === 7);
  await eventually(async () => (await backends(database)) <= 2);
  await mirror.configure();
  await eventually(async () => (await backends(database)) === 0, {
    what: 'the connections of a removed mirror to be closed',
  });
});

it('one transaction goes to all of its mirrors', async (test) => {
  const databases = [await createDatabase(server), await createDatabase(server)];
  const targets = databases.map(() => nextId++);
  for (const database of databases) await run(server.url(database), 'CREATE TABLE t (id int)');
  await mirror.configure(
    ...databases.map((database, index) => targetConfig(server, database, { id: targets[index] ?? 0 })),
  );
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  records.writer.client(1, 'app', 'someone');
  for (let i = 0; i < 20; i++) records.transaction({ ...simple(`INSERT INTO t VALUES (${i})`), targets });
  const acknowledged = await records.finished(2);
  assert.equal(acknowledged.length, 40);
  for (const database of databases) {
    assert.deepEqual(await run(server.url(database), 'SELECT count(*)::int AS n FROM t'), [{ n: 20 }]);
  }
  await mirror.configure();
});

it('a connection that the mirror closed while it was idle is replaced', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1 }));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  records.writer.client(1, 'app', 'someone');
  records.transaction({ ...simple('SELECT 1'), targets: [id] });
  await records.finished();
  await run(server.url('postgres'), 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [
    database,
  ]);
  await eventually(async () => (await mirror.status())[0]?.connections === 0);
  records.transaction({ ...simple('SELECT 1'), targets: [id] });
  const acknowledged = await records.finished();
  assert.equal(acknowledged[1]?.outcome, Outcome.Replayed);
  await mirror.configure();
});

it('what runs when the mirror’s logins change is ended, too, where it takes too long', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  const config = targetConfig(server, database, { id, poolSize: 1, timeoutMs: 1000 });
  await mirror.configure(config);
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  records.writer.client(1, 'app', 'a');
  records.transaction({ ...simple('SELECT pg_sleep(60)'), targets: [id] });
  records.transaction({ ...simple('SELECT 1'), targets: [id] });
  records.flush();
  await eventually(async () => (await mirror.status())[0]?.queued === 2);
  const { user, password } = server;
  await mirror.configure({ ...config, users: [{ name: 'b', user, password }] });
  assert.deepEqual(await records.outcomes(), [Outcome.TimedOut, Outcome.Replayed]);
  await mirror.configure();
});

it('a mirror that is back before what it had is finished has one lane for a client, not two', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE seen (n serial, i int)');
  const config = targetConfig(server, database, { id, poolSize: 2 });
  await mirror.configure(config);
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  records.writer.client(1, 'app', 'a');
  records.transaction({ ...simple('SELECT pg_sleep(1)'), targets: [id] });
  records.transaction({ ...simple('INSERT INTO seen (i) VALUES (1)'), targets: [id] });
  records.flush();
  await eventually(async () => (await mirror.status())[0]?.queued === 2);
  await mirror.configure();
  await mirror.configure(config);
  records.transaction({ ...simple('INSERT INTO seen (i) VALUES (2)'), targets: [id] });
  const acknowledged = await records.finished();
  assert.deepEqual(
    acknowledged.toSorted((a, b) => a.slot - b.slot).map(({ outcome }) => outcome),
    [Outcome.Dropped, Outcome.Dropped, Outcome.Replayed],
  );
  assert.deepEqual(await run(server.url(database), 'SELECT i FROM seen'), [{ i: 2 }]);
  await mirror.configure();
});

it('what a client does after its record stream broke follows what came before, and finds no session that was left', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE seen (n serial, client int, i int)');
  await mirror.configure(targetConfig(server, database, { id, poolSize: 4 }));
  const insert = (client: number, i: number) => ({
    ...simple(`INSERT INTO seen (client, i) VALUES (${client}, ${i})`),
    client,
    targets: [id],
  });
  const broken = await RecordFeeder.connect(mirror.socketPath, test, 1_000);
  for (const client of [1, 2]) broken.writer.client(client, 'app', 'a');
  const { KeepsSession: keeps, NeedsSession: needs } = TransactionFlag;
  broken.transaction({ ...simple('CREATE TEMP TABLE mine ()'), client: 2, targets: [id], flags: keeps });
  await broken.finished();
  broken.transaction({ ...simple('SELECT pg_sleep(1)'), targets: [id] });
  for (const i of [1, 2]) broken.transaction(insert(1, i));
  broken.flush();
  await eventually(async () => (await mirror.status())[0]?.queued === 3);
  broken.socket.destroy();

  const records = await RecordFeeder.connect(mirror.socketPath, test, 1_000);
  for (const client of [1, 2, 3]) records.writer.client(client, 'app', 'a');
  records.transaction(insert(1, 3));
  records.transaction({ ...simple('TABLE mine'), client: 2, targets: [id], flags: needs });
  records.transaction(insert(3, 0));
  assert.deepEqual(
    (await records.finished()).map(({ outcome, reason }) => [outcome, reason]),
    [
      [Outcome.Dropped, DropReason.SessionLost],
      [Outcome.Replayed, 0],
      [Outcome.Replayed, 0],
    ],
  );
  const rows = await run<{ client: number; i: number }>(server.url(database), 'SELECT client, i FROM seen ORDER BY n');
  assert.deepEqual(
    rows.map(({ client, i }) => `${client} ${i}`),
    ['3 0', '1 1', '1 2', '1 3'],
  );
  await mirror.configure();
});

it('a client that was bound to its session, and is not any more, gets another one', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE t (id int)');
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1 }));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  records.writer.client(1, 'app', 'a');
  const flags = TransactionFlag.KeepsSession;
  records.transaction({ ...simple('CREATE TEMP TABLE t (id int)'), targets: [id], flags });
  // The one that dropped the temporary table was not mirrored.
  records.transaction({ ...simple('INSERT INTO t VALUES (1)'), targets: [id] });
  const acknowledged = await records.finished();
  assert.ok(acknowledged.every(({ outcome }) => outcome === Outcome.Replayed));
  assert.deepEqual(await run(server.url(database), 'SELECT id FROM t'), [{ id: 1 }]);
  await mirror.configure();
});

it('a session to which its client is not bound any more serves others, and nothing is left in it', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE session (pid int)');
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1 }));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  const { KeepsSession: keeps, NeedsSession: needs } = TransactionFlag;
  const note = 'INSERT INTO session SELECT pg_backend_pid()';
  const leaves = ['CREATE TEMP TABLE mine ()', 'SELECT pg_advisory_lock(1)', 'PREPARE p AS SELECT 1', 'SET a.b = 1'];
  for (const client of [1, 2]) {
    records.writer.client(client, 'app', 'someone');
    for (const text of leaves) {
      records.transaction({ ...simple(text), client, targets: [id], flags: keeps | (text === leaves[0] ? 0 : needs) });
    }
    // On the source all that was gone with this; on the mirror it is not, for whatever reason.
    records.transaction({ ...simple(note), client, targets: [id], flags: needs });
    await records.finished();
  }
  assert.ok(records.acknowledged.every(({ outcome }) => outcome === Outcome.Replayed));
  assert.equal((await run(server.url(database), 'SELECT DISTINCT pid FROM session')).length, 1);
  const left = `SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND database = (
    SELECT oid FROM pg_database WHERE datname = current_database())`;
  assert.deepEqual(await run(server.url(database), left), []);
  await mirror.configure();
});

it('a session to which its client is not bound any more goes on with that although there is another connection by now', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1 }));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  for (const client of [1, 2]) records.writer.client(client, 'app', 'someone');
  const flags = TransactionFlag.KeepsSession;
  records.transaction({ ...simple('CREATE TEMP TABLE mine ()'), targets: [id], flags });
  await records.finished();
  records.transaction({ ...simple('SELECT 1'), client: 2, targets: [id] });
  await records.finished();
  records.transaction({ ...simple('DROP TABLE mine'), targets: [id], flags: TransactionFlag.NeedsSession });
  records.transaction({ ...simple('SELECT 1'), targets: [id] });
  assert.deepEqual(
    await records.outcomes(),
    Array.from({ length: 4 }, () => Outcome.Replayed),
  );
  await mirror.configure();
});

it('no more clients are bound to sessions than `pinned_pool_size` says; the others lose theirs', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1, pinnedPoolSize: 1 }));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  const { KeepsSession: keeps, NeedsSession: needs } = TransactionFlag;
  for (const client of [1, 2]) {
    records.writer.client(client, 'app', 'someone');
    records.transaction({ ...simple('CREATE TEMP TABLE mine ()'), client, targets: [id], flags: keeps });
    await records.finished();
  }
  for (const client of [1, 2]) {
    records.transaction({ ...simple('TABLE mine'), client, targets: [id], flags: keeps | needs });
    await records.finished();
  }
  assert.deepEqual(
    records.acknowledged.map(({ outcome, reason }) => [outcome, reason]),
    [...Array.from({ length: 3 }, () => [Outcome.Replayed, 0]), [Outcome.Dropped, DropReason.SessionLost]],
  );
  assert.ok((await backends(database)) <= 2);
  await mirror.configure();
});

it('a session that lacks a transaction is given up: what needs it is lost, and what does not is run', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1 }));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  records.writer.client(1, 'app', 'a');
  const { KeepsSession: keeps, NeedsSession: needs } = TransactionFlag;
  for (const [text, flags] of [
    ['CREATE TEMP TABLE mine ()', keeps],
    ['TABLE mine; NOTIFY a', needs | keeps],
    ['TABLE mine', needs],
    ['SELECT 1', 0],
  ] as const) {
    records.transaction({ ...simple(text), targets: [id], flags });
    await records.finished();
  }
  assert.deepEqual(
    records.acknowledged.map(({ outcome, reason }) => [outcome, reason]),
    [
      [Outcome.Replayed, 0],
      [Outcome.Dropped, DropReason.Denied],
      [Outcome.Dropped, DropReason.SessionLost],
      [Outcome.Replayed, 0],
    ],
  );
  await mirror.configure();
});

it('a session on a mirror that was refused meanwhile is lost, and nothing waits for an answer from it', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1, timeoutMs: 5_000 }));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  records.writer.client(1, 'app', 'a');
  const { KeepsSession: keeps, NeedsSession: needs } = TransactionFlag;
  const becomes = async (state: TargetState, sql: string): Promise<void> => {
    await run(server.url(database), sql);
    mirror.tell({ type: 'resetMirror', target: id });
    await eventually(() => records.targetStates.at(-1)?.state === state);
  };
  records.transaction({ ...simple('CREATE TEMP TABLE mine ()'), targets: [id], flags: keeps });
  await records.finished();
  await becomes(TargetState.Refused, 'CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w');
  await eventually(async () => (await mirror.status())[0]?.connections === 0);
  await becomes(TargetState.Up, 'DROP SERVER s');
  records.transaction({ ...simple('TABLE mine'), targets: [id], flags: needs });
  records.transaction({ ...simple('SELECT 1'), targets: [id] });
  await records.finished();
  assert.deepEqual(
    records.acknowledged.map(({ outcome, reason }) => [outcome, reason]),
    [
      [Outcome.Replayed, 0],
      [Outcome.Dropped, DropReason.SessionLost],
      [Outcome.Replayed, 0],
    ],
  );
  await mirror.configure();
});

it('a session is lost on a mirror that is for reads now, or for other logins, and on no other that was configured', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE gate ()');
  const config = targetConfig(server, database, { id, poolSize: 2 });
  await mirror.configure(config);
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  const { KeepsSession: keeps, NeedsSession: needs } = TransactionFlag;
  for (const client of [1, 2]) {
    records.writer.client(client, 'app', 'a');
    records.transaction({ ...simple('CREATE TEMP TABLE mine ()'), client, targets: [id], flags: keeps });
  }
  await records.finished();
  /** Has the second client at work until the function that it resolves to is called. */
  const holdUp = async (): Promise<() => Promise<void>> => {
    const unlock = await lockTable(test, server.url(database), 'gate');
    records.transaction({ ...simple('SELECT FROM gate'), client: 2, targets: [id], flags: needs | keeps });
    records.flush();
    await lockAwaited(server.url(database));
    return unlock;
  };
  const finishFirst = await holdUp();
  const users = [{ name: 'b', user: 'b', password: 'b' }];
  await mirror.configure({ ...config, users });
  await finishFirst();
  await records.finished();
  const reads = async (): Promise<void> => {
    for (const client of [1, 2]) {
      records.transaction({ ...simple('TABLE mine'), client, targets: [id], flags: needs | keeps });
      await records.finished();
    }
  };
  await reads();
  const finishSecond = await holdUp();
  await mirror.configure({ ...config, users, level: 'read' });
  await finishSecond();
  await records.finished();
  await reads();
  assert.deepEqual(
    records.acknowledged.slice(2).map(({ outcome, reason }) => [outcome, reason]),
    [
      ...Array.from({ length: 4 }, () => [Outcome.Replayed, 0]),
      ...Array.from({ length: 2 }, () => [Outcome.Dropped, DropReason.SessionLost]),
    ],
  );
  const ofSessions = `SELECT 1 FROM pg_stat_activity WHERE datname = $1 AND query ~ 'mine|gate'`;
  await eventually(async () => (await run(server.url('postgres'), ofSessions, [database])).length === 0);
  await mirror.configure();
});

it('a session that nothing more is needed from is ended, and what others wait for is free', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE gate ()');
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1, pinnedPoolSize: 1 }));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  const { KeepsSession: keeps, NeedsSession: needs } = TransactionFlag;
  const lock = { ...simple('SELECT pg_advisory_lock(1)'), targets: [id], flags: keeps };
  for (const client of [1, 2]) records.writer.client(client, 'app', 'a');
  // Told behind one that goes on with it, when it is over, and while the one that begins it waits or runs.
  for (const [client, behind] of [
    [1, 'another'],
    [2, 'its end'],
    [1, 'itself'],
    [2, 'itself'],
  ] as const) {
    records.transaction({ ...lock, client });
    if (behind === 'its end') await records.finished();
    if (behind === 'another')
      records.transaction({ ...simple('SELECT 1'), client, targets: [id], flags: needs | keeps });
    records.writer.sessionLost(client, id);
    records.writer.sessionLost(3, id);
  }
  const acknowledged = await records.finished();
  assert.deepEqual(
    acknowledged.map(({ outcome }) => outcome),
    acknowledged.map(() => Outcome.Replayed),
  );
  const held = `SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = $1)`;
  await eventually(async () => (await run(server.url('postgres'), held, [database])).length === 0);
  await mirror.configure();
});

it('a lock that the mirror gave and the source did not is released', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE gate ()');
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1, pinnedPoolSize: 1 }));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  records.writer.client(1, 'app', 'a');
  const locks = async (): Promise<number[]> => {
    const sql = `SELECT l.objid::int AS id FROM pg_locks l, pg_database d WHERE d.oid = l.database AND datname = $1
      AND locktype = 'advisory' ORDER BY 1`;
    return (await run<{ id: number }>(server.url('postgres'), sql, [database])).map((row) => row.id);
  };
  records.transaction({ ...simple('SELECT pg_try_advisory_lock(1)'), targets: [id] });
  records.transaction({ ...simple('BEGIN', 'SELECT pg_advisory_lock(2)', 'SELECT 1/0', 'COMMIT'), targets: [id] });
  const flags = TransactionFlag.KeepsSession;
  await records.finished();
  assert.deepEqual(await locks(), []);
  records.transaction({ ...simple('SELECT pg_advisory_lock(3)'), targets: [id], flags });
  await records.finished();
  assert.deepEqual(await locks(), [3]);
  await mirror.configure();
});

it('a changed address takes effect, and nothing that waits is lost', async (test) => {
  const id = nextId++;
  const [first, then] = [await createDatabase(server), await createDatabase(server)];
  for (const database of [first, then])
    await run(server.url(database), 'CREATE TABLE t (id int); CREATE TABLE gate ()');
  const unlock = await lockTable(test, server.url(first), 'gate');
  await mirror.configure(targetConfig(server, first, { id, poolSize: 1 }));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  records.writer.client(1, 'app', 'a');
  records.writer.client(2, 'app', 'b');
  records.transaction({ ...simple('SELECT FROM gate'), targets: [id] });
  records.transaction({ ...simple('INSERT INTO t VALUES (1)'), targets: [id] });
  records.transaction({ ...simple('INSERT INTO t VALUES (2)'), client: 2, targets: [id] });
  records.flush();
  await eventually(async () => (await mirror.status())[0]?.queued === 3);
  await mirror.configure(targetConfig(server, then, { id, poolSize: 1 }));
  await unlock();
  const acknowledged = await records.finished();
  assert.ok(acknowledged.every(({ outcome }) => outcome === Outcome.Replayed));
  assert.deepEqual(await run(server.url(then), 'SELECT id FROM t ORDER BY id'), [{ id: 1 }, { id: 2 }]);
  await eventually(async () => (await backends(first)) === 0);
  await mirror.configure();
});

it('other logins count at once, and nothing is dropped for them', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(
    server.url(database),
    `CREATE TABLE seen (i int); CREATE ROLE other LOGIN PASSWORD 'other'; GRANT ALL ON seen TO other`,
  );
  const config = targetConfig(server, database, { id, poolSize: 1 });
  await mirror.configure(config);
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  records.writer.client(1, 'app', 'a');
  for (let i = 0; i < 20; i++) {
    const users = Array.from({ length: i }, (_, n) => ({ name: `${n}`, user: 'other', password: 'other' }));
    const configured = mirror.configure({ ...config, users });
    for (let n = 0; n < 5; n++) records.transaction({ ...simple('INSERT INTO seen VALUES (1)'), targets: [id] });
    records.flush();
    await configured;
  }
  const acknowledged = await records.finished();
  assert.ok(acknowledged.every(({ outcome }) => outcome === Outcome.Replayed));
  assert.deepEqual([...new Set(records.targetStates.map(({ state }) => state))], [TargetState.Up]);
  await mirror.configure({ ...config, users: [{ name: 'a', user: 'other', password: 'other' }] });
  records.transaction({ ...simple('SELECT 1/(current_user = $$other$$)::int'), targets: [id] });
  assert.equal((await records.finished()).at(-1)?.outcome, Outcome.Replayed);
  await mirror.configure();
  await run(server.url(database), 'DROP OWNED BY other; DROP ROLE other');
});

it('a changed configuration counts from the next transaction on, on the connections that there are', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  const config = targetConfig(server, database, { id, poolSize: 1 });
  await mirror.configure(config);
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  for (const client of [1, 2]) records.writer.client(client, 'app', 'someone');
  const processIds = async (): Promise<unknown[]> =>
    run(server.url('postgres'), 'SELECT pid FROM pg_stat_activity WHERE datname = $1', [database]);
  /** What became of the next one. */
  const next = async (
    text: string,
    ago = 0,
  ): Promise<readonly [outcome: number | undefined, reason: number | undefined]> => {
    records.transaction({ ...simple(text), targets: [id], ago });
    const last = (await records.finished()).at(-1);
    return [last?.outcome, last?.reason];
  };
  assert.deepEqual(await next('SELECT 1', 5_000), [Outcome.Replayed, 0]);
  const first = await processIds();
  await mirror.configure({ ...config, maxLagMs: 1_000, excludeQuery: 'secret' });
  assert.deepEqual(await next('SELECT 1', 5_000), [Outcome.Dropped, DropReason.Lag]);
  assert.deepEqual(await next('SELECT secret'), [Outcome.Dropped, DropReason.Filtered]);
  await mirror.configure({ ...config, level: 'write' });
  assert.deepEqual(await next('SELECT 1'), [Outcome.Dropped, DropReason.Filtered]);
  await mirror.configure({ ...config, pinnedPoolSize: 1 });
  assert.deepEqual(await next('VALUES (1)'), [Outcome.Replayed, 0]);
  assert.deepEqual(await processIds(), first, 'one connection all the time');
  await mirror.configure({ ...config, timeoutMs: 300 });
  assert.deepEqual(await next('SELECT pg_sleep(60)'), [Outcome.TimedOut, 0]);
  await mirror.configure({ ...config, poolSize: 2 });
  const sleeps = 'SELECT pg_sleep(0.5)';
  for (const client of [1, 2]) records.transaction({ ...simple(sleeps), client, targets: [id] });
  records.flush();
  await eventually(async () => (await processIds()).length === 2);
  await records.finished();
  await mirror.configure();
});

it('a mirror that was removed finishes what it has, and loses what is left after five seconds', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE gate ()');
  const unlock = await lockTable(test, server.url(database), 'gate');
  await mirror.configure(targetConfig(server, database, { id, poolSize: 2 }));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  records.writer.client(1, 'app', 'a');
  records.writer.client(2, 'app', 'b');
  records.transaction({ ...simple('SELECT FROM gate'), targets: [id] });
  records.transaction({ ...simple('SELECT pg_sleep(60)'), client: 2, targets: [id] });
  records.flush();
  await eventually(async () => (await mirror.status())[0]?.queued === 2);
  await mirror.configure();
  records.transaction({ ...simple('SELECT 1'), targets: [id] });
  records.flush();
  await eventually(() => records.acknowledged.length === 1);
  await unlock();
  const acknowledged = await records.finished();
  assert.deepEqual(
    acknowledged.map(({ slot, outcome }) => [slot, outcome]),
    [
      [3, Outcome.Dropped],
      [1, Outcome.Replayed],
      [2, Outcome.Dropped],
    ],
  );
});

/** One statement, sent and answered at these moments of the source's event counter. */
const during = (text: string, sentSequence: number, doneSequence: number): ReturnType<typeof transaction> =>
  transaction({ messages: [query(text)], sentSequence, doneSequence });

it('a compared mirror begins in the source’s order what has to do with the same relations, and lets nothing wait for ever', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE seen (n serial, what text); CREATE TABLE gate ()');
  await mirror.configure(targetConfig(server, database, { id, poolSize: 4, compare: { logMismatches: false } }));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  for (let client = 1; client <= 4; client++) records.writer.client(client, 'app', 'someone');
  const seen = async (): Promise<(string | null)[]> =>
    (await run<{ what: string }>(server.url(database), 'SELECT what FROM seen ORDER BY n')).map(({ what }) => what);

  const slow = "INSERT INTO seen (what) SELECT 'first' FROM pg_sleep(0.05)";
  records.transaction({ ...during(slow, 1, 2), client: 1, targets: [id] });
  records.transaction({ ...during("INSERT INTO seen (what) VALUES ('second')", 3, 4), client: 2, targets: [id] });
  await records.finished();
  assert.deepEqual(await seen(), ['first', 'second']);

  await withClient(server.url(database), async (keeper) => {
    await keeper.query('BEGIN');
    await keeper.query('LOCK gate');
    const held = "INSERT INTO seen (what) SELECT 'held' FROM (SELECT count(*) FROM gate) g";
    records.transaction({ ...during(held, 5, 8), client: 1, targets: [id] });
    records.transaction({ ...during("INSERT INTO seen (what) VALUES ('overlapped')", 6, 7), client: 2, targets: [id] });
    records.transaction({ ...during("INSERT INTO seen (what) VALUES ('waited')", 9, 10), client: 3, targets: [id] });
    records.flush();
    await eventually(async () => (await seen()).includes('waited'));
    await keeper.query('COMMIT');
  });
  const acknowledged = await records.finished();
  assert.ok(acknowledged.every(({ outcome }) => outcome === Outcome.Replayed));
  assert.deepEqual(await seen(), ['first', 'second', 'overlapped', 'waited', 'held']);
  await mirror.configure();
});

it('a compared mirror keeps definitions in the source’s order to all that was over before them and began after them', async (test) => {
  const texts = [
    'CREATE SCHEMA made',
    'CREATE TABLE made.t AS SELECT 1 AS a FROM pg_sleep(0.05)',
    'INSERT INTO made.t SELECT 2 FROM pg_sleep(0.05)',
    'ALTER TABLE made.t RENAME TO u',
    'INSERT INTO made.u VALUES (3)',
    'DROP SCHEMA made CASCADE',
    'CREATE SCHEMA made CREATE TABLE t (b int)',
    'INSERT INTO made.t (b) VALUES (4)',
  ];
  // None waits longer than 250 ms: on a machine that has no time for them they are begun in another order, now and then.
  await eventually(
    async () => {
      const id = nextId++;
      const database = await createDatabase(server);
      await mirror.configure(targetConfig(server, database, { id, poolSize: 8, compare: { logMismatches: false } }));
      const records = await RecordFeeder.connect(mirror.socketPath, test);
      for (const [at, text] of texts.entries()) {
        records.writer.client(at + 1, 'app', 'someone');
        records.transaction({ ...during(text, 2 * at, 2 * at + 1), client: at + 1, targets: [id] });
      }
      const acknowledged = await records.finished();
      assert.ok(acknowledged.every(({ outcome }) => outcome === Outcome.Replayed));
      assert.deepEqual(await run(server.url(database), 'SELECT * FROM made.t'), [{ b: 4 }]);
      return true;
    },
    { timeoutMs: 30_000, what: 'all in the order of the source' },
  );
  await mirror.configure();
});

it('a compared mirror that is about to drop for lag begins in whatever order it can', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE seen (n serial, what text)');
  const limits = { poolSize: 2, maxLagMs: 600_000, compare: { logMismatches: false } };
  await mirror.configure(targetConfig(server, database, { id, ...limits }));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  for (let client = 1; client <= 2; client++) records.writer.client(client, 'app', 'someone');
  let sequence = 0;
  /** What was seen in the end, of a slow one and one that followed it on the source, and has been late for so long. */
  const order = async (ago: number): Promise<string> => {
    const texts = ["SELECT 'slow' FROM pg_sleep(0.2)", "VALUES ('next')"];
    for (const [at, text] of texts.entries()) {
      const asked = during(`INSERT INTO seen (what) ${text}`, ++sequence, ++sequence);
      records.transaction({ ...asked, client: at + 1, targets: [id], ago });
    }
    await records.finished();
    const seen = await run<{ what: string }>(server.url(database), 'DELETE FROM seen RETURNING n, what');
    return seen.map(({ what }) => what).join(' ');
  };
  assert.equal(await order(0), 'slow next');
  await eventually(async () => (await order(310_000)) === 'next slow');
  await mirror.configure();
});

describe('two-phase commits that cross', () => {
  type Step = readonly [client: number, texts: readonly string[]];
  const update = (row: number): string => `UPDATE t SET n = n + 1 WHERE id = ${row}`;
  const prepare = (gid: string, row: number): string[] => ['BEGIN', update(row), `PREPARE TRANSACTION '${gid}'`];
  const end = (gid: string): string[] => [`COMMIT PREPARED '${gid}'`];

  async function prepared(database: string): Promise<unknown[]> {
    return run(server.url(database), 'SELECT gid FROM pg_prepared_xacts WHERE database = $1', [database]);
  }

  /** Replays what clients did, in the order in which it ended, while the mirror's `gate` is locked. Outcomes in that order. */
  async function replay(test: TestContext, poolSize: number, steps: readonly Step[]): Promise<number[]> {
    const id = nextId++;
    const database = await createDatabase(server);
    const schema = 'CREATE TABLE t (id int, n int); CREATE TABLE gate ()';
    await run(server.url(database), `${schema}; INSERT INTO t SELECT i, 0 FROM generate_series(1, 5) i`);
    const isGated = steps.some(([, [text]]) => text === 'TABLE gate');
    await mirror.configure(targetConfig(server, database, { id, poolSize, timeoutMs: isGated ? 2000 : 10_000 }));
    const records = await RecordFeeder.connect(mirror.socketPath, test);
    for (const client of new Set(steps.map(([one]) => one))) records.writer.client(client, 'app', 'someone');
    await withClient(server.url(database), async (keeper) => {
      await keeper.query('BEGIN');
      await keeper.query('LOCK gate');
      for (const [client, texts] of steps) records.transaction({ ...simple(...texts), client, targets: [id] });
      records.flush();
      // By then all has come, and whatever does not wait has begun.
      const others = 'SELECT 1 FROM t WHERE id = 6';
      if (isGated) await eventually(async () => (await run(server.url(database), others)).length === 1);
      await keeper.query('COMMIT');
    });
    const acknowledged = await records.finished();
    assert.deepEqual(await prepared(database), []);
    await mirror.configure();
    return acknowledged.toSorted((a, b) => a.slot - b.slot).map(({ outcome }) => outcome);
  }

  const numbers = [1, 2, 3, 4, 5];
  const crossed: Readonly<Record<string, readonly Step[]>> = {
    'of one client': [
      [1, prepare('a', 1)],
      [1, prepare('b', 2)],
      [1, end('b')],
      [1, end('a')],
    ],
    'of two clients that end each other’s': [
      [1, prepare('a', 1)],
      [2, prepare('b', 2)],
      [1, end('b')],
      [2, end('a')],
    ],
    'of many clients, and one that ends them the other way round': [
      ...numbers.map((n): Step => [n, prepare(`${n}`, n)]),
      ...numbers.toReversed().map((n): Step => [9, end(`${n}`)]),
    ],
    'of one client, ended by another, each waiting for the last': [
      ...['a', 'b', 'a'].flatMap((gid): Step[] => [
        [1, prepare(gid, 1)],
        [2, end(gid)],
      ]),
      [3, [update(1)]],
    ],
  };
  for (const [whose, steps] of Object.entries(crossed)) {
    for (const poolSize of [1, 3]) {
      it(`${whose}, go on with ${poolSize === 1 ? 'a single connection' : 'several connections'}`, async (test) => {
        assert.deepEqual(
          await replay(test, poolSize, steps),
          steps.map(() => Outcome.Replayed),
        );
      });
    }
  }

  it('follow on the mirror what the client that ends them sent before, and do not keep its locks from it', async (test) => {
    const steps: readonly Step[] = [
      [2, ['TABLE gate']],
      [2, [update(1)]],
      [2, [update(1)]],
      [1, prepare('a', 1)],
      [2, end('a')],
      [3, ['BEGIN', 'INSERT INTO t VALUES (6, 0)', 'COMMIT']],
    ];
    assert.deepEqual(
      await replay(test, 2, steps),
      steps.map(() => Outcome.Replayed),
    );
  });
});
