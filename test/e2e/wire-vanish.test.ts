import assert from 'node:assert/strict';
import { after, before, beforeEach, describe as suite, it } from 'node:test';

import { alice, aliceEntry } from '../support/alice.ts';
import { bind, describe, execute, flush, parse, query, rowValues, startup, sync } from '../support/bytes.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { MeddlingProxy } from '../support/meddling-proxy.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { createDatabase, query as past, type RunningPostgres } from '../support/postgres.ts';
import { WireClient } from '../support/wire-client.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { Comparison } from './wire/comparison.ts';
import { copyData, copyDone, functionCall } from './wire/copy-messages.ts';
import { restore } from './wire/schema.ts';

const insert = "INSERT INTO t VALUES (100, 'by the one that vanished')";
const others = 'datname = current_database() AND pid <> pg_backend_pid()';
const cancelRequestCode = 80877102;
const megabyte = 'x'.repeat(1_048_576);
const executing = (text: string): Buffer[] => [parse('', text), bind('', ''), execute('')];
const inserting = executing(insert);

/** What a client has said, and what it has been answered, when it vanishes. */
interface Vanishing {
  readonly name: string;
  /** Writes, each with the types of the messages that answer it. */
  readonly says: readonly (readonly [Buffer, string])[];
  /** What the client was in the middle of must have been kept by the server: PostgreSQL, too, finishes it. */
  readonly kept?: boolean;
}

const block = [query('BEGIN'), 'CZ'] as const;
const copy = 'COPY t FROM STDIN';
const row = copyData('100\tvanished\n');

const vanishings: readonly Vanishing[] = [
  { name: 'in a transaction block', says: [block, [query(insert), 'CZ']] },
  { name: 'in a block that has failed', says: [block, [query('SELECT 1 / 0'), 'EZ']] },
  {
    name: 'in a block, in mid-query',
    says: [block, [query(insert), 'CZ'], [query('SELECT pg_sleep(60)'), '']],
  },
  {
    name: 'in a block, in mid-query of the extended protocol',
    says: [
      block,
      [query(insert), 'CZ'],
      [Buffer.concat([parse('', 'SELECT pg_sleep(60)'), bind('', ''), execute(''), sync]), ''],
    ],
  },
  { name: 'in mid-query that begins a block', says: [[query(`BEGIN; ${insert}; SELECT pg_sleep(0.3)`), '']] },
  {
    name: 'with an autocommit statement under way',
    says: [[query(`SELECT pg_sleep(0.3); ${insert}`), '']],
    kept: true,
  },
  {
    name: 'with an autocommit segment under way',
    says: [[Buffer.concat([parse('', 'SELECT pg_sleep(0.3)'), bind('', ''), execute(''), ...inserting, sync]), '']],
    kept: true,
  },
  {
    name: 'in COPY',
    says: [
      [query(copy), 'G'],
      [row, ''],
    ],
  },
  {
    name: 'in COPY of the extended protocol',
    says: [
      [Buffer.concat([parse('', copy), bind('', ''), execute(''), flush]), '12G'],
      [row, ''],
    ],
  },
  {
    name: 'in COPY of the extended protocol behind its Sync',
    says: [
      [Buffer.concat([parse('', copy), bind('', ''), execute(''), sync]), '12G'],
      [row, ''],
    ],
  },
  { name: 'in COPY within a block', says: [block, [query(copy), 'G'], [row, '']] },
  {
    name: 'in the middle of a long CopyData',
    says: [
      [query(copy), 'G'],
      [row, ''],
      [copyData(megabyte).subarray(0, 300_000), ''],
    ],
  },
  {
    name: 'in the middle of a short CopyData',
    says: [
      [query(copy), 'G'],
      [row.subarray(0, 9), ''],
    ],
  },
  { name: 'behind a Parse', says: [[parse('', insert), '']] },
  {
    name: 'behind a Parse and Describe that were answered',
    says: [[Buffer.concat([parse('', insert), describe('S', ''), flush]), '1tn']],
  },
  { name: 'behind an Execute without Sync', says: [[Buffer.concat(inserting), '']] },
  {
    name: 'behind an Execute that was answered, without Sync',
    says: [[Buffer.concat([...inserting, flush]), '12C']],
  },
  { name: 'behind an error without Sync', says: [[Buffer.concat([...inserting, parse('', 'SELEC')]), '12CE']] },
  {
    name: 'behind the header of a long Bind',
    says: [
      [parse('', 'SELECT $1'), ''],
      [bind('', '', megabyte).subarray(0, 15), ''],
    ],
  },
  {
    name: 'half-way through a long Bind',
    says: [
      [Buffer.concat([...inserting, parse('', 'SELECT $1')]), ''],
      [bind('', '', megabyte).subarray(0, 500_000), ''],
    ],
  },
  {
    name: 'half-way through a long Bind of a named statement',
    says: [
      [Buffer.concat([parse('a', 'SELECT $1'), sync]), '1Z'],
      [bind('', 'a', megabyte).subarray(0, 500_000), ''],
    ],
  },
  {
    name: 'half-way through a long Query',
    says: [[query(`${insert}; SELECT '${megabyte}'`).subarray(0, 500_000), '']],
  },
  {
    name: 'two bytes before the end of a long Query',
    says: [[query(`${insert} /* ${megabyte} */ --!`).subarray(0, -2), '']],
  },
  { name: 'half-way through a long Parse', says: [[parse('', `SELECT '${megabyte}'`).subarray(0, 500_000), '']] },
  { name: 'half-way through a long FunctionCall', says: [[functionCall(1317, megabyte).subarray(0, 500_000), '']] },
  {
    name: 'half-way through a short message in a block',
    says: [block, [query(insert), 'CZ'], [query('COMMIT').subarray(0, 7), '']],
  },
  {
    name: 'half-way through a long message in a block',
    says: [block, [query(insert), 'CZ'], [query(`SELECT '${megabyte}'`).subarray(0, 500_000), '']],
  },
  {
    name: 'with a portal half read',
    says: [
      [
        Buffer.concat([...inserting, parse('', 'SELECT generate_series(1, 9)'), bind('c', ''), execute('c', 2), flush]),
        '12C12DDs',
      ],
    ],
  },
  {
    name: 'with more answers than it has read',
    says: [[query(`${insert}; SELECT repeat('x', 1000) FROM generate_series(1, 20000)`), '']],
    kept: true,
  },
  {
    name: 'with more answers than it has read, in a block',
    says: [block, [query(`${insert}; SELECT repeat('x', 1000) FROM generate_series(1, 20000)`), '']],
  },
  {
    name: 'with many requests in flight',
    says: [
      [
        Buffer.concat([
          parse('', 'SELECT pg_sleep(0.1)'),
          bind('', ''),
          execute(''),
          sync,
          ...inserting,
          sync,
          query('BEGIN'),
          query('DELETE FROM t'),
        ]),
        '',
      ],
    ],
    kept: true,
  },
  {
    name: 'with the COMMIT of its block in flight, and more behind it',
    says: [block, [Buffer.concat(['SELECT pg_sleep(0.3)', insert, 'COMMIT', 'SELECT 1'].map(query)), '']],
    kept: true,
  },
  {
    name: 'with one block in flight behind another',
    says: [
      [
        Buffer.concat(['BEGIN', 'SELECT pg_sleep(0.3)', insert, 'COMMIT', 'BEGIN', 'SELECT pg_sleep(60)'].map(query)),
        '',
      ],
    ],
    kept: true,
  },
  {
    name: 'with one block in flight behind another, of the extended protocol',
    says: [
      [
        Buffer.concat(
          ['BEGIN', 'SELECT pg_sleep(0.3)', insert, 'COMMIT', 'BEGIN', 'DELETE FROM t'].flatMap((text) => [
            ...[parse('', text), bind('', ''), execute(''), sync],
          ]),
        ),
        '',
      ],
    ],
    kept: true,
  },
  {
    name: 'with the COMMIT of its block executed, without Sync',
    says: [
      block,
      [query(insert), 'CZ'],
      [Buffer.concat([...executing('SELECT pg_sleep(0.3)'), ...executing('COMMIT')]), ''],
    ],
    kept: true,
  },
  {
    name: 'with the COMMIT of its block executed, and more behind it without Sync',
    says: [
      block,
      [
        Buffer.concat([
          ...[...executing('SELECT pg_sleep(0.3)'), ...inserting, ...executing('COMMIT')],
          ...executing('DELETE FROM t'),
        ]),
        '',
      ],
    ],
    kept: true,
  },
  {
    name: 'in COPY behind the COMMIT of its block, without Sync',
    says: [
      block,
      [query(insert), 'CZ'],
      [Buffer.concat([...executing('COMMIT'), ...executing(copy), flush]), '12C12G'],
    ],
    kept: true,
  },
  {
    name: 'with the COMMIT of its block in flight, and the beginning of a message behind it',
    says: [
      block,
      [
        Buffer.concat([
          ...['SELECT pg_sleep(0.3)', insert, 'COMMIT'].map(query),
          query(`SELECT '${megabyte}'`).subarray(0, 500_000),
        ]),
        '',
      ],
    ],
    kept: true,
  },
  { name: 'with nothing under way', says: [[query('SELECT 1'), 'TDCZ']] },
  {
    name: 'with settings, a temporary table, a lock, a cursor and a channel',
    says: [
      [
        query(
          'SET search_path = pg_catalog; CREATE TEMP TABLE mine (id int); SELECT pg_advisory_lock(1); LISTEN x; DECLARE c CURSOR WITH HOLD FOR SELECT 1; SET ROLE pg_monitor',
        ),
        'CCTDCCCCZ',
      ],
    ],
  },
];

const manners = [
  { manner: 'a FIN', vanish: async (client: WireClient) => client.destroy() },
  { manner: 'an RST', vanish: async (client: WireClient) => client.reset() },
];

suite('When a client vanishes, what it left is undone and the next client is served', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;
  let comparison: Comparison;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
    comparison = await Comparison.start(cleanup, server, { default_pool_size: 1, pinned_pool_size: 1 });
  });
  beforeEach(async () => comparison.prepare(restore));

  for (const { manner, vanish } of manners) {
    for (const { name, says, kept = false } of vanishings) {
      it(`${name}, by ${manner}`, async () => {
        const client = await comparison.pooled();
        for (const [bytes, answer] of says) {
          client.send(bytes);
          await client.expect(...answer.split(''));
        }
        if (says.at(-1)?.[1] === '') await reached(comparison);
        await vanish(client);
        const next = await comparison.pooled();
        const [, rows] = await ask(next, 'SELECT count(*) FROM t WHERE id = 100');
        assert.deepEqual(rows, [[kept ? '1' : '0']]);
        assert.deepEqual(await comparison.traces(), []);
        await next.end();
        await eventually(async () => (await comparison.connections()).every(({ state }) => state === 'idle'), {
          what: 'server connections that are idle',
        });
      });
    }
  }

  it('but for a request that was under way before the message it had half sent', async () => {
    const client = await comparison.pooled();
    client.send(query(`SELECT pg_sleep(0.3); ${insert}`), query(`SELECT '${megabyte}'`).subarray(0, 500_000));
    await reached(comparison);
    await client.reset();
    await eventually(async () => (await comparison.ask('SELECT FROM t WHERE id = 100')).length === 1);
  });

  it('although the CancelRequest for what it left had no effect', async (t) => {
    const cleaning = inReverse(t);
    const database = await createDatabase(server);
    const proxy = await MeddlingProxy.start(cleaning, server);
    const entry = { ...databaseEntry('app', server, database), port: proxy.port };
    const users = [aliceEntry];
    const { host, port } = await Pgmirror.start(cleaning, { databases: [entry], users });
    let requests = 0;
    proxy.corrupt((chunk, direction) => {
      if (direction === 'toClient' || chunk.length < 12 || chunk.readInt32BE(4) !== cancelRequestCode) return chunk;
      requests += 1;
      if (requests > 1) return chunk;
      // As ineffective as one that comes before its query: the secret is another.
      return Buffer.concat([chunk.subarray(0, -1), Buffer.from([(chunk.at(-1) ?? 0) ^ 1])]);
    });
    const client = await WireClient.login({ host, port }, alice);
    await client.query('BEGIN');
    client.send(query('SELECT pg_sleep(60)'));
    const states = async (): Promise<unknown> =>
      past(server.url(database), `SELECT state, wait_event FROM pg_stat_activity WHERE ${others}`);
    await eventually(async () => JSON.stringify(await states()).includes('PgSleep'));
    await client.destroy();
    await eventually(
      async () => JSON.stringify(await states()) === JSON.stringify([{ state: 'idle', wait_event: 'ClientRead' }]),
    );
    assert.equal(requests, 2);
  });

  it('while the session that it keeps is given its settings again: nobody finds what is in it', async (t) => {
    const cleaning = inReverse(t);
    const database = await createDatabase(server);
    const proxy = await MeddlingProxy.start(cleaning, server);
    const entry = { ...databaseEntry('app', server, database), port: proxy.port };
    const users = [aliceEntry];
    const general = { default_pool_size: 1 };
    const pgmirror = await Pgmirror.start(cleaning, { general, databases: [entry], users });
    const { host, port } = pgmirror;
    const client = await WireClient.login({ host, port }, { ...alice, parameters: { DateStyle: 'SQL, DMY' } });
    const next = await WireClient.login({ host, port }, alice);
    await client.query('SELECT 1');
    const settings = Promise.withResolvers<void>();
    proxy.corrupt((chunk, direction) => {
      if (direction === 'toServer' && chunk.includes("set_config('datestyle'")) {
        proxy.stall('toClient');
        settings.resolve();
      }
      return chunk;
    });
    client.send(query('CREATE TEMP TABLE mine (id int); RESET ALL'));
    await settings.promise;
    const isLeaving = async (): Promise<boolean> =>
      (await pgmirror.admin('SHOW CLIENTS')).some(({ state }) => state === 'leaving');
    await client.reset();
    await eventually(isLeaving);
    proxy.corrupt(undefined);
    proxy.resume();
    await eventually(async () => !(await isLeaving()));
    next.send(query("SELECT to_regclass('pg_temp.mine')"));
    const [, answer] = await next.expect('T', 'D', 'C', 'Z');
    assert.deepEqual(answer && rowValues(answer), [null]);
    await next.end();
  });

  it('which waits for its connection already', async () => {
    const client = await comparison.pooled();
    await client.query('BEGIN');
    await client.query(insert);
    const next = await comparison.pooled();
    next.send(query('SELECT count(*) FROM t WHERE id = 100'));
    await client.reset();
    const [, answer] = await next.expect('T', 'D', 'C', 'Z');
    assert.deepEqual(answer && rowValues(answer), ['0']);
    await next.end();
  });

  it('and a client that only stops sending is answered to the end', async () => {
    const client = await comparison.pooled();
    client.send(query(`SELECT pg_sleep(0.2); ${insert}`));
    client.socket.end();
    await client.expect('T', 'D', 'C', 'C', 'Z');
    await client.waitForClose();
    const inBlock = await comparison.pooled();
    await inBlock.query('BEGIN');
    inBlock.send(query("INSERT INTO t VALUES (101, 'x')"), query('SELECT 1'));
    inBlock.socket.end();
    await inBlock.expect('C', 'Z', 'T', 'D', 'C', 'Z');
    await inBlock.waitForClose();
    assert.deepEqual(await comparison.ask('SELECT id FROM t WHERE id > 99'), [{ id: 100 }]);
  });

  it('and one that stops behind a COPY that fails is answered what it asked behind that', async () => {
    const intoC = query('COPY c FROM STDIN');
    const [refused, asked] = [copyData('x\n'), query('SELECT pg_sleep(0.1)')];
    const cases = [
      { says: [intoC, refused, asked, intoC, copyDone, asked], answer: 'GEZTDCZGCZTDCZ' },
      { says: [intoC, refused, asked], answer: 'GEZTDCZ' },
    ];
    for (const { says, answer } of cases) {
      for (const client of [await comparison.direct(), await comparison.pooled()]) {
        client.send(...says);
        client.socket.end();
        await client.expect(...answer.split(''));
        await client.waitForClose();
      }
    }
  });

  it('and one that stops amid a long message is answered what it asked before', async () => {
    for (const client of [await comparison.direct(), await comparison.pooled()]) {
      client.send(query('SELECT pg_sleep(0.2)'), query(`SELECT '${megabyte}'`).subarray(0, 500_000));
      client.socket.end();
      await client.expect('T', 'D', 'C', 'Z');
      await client.waitForClose();
    }
  });

  it('and one that stops sending right behind its login is answered, too', async () => {
    await comparison.killConnections(); // Its login waits for another.
    const { host, port } = comparison.pgmirror;
    const client = await WireClient.connect({ host, port });
    client.send(startup({ user: 'alice', database: 'app' }), query(insert));
    client.socket.end();
    const messages = await client.readUntil('C');
    assert.match(messages.map(({ type }) => type).join(''), /^RS+KZC$/);
    await client.expect('Z');
    await client.waitForClose();
    assert.deepEqual(await comparison.ask('SELECT id FROM t WHERE id > 99'), [{ id: 100 }]);
  });

  it('and with cancel_on_disconnect an autocommit statement is cancelled', async (t) => {
    const other = await Comparison.start(inReverse(t), server, { default_pool_size: 1, cancel_on_disconnect: true });
    const client = await other.pooled();
    client.send(query(`SELECT pg_sleep(60); ${insert}`));
    await reached(other);
    await client.reset();
    const next = await other.pooled();
    const [, rows] = await ask(next, 'SELECT count(*) FROM t WHERE id = 100');
    assert.deepEqual(rows, [['0']]);
    await next.end();
  });
});

/** Waits until what was sent last is at work on the server, or has been for long enough not to show. */
async function reached(comparison: Comparison): Promise<void> {
  const busy = async (): Promise<boolean> =>
    (await comparison.connections()).some(
      ({ state, wait_event: event }) => state === 'active' || event !== 'ClientRead',
    );
  await eventually(busy, { timeoutMs: 100 }).catch(() => undefined);
}

async function ask(client: WireClient, sql: string): Promise<readonly [string, (string | null)[][]]> {
  const messages = await client.query(sql);
  const types = messages.map(({ type }) => type).join('');
  return [types, messages.filter(({ type }) => type === 'D').map(rowValues)];
}
