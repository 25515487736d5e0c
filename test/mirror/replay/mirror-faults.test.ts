import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  DropReason,
  Outcome,
  RequestFlag,
  TargetState,
  TransactionFlag,
} from '../../../src/mirror/record/record-stream.ts';
import { DENIED_FUNCTION_OIDS, DENIED_FUNCTIONS } from '../../../src/mirror/replay/denied-functions.ts';
import type { RunningPostgres } from '../../../src/cli/embedded-postgres.ts';
import {
  bind,
  commandComplete,
  cstr,
  dataRow,
  errorResponse,
  execute,
  flush,
  int16,
  int32,
  msg,
  parse,
  query,
  readyForQuery,
  sync,
} from '../../support/bytes.ts';
import { inReverse } from '../../support/cleanup.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { eventually, within } from '../../support/eventually.ts';
import { lockTable } from '../../support/locks.ts';
import { LogLines } from '../../support/log-lines.ts';
import { createDatabase, query as run } from '../../support/postgres.ts';
import {
  acceptLogin,
  expectQuery,
  ScriptedPostgres,
  send,
  until,
  waitForClose,
} from '../../support/scripted-postgres.ts';
import type { Step } from '../../support/scripted-postgres.ts';
import { startWatchedPostgres } from '../../support/watched-postgres.ts';
import { simple, transaction } from '../recordings.ts';
import type { RequestSketch } from '../recordings.ts';
import { MirrorChild, RecordFeeder, targetConfig } from './mirror-child.ts';

const cleanup = inReverse({ after });

let server: RunningPostgres;
let mirror: MirrorChild;
let nextId = 1;

before(async () => {
  server = await startWatchedPostgres(cleanup);
  mirror = await MirrorChild.start(cleanup, server);
});

async function feeder(test: Cleanup): Promise<RecordFeeder> {
  const one = await RecordFeeder.connect(mirror.socketPath, test);
  one.writer.client(1, 'app', 'someone');
  return one;
}

/** A port that nobody listens on until `listen` is called, and a server that takes connections and says nothing. */
async function silentServer(test: Cleanup): Promise<{ port: number; server: Server }> {
  const silent = createServer((socket) => void socket.on('error', () => undefined).resume());
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  test.after(() => void silent.close());
  return { port: (silent.address() as AddressInfo).port, server: silent };
}

const trusted = { host: '127.0.0.1', user: 'app', password: '' };

/** What a mirror says that is fine, when it is looked at: the lock is free, and it is not in recovery. */
const answerLook: readonly Step[] = [
  acceptLogin(),
  async (peer) => {
    await peer.expect('Q');
    peer.send(dataRow('t', 'f'), commandComplete('SELECT 1'), readyForQuery('I'));
  },
  waitForClose(),
];

it('drops at once what is for a mirror that is down, says so once, and goes on when it is back', async (test) => {
  const id = nextId++;
  const { port, server: closed } = await silentServer({ after: () => undefined });
  closed.close();
  await once(closed, 'close');
  const from = mirror.log.lines.length;
  await mirror.configure(targetConfig({ ...trusted, port }, 'app', { id, allowSideEffects: true }));
  await eventually(() =>
    mirror.messages.some((one) => one.type === 'targetState' && one.id === id && one.state === 'down'),
  );
  const records = await feeder(test);
  for (let i = 0; i < 3; i++) records.transaction({ ...simple('SELECT 1'), targets: [id] });
  const dropped = await records.finished();
  assert.deepEqual(
    dropped.map(({ outcome, reason }) => [outcome, reason]),
    Array.from({ length: 3 }, () => [Outcome.Dropped, DropReason.MirrorDown]),
  );
  assert.ok(records.targetStates.some((one) => one.target === id && one.state === TargetState.Down));

  const back = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(Buffer.concat([msg('R', int32(0)), msg('K', int32(1), int32(2)), readyForQuery('I')]));
      const answer = Buffer.concat([dataRow('t', 'f'), commandComplete('SELECT 1'), readyForQuery('I')]);
      socket.on('data', (chunk) => (chunk[0] === 0x58 ? socket.end() : socket.write(answer)));
    });
  });
  back.listen(port, '127.0.0.1');
  test.after(() => void back.close());
  await eventually(() => records.targetStates.some((one) => one.target === id && one.state === TargetState.Up));
  records.transaction({ ...simple('SELECT 1'), targets: [id] });
  const acknowledged = await records.finished();
  assert.equal(acknowledged.at(-1)?.outcome, Outcome.Replayed);
  const said = mirror.log.lines.slice(from).map(({ msg: text }) => text);
  assert.deepEqual(said, ['mirror is down', 'mirror is up']);
  await mirror.configure();
});

it('gives up on a mirror that takes connections and answers nothing', async (test) => {
  const id = nextId++;
  const { port } = await silentServer(test);
  await mirror.configure(targetConfig({ ...trusted, port }, 'app', { id, connectTimeoutMs: 200 }));
  const records = await feeder(test);
  records.transaction({ ...simple('SELECT 1'), targets: [id] });
  const [one] = await records.finished();
  assert.deepEqual([one?.outcome, one?.reason], [Outcome.Dropped, DropReason.MirrorDown]);
  await mirror.configure();
});

it('counts a transaction as failed whose mirror connection is lost, and goes on with the next one', async (test) => {
  const id = nextId++;
  const scripted = await ScriptedPostgres.start(
    test,
    answerLook,
    [acceptLogin(), expectQuery('SELECT 1')],
    answerLook,
    [acceptLogin(), expectQuery('SELECT 2'), send(commandComplete('SELECT 0'), readyForQuery('I')), waitForClose()],
  );
  await mirror.configure(
    targetConfig({ ...trusted, port: scripted.port }, 'app', { id, poolSize: 1, allowSideEffects: true }),
  );
  const records = await feeder(test);
  records.transaction({ ...simple('SELECT 1'), targets: [id] });
  records.transaction({ ...simple('SELECT 2'), targets: [id] });
  assert.deepEqual(await records.outcomes(), [Outcome.Failed, Outcome.Replayed]);
  await mirror.configure();
});

it('reports a query amid which the connection ended again and again, and judges none that the server ended for its own reasons', async (test) => {
  const id = nextId++;
  const fine = [expectQuery('SELECT 1'), send(commandComplete('SELECT 0'), readyForQuery('I'))];
  const crash = msg('N', cstr('SWARNING'), cstr('C57P02'), cstr('Mcrash of another server process'), Buffer.from([0]));
  const shutdown = errorResponse('57P01', 'terminating connection due to administrator command', 'FATAL');
  const scripts: readonly (readonly Step[])[] = [
    [expectQuery('SELECT a')],
    [...fine, expectQuery('SELECT a')],
    [expectQuery('SELECT a, b'), send(crash)],
    [expectQuery('SELECT a, b, c'), send(shutdown)],
  ];
  const texts = ['SELECT a', 'SELECT 1', 'SELECT a', 'SELECT a, b', 'SELECT a, b, c'];
  const scripted = await ScriptedPostgres.start(
    test,
    ...scripts.flatMap((script) => [answerLook, [acceptLogin(), ...script]]),
  );
  await mirror.configure(
    targetConfig({ ...trusted, port: scripted.port }, 'app', { id, poolSize: 1, allowSideEffects: true }),
  );
  const records = await feeder(test);
  for (const text of texts) records.transaction({ ...simple(text), targets: [id] });
  assert.deepEqual(
    (await records.finished()).map(({ outcome, sqlstates }) => [outcome, ...sqlstates]),
    [
      [Outcome.Failed, '08006'],
      [Outcome.Replayed],
      ...['08006', '57P02', '57P01'].map((sqlstate) => [Outcome.Failed, sqlstate]),
    ],
  );
  // The first time nobody knows whether it was its doing.
  const queries = await mirror.queriesAfter(texts.length);
  assert.deepEqual(
    queries
      .toSorted((one, other) => one.query.localeCompare(other.query))
      .map(({ query: text, calls, classes, errors }) => [text, calls, classes, errors.mirror]),
    [
      ['SELECT $1', 1, {}, {}],
      ['SELECT a', 2, { ambiguous: 1, error_new: 1 }, { '08006': 2 }],
      ['SELECT a, b', 1, { ambiguous: 1 }, { '57P02': 1 }],
      ['SELECT a, b, c', 1, { ambiguous: 1 }, { '57P01': 1 }],
    ],
  );
  await mirror.configure();
});

it('goes on where the connection is lost while the client thinks, or while its settings are made', async (test) => {
  const id = nextId++;
  const scripted = await ScriptedPostgres.start(
    test,
    ...[answerLook, [acceptLogin(), expectQuery('BEGIN'), send(commandComplete('BEGIN'), readyForQuery('T'))]],
    ...[answerLook, [acceptLogin(), async (peer: Parameters<Step>[0]) => void (await peer.expect('Q'))]],
    answerLook,
    [acceptLogin(), expectQuery('SELECT 3'), send(commandComplete('SELECT 0'), readyForQuery('I')), waitForClose()],
  );
  await mirror.configure(
    targetConfig({ ...trusted, port: scripted.port }, 'app', { id, poolSize: 1, allowSideEffects: true }),
  );
  const records = await feeder(test);
  records.writer.settings(1, new Map([['TimeZone', 'Asia/Tokyo']]));
  const thoughtful = transaction(
    { messages: [query('BEGIN')], statuses: 'IT' },
    { messages: [query('COMMIT')], statuses: 'TI', thinkTime: 60_000_000 },
  );
  records.transaction({ ...thoughtful, targets: [id] });
  records.transaction({ ...simple('SELECT 2'), targets: [id], settings: 1 });
  records.transaction({ ...simple('SELECT 3'), targets: [id] });
  assert.deepEqual(await records.outcomes(), [Outcome.Failed, Outcome.Failed, Outcome.Replayed]);
  await mirror.configure();
});

it('ends a COPY whose data have no end in the record, since the source had refused them by then', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE t (id int)');
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1 }));
  const records = await feeder(test);
  const refused = { sqlstate: '23505', flags: RequestFlag.CopyIn };
  const data = msg('d', Buffer.from('1\n'));
  for (const messages of [
    [query('COPY t FROM STDIN'), data],
    [parse('', 'COPY t FROM STDIN'), bind('', ''), execute(''), flush, data],
  ]) {
    records.transaction({ ...transaction({ messages, ...refused }), targets: [id] });
  }
  records.transaction({ ...simple('INSERT INTO t VALUES (2)'), targets: [id] });
  assert.deepEqual(
    (await records.finished()).map(({ outcome, sqlstates }) => [outcome, ...sqlstates]),
    Array.from({ length: 3 }, () => [Outcome.Replayed]),
  );
  assert.deepEqual(await run(server.url(database), 'SELECT id FROM t'), [{ id: 2 }]);
  await mirror.configure();
});

it('closes a connection on which garbage comes', async (test) => {
  const id = nextId++;
  const scripted = await ScriptedPostgres.start(
    test,
    answerLook,
    [acceptLogin(), expectQuery('SELECT 1'), send(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')), waitForClose()],
    [acceptLogin(), waitForClose()],
  );
  await mirror.configure(
    targetConfig({ ...trusted, port: scripted.port }, 'app', { id, poolSize: 1, allowSideEffects: true }),
  );
  const records = await feeder(test);
  records.transaction({ ...simple('SELECT 1'), targets: [id] });
  assert.deepEqual(await records.outcomes(), [Outcome.Failed]);
  await mirror.configure();
});

it('is down, and says so once, when connection after connection is good for nothing', async (test) => {
  const id = nextId++;
  const garbage = [acceptLogin(), expectQuery('SELECT 1'), send(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))];
  const scripted = await ScriptedPostgres.start(
    test,
    ...[answerLook, garbage, answerLook, garbage, answerLook, garbage, answerLook],
  );
  const from = mirror.log.lines.length;
  await mirror.configure(
    targetConfig({ ...trusted, port: scripted.port }, 'app', { id, poolSize: 1, allowSideEffects: true }),
  );
  const records = await feeder(test);
  for (let count = 0; count < 5; count++) records.transaction({ ...simple('SELECT 1'), targets: [id] });
  const acknowledged = await records.finished();
  assert.deepEqual(
    acknowledged.map(({ outcome, reason }) => [outcome, reason]),
    [
      ...Array.from({ length: 3 }, () => [Outcome.Failed, 0]),
      ...Array.from({ length: 2 }, () => [Outcome.Dropped, DropReason.MirrorDown]),
    ],
  );
  const said = mirror.log.lines.slice(from).filter(({ msg: text }) => text === 'mirror is down');
  assert.deepEqual(
    said.map(({ reason }) => reason),
    ['the server does not speak the PostgreSQL protocol'],
  );
  await mirror.configure();
});

it('tries a mirror that talks nonsense with one connection at a time, however many clients there are', async (test) => {
  const id = nextId++;
  let [looks, others] = [0, 0];
  const nonsense = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (startup) => {
      const isLook = startup.includes('pgmirror check');
      if (isLook) looks++;
      else others++;
      socket.write(Buffer.concat([msg('R', int32(0)), msg('K', int32(1), int32(2)), readyForQuery('I')]));
      const answer = Buffer.concat([dataRow('t', 'f'), commandComplete('SELECT 1'), readyForQuery('I')]);
      const says = isLook ? answer : Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n');
      socket.on('data', (chunk) => (chunk[0] === 0x58 ? socket.end() : socket.write(says)));
    });
  });
  nonsense.listen(0, '127.0.0.1');
  test.after(() => void nonsense.close());
  await once(nonsense, 'listening');
  const { port } = nonsense.address() as AddressInfo;
  const config = targetConfig({ ...trusted, port }, 'app', { id, poolSize: 8, allowSideEffects: true });
  await mirror.configure(config);
  const records = await feeder(test);
  for (let client = 1; client <= 8; client++) records.writer.client(client, 'app', 'someone');
  /** All clients are busy until the mirror was looked at so often. */
  const looked = async (times: number): Promise<void> => {
    await eventually(() => {
      for (let client = 1; client <= 8; client++) records.transaction({ ...simple('SELECT 1'), client, targets: [id] });
      records.flush();
      return looks >= times;
    });
  };
  await looked(1);
  await eventually(() => records.targetStates.some((one) => one.target === id && one.state === TargetState.Down));
  await looked(looks + 1);
  const [looksBefore, othersBefore] = [looks, others];
  await looked(looksBefore + 2);
  const since = others - othersBefore;
  assert.ok(since <= looks - looksBefore + 1, `${since} connections for ${looks - looksBefore} attempts`);
  await mirror.configure();
});

it('reads no answer that is far longer than the source can have given', async (test) => {
  const id = nextId++;
  const rows = (megabytes: number): Buffer =>
    Buffer.concat(Array.from({ length: megabytes }, () => dataRow('x'.repeat(2 ** 20))));
  const end = send(commandComplete('SELECT 1'), readyForQuery('I'));
  const scripted = await ScriptedPostgres.start(
    test,
    answerLook,
    // Long, and within what the source may have had under way; then more, whose end is never sent.
    [
      acceptLogin(),
      expectQuery('SELECT 1'),
      send(rows(15)),
      end,
      expectQuery('SELECT 2'),
      send(rows(20)),
      waitForClose(),
    ],
    answerLook,
    [acceptLogin(), expectQuery('SELECT 3'), end, waitForClose()],
  );
  const address = { ...trusted, port: scripted.port };
  await mirror.configure(targetConfig(address, 'app', { id, poolSize: 1, allowSideEffects: true }));
  const records = await feeder(test);
  for (const number of [1, 2, 3]) records.transaction({ ...simple(`SELECT ${number}`), targets: [id] });
  assert.deepEqual(await records.outcomes(), [Outcome.Replayed, Outcome.Failed, Outcome.Replayed]);
  await mirror.configure();
});

it('waits for no answer that says it is going to be far longer than the source can have given', async (test) => {
  const id = nextId++;
  const twoGigabytes = Buffer.concat([Buffer.from('D'), int32(0x7fffffff)]);
  const scripted = await ScriptedPostgres.start(test, answerLook, [
    acceptLogin(),
    expectQuery('SELECT 1'),
    send(twoGigabytes),
    waitForClose(),
  ]);
  const address = { ...trusted, port: scripted.port };
  await mirror.configure(targetConfig(address, 'app', { id, poolSize: 1, allowSideEffects: true }));
  const records = await feeder(test);
  records.transaction({ ...simple('SELECT 1'), targets: [id] });
  assert.deepEqual(await records.outcomes(), [Outcome.Failed]);
  await mirror.configure();
});

it('cancels a request that takes too long, and uses the connection again', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE t (id int)');
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1, timeoutMs: 1_000 }));
  const records = await feeder(test);
  records.transaction({
    ...simple('BEGIN', 'INSERT INTO t VALUES (1)', 'SELECT pg_sleep(60)', 'COMMIT'),
    targets: [id],
  });
  records.transaction({ ...simple('INSERT INTO t VALUES (2)'), targets: [id] });
  // What took long on the source may take that long, and the timeout more.
  const long = { messages: [query('SELECT pg_sleep(1.5)')], sourceTime: 60_000_000 };
  records.transaction({ ...transaction(long), targets: [id] });
  assert.deepEqual(await records.outcomes(), [Outcome.TimedOut, Outcome.Replayed, Outcome.Replayed]);
  assert.deepEqual(await run(server.url(database), 'SELECT id FROM t'), [{ id: 2 }]);
  await mirror.configure();
});

it('closes a connection whose server does not heed the cancel, and reports what it ran', async (test) => {
  const id = nextId++;
  const hung = [acceptLogin(), expectQuery('SELECT 1'), waitForClose()];
  const scripted = await ScriptedPostgres.start(test, answerLook, hung, [
    async (peer) => void (await peer.readUntyped()),
  ]);
  await mirror.configure(
    targetConfig({ ...trusted, port: scripted.port }, 'app', {
      id,
      poolSize: 1,
      allowSideEffects: true,
      timeoutMs: 100,
    }),
  );
  const records = await feeder(test);
  records.transaction({ ...simple('SELECT 1'), targets: [id] });
  assert.deepEqual(await records.outcomes(), [Outcome.TimedOut]);
  assert.deepEqual(
    (await mirror.queries()).map(({ calls, classes }) => ({ calls, classes })),
    [{ calls: 1, classes: { timeout: 1 } }],
  );
  await mirror.configure();
});

it('finds no mirror late where it was held up itself, and the answer had come meanwhile', async (test) => {
  const id = nextId++;
  const timeoutMs = 1_000;
  const [asked, stopped] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const scripted = await ScriptedPostgres.start(test, answerLook, [
    acceptLogin(),
    expectQuery('SELECT 1'),
    () => asked.resolve(),
    until(stopped.promise),
    send(commandComplete('SELECT 1'), readyForQuery('I')),
    waitForClose(),
  ]);
  const address = { ...trusted, port: scripted.port };
  await mirror.configure(targetConfig(address, 'app', { id, poolSize: 1, allowSideEffects: true, timeoutMs }));
  const records = await feeder(test);
  records.transaction({ ...simple('SELECT 1'), targets: [id] });
  const outcomes = records.outcomes();
  await within(asked.promise, 10_000, 'the request');
  mirror.child.kill('SIGSTOP');
  const since = performance.now();
  stopped.resolve();
  await eventually(() => performance.now() - since > timeoutMs + 500);
  mirror.child.kill('SIGCONT');
  assert.deepEqual(await outcomes, [Outcome.Replayed]);
  await mirror.configure();
});

it('mirrors a cancel that the source answered', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1 }));
  const records = await feeder(test);
  const cancelled = { messages: [query('SELECT pg_sleep(60)')], sqlstate: '57014', flags: RequestFlag.Cancelled };
  const began = performance.now();
  records.transaction({ ...transaction({ ...cancelled, cancelAfter: 700_000 }), targets: [id] });
  assert.deepEqual(await records.outcomes(), [Outcome.Replayed]);
  assert.ok(performance.now() - began >= 690, 'not before its time');
  await mirror.configure();
});

it('keeps think times, and takes them off where a lane is late', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE t (began timestamptz, at timestamptz)');
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1, maxLagMs: 600_000 }));
  const records = await feeder(test);
  const thoughtful = (thinkTime: number): ReturnType<typeof transaction> =>
    transaction(
      { messages: [query('BEGIN')], statuses: 'IT' },
      { messages: [query('INSERT INTO t VALUES (now(), clock_timestamp())')], statuses: 'TT', thinkTime },
      { messages: [query('COMMIT')], statuses: 'TI' },
    );
  // It ends on the source later than now: however busy the machine is, its lane is not late.
  records.transaction({ ...thoughtful(300_000), targets: [id], ago: -60_000 });
  await records.finished();
  records.transaction({ ...thoughtful(60_000_000), targets: [id], ago: 120_000 });
  await records.finished();
  const [kept, shrunk] = await run<{ ms: number }>(
    server.url(database),
    'SELECT extract(epoch FROM at - began)::float8 * 1000 AS ms FROM t ORDER BY began',
  );
  assert.ok(kept && kept.ms >= 290, `kept: ${kept?.ms}`);
  assert.ok(shrunk && shrunk.ms < 60_000, `shrunk: ${shrunk?.ms}`);
  await mirror.configure();
});

it('drops what is too late', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await mirror.configure(targetConfig(server, database, { id, maxLagMs: 1000 }));
  const records = await feeder(test);
  records.transaction({ ...simple('SELECT 1'), targets: [id], ago: 1500 });
  // That it lacks its session goes before that.
  records.transaction({ ...simple('SELECT 1'), targets: [id], ago: 1500, flags: TransactionFlag.NeedsSession });
  assert.deepEqual(
    (await records.finished()).map(({ outcome, reason }) => [outcome, reason]),
    [DropReason.Lag, DropReason.SessionLost].map((reason) => [Outcome.Dropped, reason]),
  );
  await mirror.configure();
});

it('runs each transaction in the state of its session', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(
    server.url(database),
    `CREATE SCHEMA other; CREATE ROLE plain; GRANT ALL ON SCHEMA public, other TO plain;
     CREATE TABLE seen (who text, path text, zone text, app text); GRANT ALL ON seen TO plain`,
  );
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1 }));
  const records = await feeder(test);
  const note = `INSERT INTO public.seen SELECT current_user, current_setting('search_path'), current_setting('TimeZone'), current_setting('application_name')`;
  records.writer.settings(
    1,
    new Map([
      ['search_path', 'other'],
      ['TimeZone', 'Asia/Tokyo'],
      ['application_name', `it's \\ "x"`],
    ]),
  );
  records.writer.settings(
    2,
    new Map([
      ['role', 'plain'],
      ['application_name', 'two'],
    ]),
  );
  records.transaction({ ...simple(note), targets: [id], settings: 1 });
  records.transaction({ ...simple(note), targets: [id], settings: 2 });
  records.transaction({ ...simple(note), targets: [id], settings: 1 });
  records.transaction({ ...simple(`SELECT set_config('search_path', 'nowhere', false)`), targets: [id] });
  records.transaction({ ...simple(note), targets: [id] });
  records.transaction({ ...simple(`SET TimeZone = 'Asia/Tokyo'`), targets: [id] });
  records.transaction({ ...simple(note), targets: [id] });
  const acknowledged = await records.finished();
  assert.ok(acknowledged.every(({ outcome }) => outcome === Outcome.Replayed));
  const rows = await run<Record<string, string>>(server.url(database), 'SELECT * FROM seen');
  const fresh = { who: 'postgres', path: '"$user", public', zone: rows[1]?.zone, app: '' };
  const first = { who: 'postgres', path: 'other', zone: 'Asia/Tokyo', app: `it's \\ "x"` };
  assert.deepEqual(rows, [first, { ...fresh, who: 'plain', app: 'two' }, first, fresh, fresh]);
  assert.notEqual(rows[1]?.zone, 'Asia/Tokyo');
  await mirror.configure();
});

it('fails a transaction whose settings the mirror refuses, and does not run it where rows depend on them', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE t (id int)');
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1 }));
  const records = await feeder(test);
  records.writer.settings(
    1,
    new Map([
      ['no_such_setting', 'x'],
      ['TimeZone', 'UTC'],
    ]),
  );
  records.writer.settings(2, new Map([['role', 'nobody_of_that_name']]));
  records.transaction({ ...simple('INSERT INTO t VALUES (1)'), targets: [id], settings: 1 });
  records.transaction({ ...simple('INSERT INTO t VALUES (2)'), targets: [id], settings: 2 });
  records.transaction({ ...simple('INSERT INTO t VALUES (3)'), targets: [id] });
  assert.deepEqual(await records.outcomes(), [Outcome.Failed, Outcome.Failed, Outcome.Replayed]);
  assert.deepEqual(await run(server.url(database), 'SELECT id FROM t'), [{ id: 1 }, { id: 3 }]);
  await mirror.configure();
});

it('prepares statements where they are missing, and keeps no more than the limit', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE t (id int)');
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1, preparedStatementsLimit: 2 }));
  const records = await feeder(test);
  const definition = (text: string): Buffer => Buffer.concat([cstr(text), int16(0)]);
  for (let i = 1; i <= 4; i++)
    records.writer.statement(i, `p${i}`, definition(`INSERT INTO t VALUES ($1 + ${i} * 10)`));
  records.writer.statement(9, '', definition('INSERT INTO t VALUES ($1 + 900)'));
  const use = (name: string, value: string): RequestSketch => ({
    messages: [bind('', name, value), execute(''), sync],
  });
  for (const i of [1, 2, 3, 4, 1, 1]) records.transaction({ ...transaction(use(`p${i}`, '0')), targets: [id] });
  records.transaction({
    ...simple(`INSERT INTO t SELECT 1000 + count(*) FROM pg_prepared_statements WHERE name <> ''`),
    targets: [id],
  });
  records.transaction({ ...transaction(use('', '1')), targets: [id], unnamedStatement: 9 });
  // Another thread means something else by the same name.
  const other = await feeder(test);
  await records.finished();
  other.writer.statement(1, 'p1', definition('INSERT INTO t VALUES ($1 + 500)'));
  other.transaction({ ...transaction(use('p1', '0')), targets: [id] });
  await other.finished();
  records.transaction({
    ...transaction({ messages: [parse('p1', 'INSERT INTO t VALUES ($1 + 70)'), ...use('p1', '0').messages] }),
    targets: [id],
  });
  const acknowledged = await records.finished();
  assert.deepEqual(
    [...acknowledged, ...other.acknowledged].map(({ outcome, sqlstates }) => [outcome, ...sqlstates]),
    Array.from({ length: 10 }, () => [Outcome.Replayed]),
  );
  const rows = await run<{ id: number }>(server.url(database), 'SELECT id FROM t');
  assert.deepEqual(
    rows.map((row) => row.id),
    [10, 20, 30, 40, 10, 10, 1002, 901, 500, 70],
  );
  await mirror.configure();
});

it('keeps the connection of a pinned client, and drops what needs a session that is lost', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1 }));
  const records = await feeder(test);
  records.writer.client(2, 'app', 'other');
  const { NeedsSession: needs, KeepsSession: keeps } = TransactionFlag;
  records.transaction({ ...simple('CREATE TEMP TABLE mine (id int)'), targets: [id], flags: keeps });
  records.transaction({ ...simple('SELECT 1'), targets: [id], client: 2 });
  records.transaction({ ...simple('INSERT INTO mine VALUES (1)'), targets: [id], flags: needs | keeps });
  records.transaction({ ...simple('DROP TABLE mine'), targets: [id], flags: needs });
  await records.finished();
  records.transaction({ ...simple('SELECT * FROM mine'), targets: [id], flags: needs | keeps });
  const acknowledged = await records.finished();
  assert.deepEqual(
    acknowledged.toSorted((a, b) => a.slot - b.slot).map(({ outcome, reason }) => [outcome, reason]),
    [...Array.from({ length: 4 }, () => [Outcome.Replayed, 0]), [Outcome.Dropped, DropReason.SessionLost]],
  );
  await mirror.configure();
});

it('filters by level and by text, and has no login for some', async (test) => {
  const [reads, matching, nobody] = [nextId++, nextId++, nextId++];
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE t (id int)');
  await mirror.configure(
    targetConfig(server, database, { id: reads, level: 'read' }),
    targetConfig(server, database, { id: matching, query: 'two', excludeQuery: 'not' }),
    targetConfig(server, database, { id: nobody, fallback: undefined }),
  );
  const records = await feeder(test);
  const targets = [reads, matching, nobody];
  for (const text of ['INSERT INTO t VALUES (1)', `SELECT 'two'`, `SELECT 'two', 'not'`]) {
    records.transaction({ ...simple(text), targets });
  }
  // Filtered goes before unsafe and denied, which go before a login that there is none for.
  records.transaction({ ...transaction({ messages: [query('VACUUM gone')], sqlstate: '42P01' }), targets });
  records.transaction({ ...simple('NOTIFY a'), targets });
  const acknowledged = await records.finished(3);
  const of = (target: number): number[][] =>
    acknowledged
      .filter((one) => one.target === target)
      .toSorted((a, b) => a.slot - b.slot)
      .map(({ outcome, reason }) => [outcome, reason]);
  const filtered = [Outcome.Dropped, DropReason.Filtered];
  const replayed = [Outcome.Replayed, 0];
  assert.deepEqual(of(reads), [filtered, replayed, replayed, filtered, filtered]);
  assert.deepEqual(of(matching), [filtered, replayed, filtered, filtered, filtered]);
  const { NoUser, Unsafe, Denied } = DropReason;
  assert.deepEqual(
    of(nobody),
    [NoUser, NoUser, NoUser, Unsafe, Denied].map((reason) => [Outcome.Dropped, reason]),
  );
  await mirror.configure();
});

it('holds a mirror for reads to reading, whatever a function does and a client has set', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await run(
    server.url(database),
    `CREATE TABLE t (id int); CREATE FUNCTION put(int) RETURNS void LANGUAGE sql AS 'INSERT INTO t VALUES ($1)'`,
  );
  await mirror.configure(targetConfig(server, database, { id, poolSize: 1, level: 'read' }));
  const records = await feeder(test);
  records.writer.settings(1, new Map([['default_transaction_read_only', 'off']]));
  for (const settings of [0, 1, 0]) records.transaction({ ...simple('SELECT put(1)'), targets: [id], settings });
  assert.deepEqual(
    (await records.finished()).map(({ outcome, sqlstates }) => [outcome, ...sqlstates]),
    Array.from({ length: 3 }, () => [Outcome.Failed, '25006']),
  );
  assert.deepEqual(await run(server.url(database), 'SELECT id FROM t'), []);
  await mirror.configure();
});

it('denies by their numbers the functions that it denies by their names', async () => {
  const rows = await run<{ oid: number }>(
    server.url('postgres'),
    `SELECT oid::int FROM pg_proc WHERE proname = ANY($1) AND NOT proretset AND pronamespace = 'pg_catalog'::regnamespace`,
    [[...DENIED_FUNCTIONS]],
  );
  assert.deepEqual(
    rows.map(({ oid }) => oid).toSorted((a, b) => a - b),
    [...DENIED_FUNCTION_OIDS].toSorted((a, b) => a - b),
  );
});

it('drops for a login that the mirror refuses, and for that alone, until the login is another', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  const { user, password } = server;
  const config = targetConfig(server, database, { id, users: [{ name: 'wrong', user, password: 'no' }] });
  await mirror.configure({ ...config, fallback: undefined });
  const records = await feeder(test);
  records.writer.client(2, 'app', 'wrong');
  records.transaction({ ...simple('SELECT 1'), targets: [id], client: 2 });
  const [one] = await records.finished();
  assert.deepEqual([one?.outcome, one?.reason], [Outcome.Dropped, DropReason.NoUser]);
  assert.equal((await mirror.status())[0]?.state, 'up');
  await mirror.configure({ ...config, users: [{ name: 'wrong', user, password }], fallback: undefined });
  records.transaction({ ...simple('SELECT 1'), targets: [id], client: 2 });
  assert.deepEqual(await records.outcomes(), [Outcome.Dropped, Outcome.Replayed]);
  await mirror.configure();
});

it('drains: finishes what is queued, and loses what does not end in time', async (test) => {
  const id = nextId++;
  const child = await MirrorChild.start(test, server);
  const database = await createDatabase(server);
  await run(server.url(database), 'CREATE TABLE gate ()');
  const unlock = await lockTable(test, server.url(database), 'gate');
  await child.configure(targetConfig(server, database, { id, poolSize: 2 }));
  const records = await RecordFeeder.connect(child.socketPath, test);
  records.writer.client(1, 'app', 'a');
  records.writer.client(2, 'app', 'b');
  records.transaction({ ...simple('SELECT FROM gate'), targets: [id] });
  records.transaction({ ...simple('SELECT pg_sleep(60)'), targets: [id], client: 2 });
  records.flush();
  await eventually(async () => ((await child.status())[0]?.queued ?? 0) === 2);
  child.tell({ type: 'drain', graceMs: 2_000 });
  await unlock();
  await child.message('drained');
  assert.deepEqual(
    (await records.finished()).map(({ outcome, reason }) => [outcome, reason]),
    [
      [Outcome.Replayed, 0],
      [Outcome.Dropped, DropReason.Lost],
    ],
  );
});

it('closes a record stream that is malformed, and goes on with the others', async (test) => {
  const id = nextId++;
  const database = await createDatabase(server);
  await mirror.configure(targetConfig(server, database, { id }));
  const [bad, good] = [await feeder(test), await feeder(test)];
  const closed = once(bad.socket, 'close');
  bad.flush();
  bad.socket.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
  await within(closed, 5000, 'the stream to be closed');
  good.transaction({ ...simple('SELECT 1'), targets: [id] });
  assert.equal((await good.finished())[0]?.outcome, Outcome.Replayed);
  await mirror.configure();
});

it('ends with its parent', async (test) => {
  const helper = fileURLToPath(new URL('./orphan-parent.ts', import.meta.url));
  const socketPath = join(tmpdir(), 'orphan', 'record');
  mkdirSync(dirname(socketPath));
  const parent = spawn(process.execPath, [helper, socketPath], { stdio: ['ignore', 'pipe', 'inherit'] });
  test.after(() => void parent.kill('SIGKILL'));
  const { pid } = (await new LogLines(parent.stdout).waitFor((line) => 'pid' in line)) as unknown as { pid: number };
  const records = await RecordFeeder.connect(socketPath, test);
  await eventually(() => records.targetStates.length > 0);
  parent.kill('SIGKILL');
  await eventually(() => !existsSync(`/proc/${pid}`), { what: 'the mirror process to be gone' });
});
