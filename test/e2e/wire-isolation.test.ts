import assert from 'node:assert/strict';
import { after, before, beforeEach, describe as suite, it } from 'node:test';

import {
  bind,
  close,
  commandComplete,
  describe,
  errorFields,
  execute,
  flush,
  msg,
  parse,
  query,
  rowValues,
  splitMessages,
  sync,
  terminate,
  type Message,
} from '../support/bytes.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import type { RunningPostgres } from '../support/postgres.ts';
import { WireClient, type WireAddress, type WireLogin } from '../support/wire-client.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { Comparison } from './wire/comparison.ts';
import { copyData, functionCall } from './wire/copy-messages.ts';
import { restore } from './wire/schema.ts';

/** What a client does to its session, and how it sees (and nobody else) that it did. */
const changes: readonly { name: string; sql: string; seenBy: string }[] = [
  { name: 'a setting that is reported', sql: "SET TimeZone = 'Asia/Tokyo'", seenBy: 'SHOW TimeZone' },
  { name: 'a setting that is not', sql: "SET statement_timeout = '7s'", seenBy: 'SHOW statement_timeout' },
  { name: 'a setting with quotes', sql: "SET application_name = 'O''Hara\\ \"x\"'", seenBy: 'SHOW application_name' },
  { name: 'the search_path', sql: 'SET search_path = "Odd, ""one""", public', seenBy: 'SHOW search_path' },
  {
    name: 'the search_path by set_config',
    sql: "SELECT set_config('search_path', '', false)",
    seenBy: 'SHOW search_path',
  },
  {
    name: 'a setting of an extension',
    sql: "SET my.setting = 'x'",
    seenBy: "SELECT coalesce(current_setting('my.setting', true), '')",
  },
  { name: 'a role', sql: 'SET ROLE pg_monitor', seenBy: 'SELECT current_user' },
  { name: 'the session’s user', sql: 'SET SESSION AUTHORIZATION pg_monitor', seenBy: 'SELECT session_user' },
  {
    name: 'the session’s user as a setting',
    sql: "SET session_authorization = 'pg_monitor'",
    seenBy: 'SELECT session_user',
  },
  {
    name: 'characteristics of its transactions',
    sql: 'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
    seenBy: 'SHOW default_transaction_read_only',
  },
  { name: 'its encoding', sql: "SET client_encoding = 'latin1'", seenBy: 'SHOW client_encoding' },
  { name: 'its names', sql: "SET NAMES 'latin1'", seenBy: 'SHOW client_encoding' },
  {
    name: 'several in one query',
    sql: "SET work_mem = 1234; SET lock_timeout = '3s'",
    seenBy: "SELECT current_setting('work_mem'), current_setting('lock_timeout')",
  },
  { name: 'a setting within a committed block', sql: 'BEGIN; SET work_mem = 4321; COMMIT', seenBy: 'SHOW work_mem' },
  { name: 'a setting made by DO', sql: 'DO $$ BEGIN SET work_mem = 4321; END $$', seenBy: 'SHOW work_mem' },
  {
    name: 'a session advisory lock',
    sql: 'SELECT pg_advisory_lock(77)',
    seenBy: "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
  },
  {
    name: 'a temporary table',
    sql: 'CREATE TEMP TABLE mine AS SELECT 1 AS one',
    seenBy: "SELECT to_regclass('mine') IS NOT NULL",
  },
  {
    name: 'a temporary view',
    sql: 'CREATE TEMP VIEW mine AS SELECT 1 AS one',
    seenBy: "SELECT to_regclass('mine') IS NOT NULL",
  },
  {
    name: 'a table made by SELECT INTO TEMP',
    sql: 'SELECT 1 AS one INTO TEMP mine',
    seenBy: "SELECT to_regclass('mine') IS NOT NULL",
  },
  {
    name: 'a table in pg_temp',
    sql: 'CREATE TABLE pg_temp.mine (id int)',
    seenBy: "SELECT to_regclass('mine') IS NOT NULL",
  },
  {
    name: 'a temporary table, by a text longer than a chunk',
    sql: `/* ${'long '.repeat(30_000)} */ CREATE TEMP TABLE mine AS SELECT 1 AS one`,
    seenBy: "SELECT to_regclass('mine') IS NOT NULL",
  },
  {
    name: 'a setting of an extension, by a text longer than a chunk',
    sql: `/* ${'long '.repeat(30_000)} */ SET my.setting = 'x'`,
    seenBy: "SELECT coalesce(current_setting('my.setting', true), '')",
  },
  { name: 'a channel', sql: 'LISTEN channel', seenBy: 'SELECT count(*) FROM pg_listening_channels()' },
  {
    name: 'a cursor WITH HOLD',
    sql: 'DECLARE held CURSOR WITH HOLD FOR SELECT 1',
    seenBy: "SELECT count(*) FROM pg_cursors WHERE name = 'held'",
  },
  {
    name: 'a statement of SQL',
    sql: 'PREPARE mine AS SELECT 1',
    seenBy: "SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'",
  },
];

suite('What one client does to its session', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;
  let comparison: Comparison;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
    comparison = await Comparison.start(cleanup, server, { default_pool_size: 1, pinned_pool_size: 2 });
  });
  beforeEach(async () => comparison.prepare(restore));

  for (const { name, sql, seenBy } of changes) {
    for (const protocol of ['simple', 'extended'] as const) {
      if (protocol === 'extended' && sql.includes(';')) continue;
      it(`holds for it and is seen by nobody else: ${name}, by the ${protocol} protocol`, async () => {
        const [client, other] = [await comparison.pooled(), await comparison.pooled()];
        const initial = await look(other, seenBy);
        await run(client, sql, protocol);
        const changed = await look(client, seenBy);
        assert.notDeepEqual(changed, initial);
        for (let round = 0; round < 3; round += 1) {
          assert.deepEqual(await look(other, seenBy), initial, 'what the other sees');
          assert.deepEqual(await look(client, seenBy), changed, 'what the client sees');
        }
        await client.end();
        const next = await comparison.pooled();
        assert.deepEqual(await look(next, seenBy), initial, 'what the next sees');
        assert.deepEqual(await look(other, seenBy), initial);
        await Promise.all([other.end(), next.end()]);
      });
    }
  }

  for (const { name, sql, seenBy } of changes) {
    for (const [how, begin] of [
      ['with the next message', ''],
      ['within a transaction', 'BEGIN; '],
    ] as const) {
      it(`is seen by nobody else where the client terminates ${how}: ${name}`, async () => {
        const [client, other] = [await comparison.pooled(), await comparison.pooled()];
        const initial = await look(other, seenBy);
        client.send(query(begin + sql), terminate);
        await client.waitForClose();
        assert.deepEqual(await look(other, seenBy), initial);
        await other.end();
      });
    }
  }

  it('is told to each in its own ParameterStatus, and only where it differs', async () => {
    const [a, b] = [await comparison.pooled(), await comparison.pooled()];
    await a.query("SET TimeZone = 'Asia/Tokyo'");
    await b.query("SET TimeZone = 'Europe/Paris'");
    for (const client of [a, b, a, b]) {
      const messages = await client.query('SHOW TimeZone');
      const types = messages.map(({ type }) => type).join('');
      assert.equal(types, 'TDCZ', 'nothing has changed for this client');
    }
    await Promise.all([a.end(), b.end()]);
  });

  it('has no part in what another’s StartupMessage sets, not even in the half which that leaves open', async () => {
    const client = await comparison.pooled();
    await client.query("SET DateStyle = 'SQL, DMY'");
    const other = await comparison.pooled({ DateStyle: 'ISO' });
    assert.deepEqual(await look(other, 'SHOW DateStyle'), [['ISO, MDY']]);
    assert.deepEqual(await look(client, 'SHOW DateStyle'), [['SQL, DMY']]);
    assert.deepEqual(await look(other, 'SHOW DateStyle'), [['ISO, MDY']]);
    await Promise.all([client.end(), other.end()]);
  });

  it('is told at its login that its application_name is too long, as PostgreSQL tells it, each time', async () => {
    const told = async (address: WireAddress, login: WireLogin): Promise<Record<string, string>[]> => {
      const client = await WireClient.connect(address);
      const messages = await client.logIn({ ...login, parameters: { application_name: 'n'.repeat(65) } });
      await client.end();
      assert.equal(client.parameters.get('application_name'), 'n'.repeat(63));
      return messages.filter(({ type }) => type === 'N').map(errorFields);
    };
    const { user, password } = comparison.server;
    const expected = await told(comparison.server, { user, password, database: 'postgres' });
    assert.equal(expected.length, 1);
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(await told(comparison.pgmirror, { user: 'alice', database: 'app' }), expected);
    }
  });

  it('has constants in statements read by its own settings, though others prepare the same text', async () => {
    const [a, b] = [await comparison.pooled(), await comparison.pooled()];
    await a.query("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'ISO, DMY'; SET standard_conforming_strings = off");
    await a.query("SET IntervalStyle = 'sql_standard'; SET timezone_abbreviations = 'Australia'");
    await a.query('SET transform_null_equals = on; SET array_nulls = off');
    const text = `SELECT extract(epoch FROM timestamptz '2024-01-01 00:00')::int, date '02/03/2024', '\\x41',
      extract(epoch FROM interval '-1 1:00:00')::int, extract(epoch FROM timestamptz '2024-01-01 00:00 EST')::int,
      1 = NULL, ('{NULL}'::text[])[1]`;
    const ofA = ['1704034800', '2024-03-02', 'A', '-90000', '1704031200', 'f', 'NULL'];
    const ofB = ['1704067200', '2024-02-03', '\\x41', '-82800', '1704085200', null, null];
    assert.deepEqual(await runInTurn([a, b], text), [ofA, ofB, ofA, ofB]);
    await Promise.all([a.end(), b.end()]);
  });

  it('has constants in statements written by its own settings, though others prepare the same text', async () => {
    const [a, b] = [await comparison.pooled(), await comparison.pooled()];
    await a.query("SET bytea_output = 'escape'; SET extra_float_digits = -5; SET quote_all_identifiers = on");
    const text = "SELECT '\\x41'::bytea::text, (0.1::float8 + 0.2::float8)::text, quote_ident('a')";
    const ofA = ['A', '0.3', '"a"'];
    const ofB = ['\\x41', '0.30000000000000004', 'a'];
    assert.deepEqual(await runInTurn([a, b], text), [ofA, ofB, ofA, ofB]);
    await Promise.all([a.end(), b.end()]);
  });

  it('has settings with letters of another encoding as it made them', async () => {
    const latin1 = (text: string): Buffer => msg('Q', Buffer.from(text, 'latin1'), Buffer.from([0]));
    const client = await comparison.pooled({ client_encoding: 'LATIN1' });
    const other = await comparison.pooled({ client_encoding: 'LATIN1', application_name: 'other' });
    const hex = (name: string): string => `encode(convert_to(current_setting('${name}'), 'UTF8'), 'hex')`;
    const name = Buffer.from('Jürgen').toString('hex');
    for (const text of [
      "SET my.name = 'Jürgen'",
      "BEGIN; SET my.name = 'Jürgen'; COMMIT",
      "SELECT set_config('my.name', 'Jürgen', false)",
    ]) {
      client.send(latin1(text));
      await client.readUntil('Z');
      client.send(latin1('SET search_path = "Jürgen"'));
      await client.readUntil('Z');
      await other.query('SELECT 1');
      const seen = await look(client, `SELECT ${hex('my.name')}, ${hex('search_path')}`);
      assert.deepEqual(seen, [[name, `22${name}22`]], text);
      await client.query("SET my.name = ''; SET search_path = public");
    }
    await Promise.all([client.end(), other.end()]);
  });

  it('does not touch statements of others: names, DEALLOCATE ALL and DISCARD ALL are each one’s own', async () => {
    const [a, b] = [await comparison.pooled(), await comparison.pooled()];
    for (const [client, text] of [
      [a, "SELECT 'of a'"],
      [b, "SELECT 'of b'"],
    ] as const) {
      client.send(parse('s', text), parse('same', "SELECT 'same'"), parse('', text), sync);
      await client.expect('1', '1', '1', 'Z');
    }
    assert.deepEqual(await runNamed(a, 's'), ['of a']);
    assert.deepEqual(await runNamed(b, 's'), ['of b']);
    assert.deepEqual(await runNamed(a, ''), ['of a']);
    for (const text of ['DEALLOCATE s', 'DEALLOCATE ALL', 'DISCARD ALL']) {
      await run(a, text, 'simple');
      assert.deepEqual(await runNamed(b, 's'), ['of b']);
      assert.deepEqual(await runNamed(b, 'same'), ['same']);
      a.send(bind('', 's'), sync);
      const [error] = await a.expect('E', 'Z');
      assert.equal(error && errorFields(error).C, '26000');
      a.send(parse('s', "SELECT 'again'"), sync);
      await a.expect('1', 'Z');
    }
    a.send(close('S', 's'), sync);
    await a.expect('3', 'Z');
    assert.deepEqual(await runNamed(b, 's'), ['of b']);
    assert.deepEqual(await runNamed(b, ''), ['of b'], 'the unnamed statement');
    await Promise.all([a.end(), b.end()]);
  });

  it('cannot reach the statements of others by the names that the server knows', async () => {
    const [a, b] = [await comparison.pooled(), await comparison.pooled()];
    await b.query('CREATE VIEW held AS SELECT name FROM pg_prepared_statements');
    a.send(parse('secret', "SELECT 'secret'"), sync);
    await a.expect('1', 'Z');
    const answer = await b.query('SELECT name FROM held');
    const names = answer.filter(({ type }) => type === 'D').map((row) => rowValues(row)[0] ?? '');
    assert.ok(names.length > 0);
    for (const name of names) {
      b.send(bind('', name), execute(''), sync, describe('S', name), sync);
      for (const [error] of [await b.expect('E', 'Z'), await b.expect('E', 'Z')]) {
        assert.equal(error && errorFields(error).C, '26000');
      }
      b.send(close('S', name), sync);
      await b.expect('3', 'Z');
    }
    assert.deepEqual(await runNamed(a, 'secret'), ['secret']);
    assert.deepEqual(await look(b, 'SELECT name FROM pg_prepared_statements'), []);
    assert.deepEqual(await runNamed(a, 'secret'), ['secret']);
    await b.query('DROP VIEW held');
    await Promise.all([a.end(), b.end()]);
  });

  it('has the names of its statements to itself, and leaves none of them', async () => {
    const [a, b] = [await comparison.pooled(), await comparison.pooled()];
    for (const client of [a, b]) {
      client.send(parse('s', `SELECT ${client === a ? "'of a'" : "'of b'"}`), sync);
      await client.expect('1', 'Z');
    }
    assert.deepEqual(await look(a, 'EXECUTE s'), [['of a']]);
    assert.deepEqual(await look(b, 'EXECUTE s'), [['of b']]);
    assert.deepEqual(await runNamed(a, 's'), ['of a']);
    await b.query('DEALLOCATE ALL');
    const next = await comparison.pooled();
    assert.deepEqual(await look(next, 'SELECT name FROM pg_prepared_statements'), []);
    await Promise.all([a, b, next].map(async (client) => client.end()));
  });

  it('is told by which client a notification was sent, by the process id of its login', async () => {
    const [listener, other] = [await comparison.pooled(), await comparison.pooled()];
    await listener.query('LISTEN channel');
    listener.send(query("NOTIFY channel, 'own'"));
    const own = (await listener.readUntil('Z')).find(({ type }) => type === 'A');
    assert.equal(own?.body.readInt32BE(0), listener.processId);
    await other.query("SELECT pg_notify('channel', 'of another')");
    const message = (await listener.readUntil('A')).at(-1);
    assert.equal(message?.body.readInt32BE(0), other.processId);
    const [[serverProcessId] = []] = await look(listener, 'SELECT pg_backend_pid()');
    listener.send(query("NOTIFY channel, 'own'"));
    const known = (await listener.readUntil('Z')).find(({ type }) => type === 'A');
    assert.equal(known?.body.readInt32BE(0), Number(serverProcessId), 'who asked knows the server');
    await Promise.all([listener.end(), other.end()]);
  });

  it('keeps it pinned only as long as the reason holds, however often', async () => {
    const reasons = [
      ['CREATE TEMP TABLE mine (id int)', 'DISCARD ALL'],
      ['CREATE TEMP TABLE mine (id int)', 'DROP TABLE mine'],
      ['LISTEN channel', 'UNLISTEN *'],
      ['SELECT pg_advisory_lock(77)', 'SELECT pg_advisory_unlock(77)'],
      ['PREPARE mine AS SELECT 1', 'DEALLOCATE mine'],
    ];
    const client = await comparison.pooled();
    for (const statements of reasons) {
      for (let round = 0; round < 5; round += 1) {
        for (const sql of statements) await run(client, sql, 'simple');
      }
    }
    await client.end();
    assert.equal((await comparison.connections()).length, 1, 'server connections of a pool of one');
  });

  it('sees nothing of what sequences gave to others, and finds again what they gave to itself', async () => {
    const [a, b] = [await comparison.pooled(), await comparison.pooled()];
    await a.query('CREATE SEQUENCE counted');
    const next = query("SELECT nextval('counted')");
    const last = {
      simple: [query("SELECT currval('counted')")],
      unnamed: [parse('', 'SELECT lastval()'), bind('', ''), execute(''), sync],
      named: [bind('', 'last'), execute(''), sync],
      long: [bind('', 'long', 'x'.repeat(200_000)), execute(''), sync],
    };
    b.send(parse('last', 'SELECT lastval()'), parse('long', 'SELECT lastval(), length($1::text)'), sync);
    await b.expect('1', '1', 'Z');
    for (const messages of Object.values(last)) {
      a.send(query('BEGIN'), next, query('SELECT lastval()'), query('COMMIT')); // not what keeps a connection
      await a.expect('C', 'Z', 'T', 'D', 'C', 'Z', 'T', 'D', 'C', 'Z', 'C', 'Z');
      b.send(...messages);
      const error = (await b.readUntil('Z')).find(({ type }) => type === 'E');
      assert.equal(error && errorFields(error).C, '55000');
      b.send(next);
      await b.expect('T', 'D', 'C', 'Z');
      await a.query('SELECT 1');
      b.send(...messages);
      assert.ok((await b.readUntil('Z')).some(({ type }) => type === 'D'));
      await b.query('DISCARD SEQUENCES');
    }
    await a.query('DROP SEQUENCE counted');
    await Promise.all([a.end(), b.end()]);
  });

  it('sees nothing of what sequences gave to others at the beginning of a transaction block either', async () => {
    const [a, b] = [await comparison.pooled(), await comparison.pooled()];
    await a.query('CREATE SEQUENCE counted');
    const last = query('SELECT lastval()');
    for (const asking of [
      [query('BEGIN')],
      [query('BEGIN'), last],
      [parse('', 'BEGIN'), bind('', ''), execute(''), sync],
    ]) {
      await a.query("SELECT nextval('counted')");
      b.send(...asking);
      b.send(last, query('ROLLBACK'), query('SELECT 1'));
      const told = await b.readThrough(commandComplete('SELECT 1'));
      const answers = splitMessages(told).messages;
      assert.equal(errorFields(answers.find(({ type }) => type === 'E') as Message).C, '55000');
      assert.equal(answers.filter(({ type }) => type === 'D').length, 1);
      await b.readUntil('Z');
      await b.query('DISCARD ALL');
    }
    await a.query('DROP SEQUENCE counted');
    await Promise.all([a.end(), b.end()]);
  });

  it('sees nothing of what sequences gave to one who went amid a transaction block', async () => {
    const [a, b] = [await comparison.pooled(), await comparison.pooled()];
    await b.query('CREATE SEQUENCE counted');
    await b.query("SELECT nextval('counted')");
    a.send(query('BEGIN'), query("SELECT nextval('counted')"), terminate);
    await a.waitForClose();
    const [error] = (await b.query('SELECT lastval()')).filter(({ type }) => type === 'E');
    assert.equal(error && errorFields(error).C, '55000');
    await b.query('DROP SEQUENCE counted');
    await b.end();
  });

  it('leaves its server connection to others where the rest of its data comes behind the error of a COPY', async () => {
    const [client, other] = [await comparison.pooled(), await comparison.pooled()];
    client.send(query('COPY c FROM STDIN'));
    await client.expect('G');
    const data = copyData('1\n');
    client.send(copyData('x\n'), data.subarray(0, 6));
    await client.expect('E', 'Z');
    client.send(data.subarray(6));
    assert.deepEqual(await look(other, 'SELECT 1'), [['1']]);
    await Promise.all([client.end(), other.end()]);
  });

  for (const { name, last } of [
    { name: 'says Terminate', last: terminate },
    { name: 'closes its sending half', last: Buffer.alloc(0) },
  ]) {
    it(`has nothing written over what a client has yet to read when it ${name}`, async () => {
      const [client, other] = [await comparison.pooled(), await comparison.pooled()];
      const text = "SELECT repeat('x', 6000)";
      const answer = Buffer.concat((await client.query(text)).map(({ bytes }) => bytes));
      client.socket.pause();
      let asked = 0;
      let answered = true;
      while (answered) {
        client.send(query(text));
        asked += 1;
        other.send(query("SELECT repeat('y', 6000)"));
        answered = await other.readUntil('Z', 300).then(
          () => true,
          () => false,
        );
      }
      client.socket.end(last);
      await other.readUntil('Z', 1_000).catch(() => undefined);
      client.socket.resume();
      await client.waitForClose();
      assert.ok(client.unread.equals(Buffer.concat(Array.from({ length: asked }, () => answer))));
      await other.destroy();
    });
  }

  it('closes a client that must be pinned where no place is left, with its reason', async () => {
    const pinned = await Promise.all([comparison.pooled(), comparison.pooled(), comparison.pooled()]);
    const ends: string[] = [];
    for (const client of pinned) {
      client.send(query('LISTEN channel'));
      const messages: Message[] = await client.expect('C', 'Z').catch(() => []);
      ends.push(messages.map(({ type }) => type).join(''));
    }
    await Promise.any(pinned.map(async ({ closed }) => closed));
    const next = await comparison.pooled();
    assert.deepEqual(await look(next, 'SELECT 1'), [['1']]);
    await Promise.all([next, ...pinned].map(async (client) => client.end()));
  });

  it('by a Query amid the extended protocol does not have the next client refused', async () => {
    const client = await comparison.pooled();
    for (let round = 0; round < 3; round += 1) {
      client.send(parse('', 'SELECT 1'), bind('', ''), execute(''), query('SELECT 2'), sync);
      await client.expect('1', '2', 'D', 'C', 'T', 'D', 'C', 'Z', 'Z');
      const next = await comparison.pooled();
      assert.deepEqual(await look(next, 'SELECT 3'), [['3']]);
      await next.end();
    }
    await client.end();
  });

  for (const { length, value } of [
    { length: 'short', value: '-1' },
    { length: 'long', value: `-${'0'.repeat(100_000)}1` },
  ]) {
    it(`by a ${length} FunctionCall amid the extended protocol does not have the next client refused`, async () => {
      const client = await comparison.pooled();
      const call = functionCall(1397, value);
      for (let round = 0; round < 3; round += 1) {
        client.send(parse('', 'SELECT 1'), bind('', ''), execute(''), call, query('SELECT 1'), sync);
        const messages = [...(await client.readUntil('Z')), ...(await client.readUntil('Z'))];
        assert.match(messages.map(({ type }) => type).join(''), /^12DC[VE]ZTDCZ$/);
        await client.expect('Z');
        const next = await comparison.pooled();
        assert.deepEqual(await look(next, 'SELECT 3'), [['3']]);
        await next.end();
      }
      await client.end();
    });
  }
});

suite('A statement that a server connection lacks', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
  });

  it('is prepared again without a word', async (t) => {
    const comparison = await Comparison.start(inReverse(t), server, { default_pool_size: 1 });
    const client = await comparison.pooled();
    client.send(parse('a', 'SELECT id FROM t WHERE id = $1', 23), sync);
    await client.expect('1', 'Z');
    await comparison.killConnections();
    client.send(bind('', 'a', '1'), execute(''), describe('S', 'a'), sync);
    await client.expect('2', 'D', 'C', 't', 'T', 'Z');
    await client.end();
  });

  it('does not keep SQL from asking what is prepared, though its name cannot be shown', async (t) => {
    const comparison = await Comparison.start(inReverse(t), server, { default_pool_size: 1 });
    const client = await comparison.pooled();
    // PostgreSQL keeps 63 bytes of it, and so half a letter.
    client.send(parse(`${'a'.repeat(62)}ä`, 'SELECT 1'), sync);
    await client.expect('1', 'Z');
    await comparison.killConnections();
    client.send(parse('', 'SELECT 1'), flush);
    await client.expect('1');
    client.send(parse('', 'SELECT name FROM pg_prepared_statements'), bind('', ''), execute(''), sync);
    await client.expect('1', '2', 'C', 'Z');
    await client.end();
  });

  it('is prepared again where a function closed it, which no answer tells', async (t) => {
    const comparison = await Comparison.start(inReverse(t), server, { default_pool_size: 1 });
    await comparison.ask(
      "CREATE FUNCTION forgetting() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$",
    );
    const [client, other] = [await comparison.pooled(), await comparison.pooled()];
    client.send(parse('a', "SELECT 'a'"), sync);
    await client.expect('1', 'Z');
    await other.query('SELECT forgetting()');
    client.send(bind('', 'a'), sync);
    await client.expect('E', 'Z');
    client.send(bind('', 'a'), execute(''), sync);
    await client.expect('2', 'D', 'C', 'Z');
    await Promise.all([client.end(), other.end()]);
  });

  it('fails once where its table is gone, in place of BindComplete, and leaves the rest as it is', async (t) => {
    const comparison = await Comparison.start(inReverse(t), server, { default_pool_size: 1 });
    const client = await comparison.pooled();
    await client.query('CREATE TABLE altered (id int)');
    client.send(parse('a', 'SELECT * FROM altered'), parse('b', "SELECT 'b'"), sync);
    await client.expect('1', '1', 'Z');
    await comparison.killConnections();
    await comparison.ask('DROP TABLE altered');
    client.send(bind('', 'a'), execute(''), parse('c', 'SELECT 3'), sync, bind('', 'b'), execute(''), sync);
    const [error] = await client.expect('E', 'Z', '2', 'D', 'C', 'Z');
    assert.equal(error && errorFields(error).C, '42P01');
    client.send(bind('', 'c'), sync);
    await client.expect('E', 'Z');
    client.send(bind('', 'a'), execute(''), sync);
    await client.expect('E', 'Z');
    await client.query('CREATE TABLE altered (id int)');
    client.send(bind('', 'a'), execute(''), sync);
    await client.expect('2', 'C', 'Z');
    await client.end();
  });

  it('is never prepared again in silence with another shape: the client is told at each try, others parse anew', async (t) => {
    const comparison = await Comparison.start(inReverse(t), server, { default_pool_size: 2 });
    const [a, b] = [await comparison.pooled(), await comparison.pooled()];
    await a.query('CREATE TABLE altered (id int, balance int)');
    a.send(parse('s', 'SELECT * FROM altered'), bind('', 's'), execute(''), sync);
    await a.expect('1', '2', 'C', 'Z');
    await comparison.killConnections();
    await comparison.ask('ALTER TABLE altered DROP COLUMN balance');
    for (let round = 0; round < 3; round += 1) {
      a.send(bind('', 's'), execute(''), sync);
      const [error] = await a.expect('E', 'Z');
      assert.equal(error && errorFields(error).C, '0A000');
      await a.query('BEGIN');
      a.send(bind('', 's'), execute(''), sync);
      const [, ready] = await a.expect('E', 'Z');
      assert.equal(ready?.body.toString(), 'E');
      await a.query('ROLLBACK');
      b.send(parse(`s${round}`, 'SELECT * FROM altered'), bind('', `s${round}`), execute(''), sync);
      await b.expect('1', '2', 'C', 'Z');
      await comparison.killConnections();
    }
    a.send(close('S', 's'), parse('s', 'SELECT * FROM altered'), bind('', 's'), execute(''), sync);
    await a.expect('3', '1', '2', 'C', 'Z');
    await Promise.all([a.end(), b.end()]);
  });

  it('goes and comes where a server connection may hold only one', async (t) => {
    const comparison = await Comparison.start(inReverse(t), server, {
      default_pool_size: 1,
      prepared_statements_limit: 1,
    });
    const clients = await Promise.all([comparison.pooled(), comparison.pooled()]);
    const names = ['a', 'b', 'c'];
    for (const [at, client] of clients.entries()) {
      client.send(...names.map((name) => parse(name, `SELECT '${name} of ${at}'`)), sync);
      await client.expect('1', '1', '1', 'Z');
    }
    for (let round = 0; round < 20; round += 1) {
      const at = round % 2;
      const client = clients[at];
      assert.ok(client !== undefined);
      client.send(...names.flatMap((name) => [bind('', name), execute('')]), sync);
      const answer = await client.readUntil('Z');
      const values = answer.filter(({ type }) => type === 'D').map((row) => rowValues(row)[0]);
      assert.deepEqual(
        values,
        names.map((name) => `${name} of ${at}`),
      );
      client.send(bind('', 'a'), execute(''), parse('bad', 'SELEC'), bind('', 'b'), execute(''), sync);
      await client.expect('2', 'D', 'C', 'E', 'Z');
    }
    await Promise.all(clients.map(async (client) => client.end()));
  });
});

suite('A configuration of the server that has changed', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
  });

  it('is what a client is told that logs in, and what RESET brings back', async (t) => {
    const comparison = await Comparison.start(inReverse(t), server, { default_pool_size: 1 });
    const early = await comparison.pooled();
    assert.notEqual(early.parameters.get('TimeZone'), 'Asia/Tokyo');
    await comparison.ask("ALTER SYSTEM SET TimeZone = 'Asia/Tokyo'");
    await comparison.ask('SELECT pg_reload_conf()');
    await eventually(async () => {
      const late = await comparison.pooled();
      const told = late.parameters.get('TimeZone');
      await late.end();
      return told === 'Asia/Tokyo';
    });
    for (const client of [early, await comparison.pooled()]) {
      assert.deepEqual(await look(client, 'SHOW TimeZone'), [['Asia/Tokyo']]);
      await run(client, "SET TimeZone = 'Europe/Rome'", 'simple');
      await run(client, 'RESET TimeZone', 'simple');
      assert.deepEqual(await look(client, 'SHOW TimeZone'), [['Asia/Tokyo']]);
      await client.end();
    }
  });

  /** What has pgmirror do something of its own on the server connection first, and answers with the setting. */
  const asked: readonly { own: string; sql: string }[] = [
    {
      own: 'forgetting what sequences gave another client',
      sql: "SELECT current_setting('TimeZone') WHERE true OR lastval() = 1",
    },
    { own: 'showing SQL the statements of the client', sql: 'EXECUTE s' },
  ];
  for (const { own, sql } of asked) {
    it(`is told before it is seen, though pgmirror meets it while ${own}`, async (t) => {
      const comparison = await Comparison.start(inReverse(t), server, { default_pool_size: 1 });
      await comparison.prepare('CREATE SEQUENCE numbers');
      const other = await comparison.pooled();
      const zones = ['Asia/Tokyo', 'Europe/Rome', 'America/Lima'];
      const answer = await eventually(async () => {
        const client = await comparison.pooled();
        const zone = zones.find((one) => one !== client.parameters.get('TimeZone'));
        zones.push(zones.shift() ?? '');
        client.send(parse('s', "SELECT current_setting('TimeZone')"), sync);
        await client.expect('1', 'Z');
        await other.query("SELECT nextval('numbers')");
        await comparison.ask(`ALTER SYSTEM SET TimeZone = '${zone}'`);
        await comparison.ask('SELECT pg_reload_conf()');
        await eventually(async () => (await comparison.ask('SHOW TimeZone'))[0]?.TimeZone === zone);
        const messages = await client.query(sql);
        await client.end();
        const seen = messages.filter(({ type }) => type === 'D').map(rowValues);
        // Otherwise the server connection was told of it after it was asked.
        return seen[0]?.[0] === zone && messages;
      });
      const [zone] = answer.filter(({ type }) => type === 'D').map(rowValues);
      assert.equal(answer.map(({ type }) => type).join(''), 'STDCZ');
      assert.equal(answer[0]?.body.toString(), `TimeZone\0${zone?.[0]}\0`);
      await other.end();
    });
  }
});

async function run(client: WireClient, sql: string, protocol: 'simple' | 'extended'): Promise<void> {
  client.send(protocol === 'simple' ? query(sql) : Buffer.concat([parse('', sql), bind('', ''), execute(''), sync]));
  const messages = await client.readUntil('Z');
  const error = messages.find(({ type }) => type === 'E');
  assert.equal(error === undefined ? '' : errorFields(error).M, '');
}

async function look(client: WireClient, sql: string): Promise<(string | null)[][]> {
  const messages = await client.query(sql);
  const error = messages.find(({ type }) => type === 'E');
  assert.equal(error === undefined ? '' : errorFields(error).M, '');
  return messages.filter(({ type }) => type === 'D').map(rowValues);
}

async function runNamed(client: WireClient, name: string): Promise<(string | null)[]> {
  client.send(bind('', name), execute(''), sync);
  const [, row] = await client.expect('2', 'D', 'C', 'Z');
  return row === undefined ? [] : rowValues(row);
}

/** Has each client prepare the same text, and all run it, twice in turn: the row of each run. */
async function runInTurn(clients: readonly WireClient[], text: string): Promise<(string | null)[][]> {
  for (const client of clients) {
    client.send(parse('s', text), sync);
    await client.expect('1', 'Z');
  }
  const values: (string | null)[][] = [];
  for (const client of [...clients, ...clients]) values.push(await runNamed(client, 's'));
  return values;
}
