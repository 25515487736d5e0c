import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Outcome } from '../../../src/mirror/record/record-stream.ts';
import type { RunningPostgres } from '../../../src/cli/embedded-postgres.ts';
import {
  bind,
  close,
  cstr,
  describe as describeMessage,
  execute,
  flush,
  int16,
  int32,
  msg,
  parse,
  query,
  sync,
} from '../../support/bytes.ts';
import { inReverse } from '../../support/cleanup.ts';
import { eventually } from '../../support/eventually.ts';
import { createDatabase, query as run } from '../../support/postgres.ts';
import { nicenessOf, skipWithoutProc } from '../../support/processes.ts';
import { startWatchedPostgres } from '../../support/watched-postgres.ts';
import { WireClient } from '../../support/wire-client.ts';
import { simple } from '../recordings.ts';
import { MirrorChild, RecordFeeder, targetConfig } from './mirror-child.ts';
import { SourceSession } from './source-session.ts';

const cleanup = inReverse({ after });

const SCHEMA = `
  CREATE TABLE t (id int PRIMARY KEY, v text);
  CREATE TABLE parent (id int PRIMARY KEY);
  CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
  INSERT INTO t VALUES (1, 'one')`;

let server: RunningPostgres;
let mirror: MirrorChild;

before(async () => {
  server = await startWatchedPostgres(cleanup);
  mirror = await MirrorChild.start(cleanup, server);
});

interface Case {
  /** What a client does on the source. */
  readonly client: (session: SourceSession) => Promise<unknown>;
  /** Statements that the client prepares and names in a later transaction: what stands behind the name in their Parse. */
  readonly declared?: Readonly<Record<string, Buffer>>;
  /** Run on the mirror alone before. */
  readonly mirrorDiffers?: string;
  readonly outcomes?: readonly number[];
  readonly sqlstates?: readonly string[];
  /** Rows of `t` on the mirror: ids; the source's, where they are to be the same. */
  readonly rows?: readonly number[];
}

/** Records what a client does on one database, replays it on another with the same beginnings, and compares. */
async function replay({ client, declared = {}, mirrorDiffers, outcomes, sqlstates, rows }: Case): Promise<void> {
  const source = await createDatabase(server, 'source');
  const destination = await createDatabase(server, 'mirror');
  for (const database of [source, destination]) await run(server.url(database), SCHEMA);
  if (mirrorDiffers) await run(server.url(destination), mirrorDiffers);
  const wire = await WireClient.login(server, { user: server.user, password: server.password, database: source });
  const session = new SourceSession(wire);
  await client(session);
  await wire.end();

  await mirror.configure(targetConfig(server, destination, { poolSize: 1, timeoutMs: 5000 }));
  const feeder = await RecordFeeder.connect(mirror.socketPath, cleanup);
  feeder.writer.client(1, 'app', 'someone');
  for (const [index, [name, definition]] of Object.entries(declared).entries()) {
    feeder.writer.statement(index + 1, name, definition);
  }
  for (const transaction of session.transactions) feeder.transaction(transaction);
  const acknowledged = await feeder.finished();
  feeder.socket.destroy();
  await mirror.configure();

  assert.deepEqual(
    acknowledged.map(({ outcome }) => outcome),
    outcomes ?? session.transactions.map(() => Outcome.Replayed),
  );
  if (sqlstates)
    assert.deepEqual(
      acknowledged.flatMap((one) => one.sqlstates),
      sqlstates,
    );
  assert.deepEqual(await ids(destination), rows ?? (await ids(source)));
  const open = await run(
    server.url('postgres'),
    `SELECT 1 FROM pg_stat_activity WHERE datname = $1 AND state <> 'idle'`,
    [destination],
  );
  assert.equal(open.length, 0, 'the connection was returned idle');
}

async function ids(database: string): Promise<number[]> {
  return (await run<{ id: number }>(server.url(database), 'SELECT id FROM t ORDER BY id')).map(({ id }) => id);
}

const COPIED = msg('d', Buffer.from('10\tten\n11\televen\n'));
const COPY_DONE = msg('c');
const COPY_FAIL = msg('f', cstr('enough'));

describe('replay leaves the mirror as the source is', () => {
  const cases: Readonly<Record<string, Case>> = {
    'after autocommit queries': {
      client: (s) => s.queries(`INSERT INTO t VALUES (2, 'two')`, `UPDATE t SET v = 'x'`, 'DELETE FROM t WHERE id = 1'),
    },
    'after a block that commits': { client: (s) => s.queries('BEGIN', `INSERT INTO t VALUES (2)`, 'COMMIT') },
    'after a block that the client rolls back': {
      client: (s) => s.queries('BEGIN', `INSERT INTO t VALUES (2)`, 'ROLLBACK'),
    },
    'after a block that failed and was committed': {
      client: (s) => s.queries('BEGIN', `INSERT INTO t VALUES (2)`, 'SELECT 1/0', 'SELECT 1', 'COMMIT'),
    },
    'after savepoints': {
      client: (s) =>
        s.queries(
          'BEGIN',
          'SAVEPOINT a',
          'INSERT INTO t VALUES (1)',
          'ROLLBACK TO a',
          'INSERT INTO t VALUES (2)',
          'COMMIT',
        ),
    },
    'after several statements in one query': {
      client: (s) =>
        s.queries(
          'INSERT INTO t VALUES (2); INSERT INTO t VALUES (3)',
          'BEGIN; INSERT INTO t VALUES (4); COMMIT; INSERT INTO t VALUES (5)',
        ),
    },
    'after the extended protocol': {
      client: (s) =>
        s.request(
          parse('', 'INSERT INTO t VALUES ($1, $2)'),
          bind('', '', '2', 'two'),
          describeMessage('P', ''),
          execute(''),
          sync,
        ),
    },
    'after a pipeline in one request': {
      client: (s) =>
        s.request(
          ...['BEGIN', 'INSERT INTO t VALUES (2)', 'COMMIT'].flatMap((text) => [
            parse('', text),
            bind('', ''),
            execute(''),
          ]),
          sync,
        ),
    },
    'after a named statement that is parsed, used, closed and parsed anew': {
      declared: { s1: Buffer.concat([cstr('INSERT INTO t VALUES ($1)'), int16(1), int32(23)]) },
      client: async (s) => {
        await s.request(parse('s1', 'INSERT INTO t VALUES ($1)', 23), bind('', 's1', '2'), execute(''), sync);
        await s.request(bind('', 's1', '3'), execute(''), sync);
        await s.request(
          close('S', 's1'),
          parse('s1', 'DELETE FROM t WHERE id = $1'),
          bind('', 's1', '2'),
          execute(''),
          sync,
        );
      },
    },
    'after the unnamed statement was used over several requests of a block': {
      client: async (s) => {
        await s.queries('BEGIN');
        await s.request(parse('', 'INSERT INTO t VALUES ($1)', 23), sync);
        await s.request(bind('', '', '2'), execute(''), sync);
        await s.request(bind('', '', '3'), execute(''), sync);
        await s.queries('COMMIT');
      },
    },
    'after COPY IN': { client: (s) => s.request(query('COPY t FROM STDIN'), COPIED, COPY_DONE) },
    'after a COPY IN that the client gave up': {
      client: (s) => s.request(query('COPY t FROM STDIN'), COPIED, COPY_FAIL),
    },
    'after a COPY IN by the extended protocol, its Sync before the data': {
      client: (s) =>
        s.request(parse('', 'COPY t FROM STDIN'), bind('', ''), execute(''), sync, COPIED, COPY_DONE, sync),
    },
    'after a COPY IN by the extended protocol, its Sync behind the data': {
      client: (s) =>
        s.request(parse('', 'COPY t FROM STDIN'), bind('', ''), execute(''), flush, COPIED, COPY_DONE, sync),
    },
    'after two COPY IN in one query': {
      client: (s) =>
        s.request(
          query('COPY t FROM STDIN; COPY parent FROM STDIN'),
          COPIED,
          COPY_DONE,
          msg('d', Buffer.from('1\n')),
          COPY_DONE,
        ),
    },
    'after COPY OUT of much': {
      client: (s) =>
        s.queries(
          `COPY (SELECT repeat('x', 1000) FROM generate_series(1, 20000)) TO STDOUT`,
          'INSERT INTO t VALUES (2)',
        ),
    },
    'after SET, which the next client does not see': {
      client: (s) => s.queries(`SET search_path = nowhere`, `RESET search_path`, 'INSERT INTO t VALUES (2)'),
    },
    'after an empty query': { client: (s) => s.queries('', 'INSERT INTO t VALUES (2)') },
    'after COMMIT AND CHAIN': {
      client: (s) =>
        s.queries('BEGIN', 'INSERT INTO t VALUES (2)', 'COMMIT AND CHAIN', 'INSERT INTO t VALUES (3)', 'COMMIT'),
    },
  };
  for (const [name, one] of Object.entries(cases)) it(name, async () => replay(one));
});

describe('what the source did not commit is not committed on the mirror', () => {
  const missing = 'DELETE FROM t';
  const cases: Readonly<Record<string, Case>> = {
    'an autocommit query that failed': {
      client: (s) => s.queries('INSERT INTO t VALUES (1)', 'INSERT INTO t VALUES (7), (1)'),
      mirrorDiffers: missing,
      rows: [],
    },
    'an autocommit request of the extended protocol that failed': {
      client: (s) => s.request(parse('', 'INSERT INTO t VALUES ($1)'), bind('', '', '1'), execute(''), sync),
      mirrorDiffers: missing,
      rows: [],
    },
    'a request that failed keeps the unnamed statement for later ones': {
      client: async (s) => {
        await s.request(parse('', 'INSERT INTO t VALUES ($1)'), bind('', '', '1'), execute(''), sync);
        await s.queries('INSERT INTO t VALUES (5)');
      },
      mirrorDiffers: missing,
      rows: [5],
    },
    'a pipeline of which one failed': {
      client: (s) =>
        s.request(
          ...['INSERT INTO t VALUES (2)', 'INSERT INTO t VALUES (1)', 'INSERT INTO t VALUES (3)'].flatMap((text) => [
            parse('', text),
            bind('', ''),
            execute(''),
          ]),
          sync,
        ),
      mirrorDiffers: missing,
      rows: [],
    },
    'a block that failed, whose COMMIT answered ROLLBACK': {
      client: (s) => s.queries('BEGIN', 'INSERT INTO t VALUES (2)', 'INSERT INTO t VALUES (1)', 'COMMIT'),
      mirrorDiffers: missing,
      rows: [],
    },
    'a block whose END answered ROLLBACK AND CHAIN': {
      client: (s) =>
        s.queries(
          'BEGIN',
          'INSERT INTO t VALUES (2)',
          'INSERT INTO t VALUES (1)',
          'END AND CHAIN',
          'INSERT INTO t VALUES (3)',
          'COMMIT',
        ),
      mirrorDiffers: missing,
      rows: [3],
    },
    'a block that failed in a pipeline with its COMMIT': {
      client: async (s) => {
        await s.request(
          ...['BEGIN', 'INSERT INTO t VALUES (2)', 'INSERT INTO t VALUES (1)', 'COMMIT'].flatMap((text) => [
            parse('', text),
            bind('', ''),
            execute(''),
          ]),
          sync,
        );
        await s.queries('ROLLBACK');
      },
      mirrorDiffers: missing,
      rows: [],
    },
    'a COMMIT that failed on a deferred constraint': {
      client: (s) => s.queries('BEGIN', 'INSERT INTO t VALUES (2)', 'INSERT INTO child VALUES (9)', 'COMMIT'),
      mirrorDiffers: 'INSERT INTO parent VALUES (9)',
      rows: [1],
    },
    'a COMMIT in the extended protocol that failed on a deferred constraint': {
      client: async (s) => {
        await s.queries('BEGIN', 'INSERT INTO t VALUES (2)', 'INSERT INTO child VALUES (9)');
        await s.request(parse('', 'COMMIT'), bind('', ''), execute(''), sync);
      },
      mirrorDiffers: 'INSERT INTO parent VALUES (9)',
      rows: [1],
    },
    'statements that failed together with the COMMIT behind them': {
      client: (s) => s.queries('BEGIN', 'INSERT INTO t VALUES (2)', 'INSERT INTO child VALUES (9); COMMIT'),
      mirrorDiffers: 'INSERT INTO parent VALUES (9)',
      rows: [1],
    },
    'statements of which one failed before the COMMIT behind them': {
      client: (s) => s.queries('BEGIN', 'INSERT INTO t VALUES (2)', 'INSERT INTO t VALUES (1); COMMIT', 'ROLLBACK'),
      mirrorDiffers: missing,
      rows: [],
    },
    'an autocommit request that failed after its CommandComplete': {
      client: (s) => s.request(parse('', 'INSERT INTO child VALUES (9)'), bind('', ''), execute(''), sync),
      mirrorDiffers: 'INSERT INTO parent VALUES (9)',
    },
    'a COPY IN that failed': {
      client: (s) => s.request(query('COPY t FROM STDIN'), msg('d', Buffer.from('1\tone\n')), COPY_DONE),
      mirrorDiffers: missing,
      rows: [],
    },
    'a statement that needs a block and had none fails on the mirror, too': {
      client: (s) => s.queries('LOCK TABLE t', 'INSERT INTO t VALUES (2)'),
    },
  };
  for (const [name, one] of Object.entries(cases)) it(name, async () => replay(one));
});

describe('what cannot be forced or must not be replayed is dropped', () => {
  const dropped = { outcomes: [Outcome.Dropped] };
  const cases: Readonly<Record<string, Case>> = {
    'a failed request with a whole block in it': {
      client: (s) => s.queries('BEGIN; INSERT INTO t VALUES (2); INSERT INTO t VALUES (1); COMMIT', 'ROLLBACK'),
      ...dropped,
    },
    'a failed request that begins with the end of a block': {
      client: (s) => s.queries('BEGIN', 'ROLLBACK; INSERT INTO t VALUES (2); INSERT INTO t VALUES (1)'),
      mirrorDiffers: 'DELETE FROM t',
      rows: [],
      ...dropped,
    },
    'a failed request with a savepoint behind what failed': {
      client: (s) =>
        s.queries('BEGIN', 'SAVEPOINT a', 'INSERT INTO t VALUES (1); SAVEPOINT a', 'ROLLBACK TO a', 'COMMIT'),
      mirrorDiffers: 'DELETE FROM t',
      rows: [],
      ...dropped,
    },
    'a failed DO': { client: (s) => s.queries('DO $$ BEGIN INSERT INTO t VALUES (1); END $$'), ...dropped },
    'a failed VACUUM': { client: (s) => s.queries('VACUUM missing'), ...dropped },
    'LISTEN alone': { client: (s) => s.queries('LISTEN a'), ...dropped },
    'NOTIFY among others': { client: (s) => s.queries(`INSERT INTO t VALUES (2); NOTIFY a`), ...dropped, rows: [1] },
    'what terminates sessions': { client: (s) => s.queries('SELECT pg_terminate_backend(0)'), ...dropped },
    'LISTEN in a block is left out, the rest is replayed': {
      client: (s) => s.queries('BEGIN', 'LISTEN a', `SELECT pg_notify('a', 'b')`, 'INSERT INTO t VALUES (2)', 'COMMIT'),
    },
  };
  for (const [name, one] of Object.entries(cases)) it(name, async () => replay(one));
});

describe('what fails on the mirror alone', () => {
  const taken = `INSERT INTO t VALUES (2, 'taken')`;
  const failed = [Outcome.Failed];
  const cases: Readonly<Record<string, Case>> = {
    'an autocommit query is counted and the next one is sent': {
      client: (s) => s.queries('INSERT INTO t VALUES (2)', 'INSERT INTO t VALUES (3)'),
      mirrorDiffers: taken,
      outcomes: [Outcome.Failed, Outcome.Replayed],
      sqlstates: ['23505'],
    },
    'a block ends in ROLLBACK': {
      client: (s) => s.queries('BEGIN', 'INSERT INTO t VALUES (3)', 'INSERT INTO t VALUES (2)', 'COMMIT'),
      mirrorDiffers: taken,
      outcomes: failed,
      sqlstates: ['23505'],
      rows: [1, 2],
    },
    'a block ends in ROLLBACK although a savepoint saved it': {
      client: (s) =>
        s.queries(
          'BEGIN',
          'INSERT INTO t VALUES (3)',
          'SAVEPOINT a',
          'INSERT INTO t VALUES (2)',
          'ROLLBACK TO a',
          'COMMIT',
        ),
      mirrorDiffers: taken,
      outcomes: failed,
      sqlstates: ['23505'],
      rows: [1, 2],
    },
    'a block ends in ROLLBACK, and the next of the chain does not': {
      client: (s) =>
        s.queries('BEGIN', 'INSERT INTO t VALUES (2)', 'COMMIT AND CHAIN', 'INSERT INTO t VALUES (3)', 'COMMIT'),
      mirrorDiffers: taken,
      outcomes: failed,
      sqlstates: ['23505'],
      rows: [1, 2, 3],
    },
    'nor does the next where the client itself rolled the first back': {
      client: (s) =>
        s.queries('BEGIN', 'INSERT INTO t VALUES (2)', 'ROLLBACK AND CHAIN', 'INSERT INTO t VALUES (3)', 'COMMIT'),
      mirrorDiffers: taken,
      outcomes: failed,
      sqlstates: ['23505'],
      rows: [1, 2, 3],
    },
    'nor where it did so in the extended protocol': {
      client: async (s) => {
        await s.queries('BEGIN', 'INSERT INTO t VALUES (2)');
        await s.request(parse('', 'ROLLBACK AND CHAIN'), bind('', ''), execute(''), sync);
        await s.queries('INSERT INTO t VALUES (3)', 'COMMIT');
      },
      mirrorDiffers: taken,
      outcomes: failed,
      sqlstates: ['23505'],
      rows: [1, 2, 3],
    },
    'the next block ends so, too, where it began in the request that ended the first': {
      client: (s) =>
        s.queries(
          ...['BEGIN', 'INSERT INTO t VALUES (2)', 'COMMIT; BEGIN; INSERT INTO t VALUES (3)'],
          ...['INSERT INTO t VALUES (4)', 'COMMIT AND CHAIN', 'INSERT INTO t VALUES (5)', 'COMMIT'],
        ),
      mirrorDiffers: taken,
      outcomes: failed,
      sqlstates: ['23505'],
      rows: [1, 2, 5],
    },
    'and so it does in the extended protocol': {
      client: async (s) => {
        await s.queries('BEGIN', 'INSERT INTO t VALUES (2)');
        const texts = ['COMMIT AND CHAIN', 'INSERT INTO t VALUES (3)'];
        await s.request(...texts.flatMap((text) => [parse('', text), bind('', ''), execute('')]), sync);
        await s.queries('INSERT INTO t VALUES (4)', 'COMMIT');
      },
      mirrorDiffers: taken,
      outcomes: failed,
      sqlstates: ['23505'],
      rows: [1, 2],
    },
    'a block in which the mirror is not gets nothing more': {
      client: (s) =>
        s.queries('INSERT INTO t VALUES (2); BEGIN; INSERT INTO t VALUES (3)', 'INSERT INTO t VALUES (4)', 'COMMIT'),
      mirrorDiffers: taken,
      outcomes: failed,
      rows: [1, 2],
    },
    'COPY IN of a table that is not there': {
      client: (s) => s.request(query('COPY parent FROM STDIN'), msg('d', Buffer.from('1\n')), COPY_DONE),
      mirrorDiffers: 'DROP TABLE parent CASCADE',
      outcomes: failed,
      sqlstates: ['42P01'],
    },
    ...Object.fromEntries(
      [sync, flush].map((first): [string, Case] => [
        `COPY IN by the extended protocol with a ${first === sync ? 'Sync' : 'Flush'} before the data`,
        {
          client: async (s) => {
            const data = [msg('d', Buffer.from('1\n')), COPY_DONE];
            await s.request(parse('', 'COPY parent FROM STDIN'), bind('', ''), execute(''), first, ...data, sync);
            await s.queries('INSERT INTO t VALUES (2)');
          },
          mirrorDiffers: 'DROP TABLE parent CASCADE',
          outcomes: [Outcome.Failed, Outcome.Replayed],
          sqlstates: ['42P01'],
        },
      ]),
    ),
    'a prepared statement whose table is not there': {
      client: async (s) => {
        await s.request(parse('p1', 'INSERT INTO parent VALUES ($1)'), bind('', 'p1', '1'), execute(''), sync);
        await s.request(
          close('S', 'p1'),
          parse('p1', 'INSERT INTO t VALUES ($1)'),
          bind('', 'p1', '2'),
          execute(''),
          sync,
        );
      },
      mirrorDiffers: 'DROP TABLE parent CASCADE',
      outcomes: [Outcome.Failed, Outcome.Replayed],
      sqlstates: ['42P01'],
    },
  };
  for (const [name, one] of Object.entries(cases)) it(name, async () => replay(one));
});

it('gives way to other processes, with all of its threads', { skip: skipWithoutProc }, () => {
  const processId = mirror.child.pid;
  assert.ok(processId !== undefined);
  const [own = 0] = nicenessOf(process.pid);
  const values = nicenessOf(processId);
  assert.ok(values.length > 1);
  assert.deepEqual([...new Set(values)], [Math.max(own, 5)]);
});

it('counts as late what begins more than two seconds after its end on the source', async () => {
  const database = await createDatabase(server);
  await mirror.configure(targetConfig(server, database));
  mirror.tell({ type: 'resetStatistics' });
  const feeder = await RecordFeeder.connect(mirror.socketPath, cleanup);
  feeder.writer.client(1, 'app', 'someone');
  const one = simple('SELECT 1');
  // However slow this machine is, the first is not late.
  for (const ago of [-60_000, 3000, 2100]) feeder.transaction({ ...one, ago });
  await feeder.finished();
  mirror.tell({ type: 'queries', id: 1 });
  const { queries } = await mirror.message('queries');
  assert.deepEqual(
    queries.map(({ calls, late }) => ({ calls, late })),
    [{ calls: 3, late: 2 }],
  );
  await mirror.configure();
});

it('reports what it measured', async () => {
  const database = await createDatabase(server);
  await mirror.configure(targetConfig(server, database));
  const feeder = await RecordFeeder.connect(mirror.socketPath, cleanup);
  feeder.writer.client(1, 'app', 'someone');
  const wire = await WireClient.login(server, { user: server.user, password: server.password, database });
  const session = new SourceSession(wire);
  await session.queries('SELECT 1', 'SELECT 2');
  await wire.end();
  for (const transaction of session.transactions) feeder.transaction(transaction);
  await feeder.finished();
  const status = await eventually(async () => (await mirror.status())[0]);
  assert.equal(status.state, 'up');
  assert.equal(status.queued, 0);
  assert.equal(status.duration.mirror.count, 2);
  assert.ok((status.latencyMs.mirror.p50 ?? 0) > 0 && (status.latencyMs.source.p99 ?? 0) > 0);
  await mirror.configure();
});
