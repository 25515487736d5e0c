import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import {
  bind,
  close,
  commandComplete,
  cstr,
  dataRow,
  describe as describeMessage,
  errorResponse,
  execute,
  flush,
  int16,
  int32,
  msg,
  parameterStatus,
  parse,
  query,
  readyForQuery,
  rowDescription,
  sync,
} from '../support/bytes.ts';
import { eventually } from '../support/eventually.ts';
import { RequestFlag } from '../../src/mirror/record/record-stream.ts';
import { RecordingBench, requestsOf } from '../mirror/record/recording-bench.ts';
import { openBackend, received, RelayBench } from './relay-bench.ts';
import type { Backend } from './relay-bench.ts';

const [PARSED, BOUND, CLOSED, NO_DATA] = ['1', '2', '3', 'n'].map((type) => msg(type)) as [
  Buffer,
  Buffer,
  Buffer,
  Buffer,
];
const READY = readyForQuery('I');
const NO_PARAMETERS = msg('t', int16(0));
const ROW = rowDescription('a');
/** What the server says to the Describe with which pgmirror learns a statement's shape. */
const SHAPE = Buffer.concat([NO_PARAMETERS, ROW]);

/** How a statement comes to a server: what may be there under its name is closed, and its shape is asked for. */
function setUp(name: string, text = 'select 1'): Buffer {
  return Buffer.concat([close('S', name), parse(name, text), describeMessage('S', name)]);
}

/** What the server answers to that. */
const SET_UP = Buffer.concat([CLOSED, PARSED, SHAPE]);

async function start(t: TestContext, options: Parameters<typeof RelayBench.start>[1] = {}) {
  const backend = await openBackend(t);
  const bench = await RelayBench.start(t, { baseline: backend.server.state.baseline.entries, ...options });
  bench.use(backend);
  return { bench, backend };
}

/** The client prepares `select 1` as `a`, and everybody confirms. */
async function prepared(bench: RelayBench, backend: Backend, poolName = 'pm_1'): Promise<void> {
  bench.send(parse('a', 'select 1'), sync);
  await received(backend, setUp(poolName, 'select 1'), sync);
  backend.peer.send(SET_UP, READY);
  await bench.told(PARSED, READY);
  await bench.quiet();
}

/** COPY FROM STDIN in the extended flow with a Sync before its data, which come in the same write or when they are asked for. */
async function copyAfterSync(bench: RelayBench, backend: Backend, atOnce: boolean): Promise<void> {
  const head = [parse('', 'copy t from stdin'), bind('', ''), execute(''), sync];
  const data = [msg('d', Buffer.from('1\n')), msg('c')];
  const begun = [PARSED, BOUND, msg('G', Buffer.from([0, 0, 0]))];
  bench.send(...head, ...(atOnce ? [...data, sync] : []));
  backend.peer.send(...begun);
  await bench.told(...begun);
  if (!atOnce) bench.send(...data, sync);
  // How the COPY ends decides which Sync is answered: the second is sent when that is known.
  await received(backend, ...head, ...data, flush);
  backend.peer.send(commandComplete('COPY 1'));
  await received(backend, sync);
  backend.peer.send(READY);
  await bench.told(commandComplete('COPY 1'), READY);
  await bench.quiet();
}

describe('the simple query flow', () => {
  it('passes in both directions as it is', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(query('select 1; select 2'));
    await received(backend, query('select 1; select 2'));
    const answer = [
      ROW,
      dataRow('1'),
      commandComplete('SELECT 1'),
      ROW,
      dataRow('2'),
      commandComplete('SELECT 1'),
      READY,
    ];
    backend.peer.send(...answer);
    await bench.told(...answer);
    await bench.quiet();
    assert.equal(bench.progress, 1);
  });

  it('passes the same wherever the answer is split', async (t) => {
    const { bench, backend } = await start(t);
    const answer = Buffer.concat([
      ROW,
      dataRow('1', null),
      msg('N', Buffer.from('x\0')),
      commandComplete('SELECT 1'),
      READY,
    ]);
    for (let at = 0; at <= answer.length; at++) {
      bench.send(query('select 1'));
      await received(backend, query('select 1'));
      // The relay is given the parts in two calls, as a socket would that reads them one by one.
      bench.answers.bytes(backend.server, Buffer.from(answer.subarray(0, at)));
      bench.answers.bytes(backend.server, Buffer.from(answer.subarray(at)));
      await bench.told(answer);
      assert.ok(bench.link.answers.quiet && bench.answers.atMessageStart, `split at ${at}`);
    }
  });

  it('passes the same byte by byte', async (t) => {
    const { bench, backend } = await start(t);
    const answer = Buffer.concat([ROW, dataRow('1'), errorResponse('22012', 'division by zero'), readyForQuery('E')]);
    bench.send(query('select 1/0'));
    await received(backend, query('select 1/0'));
    for (const byte of answer) bench.answers.bytes(backend.server, Buffer.from([byte]));
    await bench.told(answer);
    assert.deepEqual([backend.server.status, bench.link.answers.quiet], [0x45, true]);
  });

  it('has results of a FunctionCall and notices pass in pieces, before they are whole', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(msg('F', int32(1), int16(0), int16(0), int16(0)));
    const answer = Buffer.concat([
      msg('N', cstr('Snotice'), cstr(`M${'x'.repeat(300_000)}`), Buffer.from([0])),
      msg('V', int32(300_000), Buffer.alloc(300_000)),
      READY,
    ]);
    let told = 0;
    for (let at = 0; at < answer.length; at += 70_001) {
      bench.answers.bytes(backend.server, Buffer.from(answer.subarray(at, at + 70_001)));
      const upTo = Math.min(at + 70_001, answer.length);
      if (answer.length - upTo >= READY.length || upTo === answer.length) {
        assert.deepEqual(await bench.client.readBytes(upTo - told), answer.subarray(told, upTo));
        told = upTo;
      }
    }
    assert.equal(told, answer.length);
    assert.ok(bench.link.answers.quiet && bench.answers.atMessageStart);
  });

  it('is told of again when a message behind its end is whole, for only then can anybody go on', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(query('select 1'));
    const reported = parameterStatus('TimeZone', 'UTC');
    bench.answers.bytes(backend.server, Buffer.concat([commandComplete('SELECT 1'), READY, reported.subarray(0, 7)]));
    assert.deepEqual([bench.progress, bench.answers.atMessageStart], [1, false]);
    bench.answers.bytes(backend.server, Buffer.from(reported.subarray(7)));
    assert.deepEqual([bench.progress, bench.answers.atMessageStart], [2, true]);
    bench.answers.bytes(backend.server, Buffer.from(reported));
    assert.equal(bench.progress, 2);
  });

  it('takes FATAL and PANIC for the last words of a server, in whatever language', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(query('select 1'));
    for (const severity of ['FATAL', 'PANIC']) {
      const message = msg(
        'E',
        cstr('SVOLLER PANIK'),
        cstr(`V${severity}`),
        cstr('CXX000'),
        cstr('M'),
        Buffer.from([0]),
      );
      bench.answers.bytes(backend.server, message);
      await bench.told(message);
      assert.ok(bench.answers.fatal);
      bench.answers.bytes(backend.server, errorResponse('22012', 'division by zero'));
      assert.ok(!bench.answers.fatal);
      await bench.told(errorResponse('22012', 'division by zero'));
    }
  });

  it('has long rows pass in pieces, before they are whole', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(query('select repeat'));
    const row = dataRow('x'.repeat(300_000));
    bench.answers.bytes(backend.server, Buffer.from(row.subarray(0, 100_000)));
    await bench.client.readBytes(100_000);
    bench.answers.bytes(backend.server, Buffer.from(row.subarray(100_000, 200_000)));
    bench.answers.bytes(backend.server, Buffer.concat([row.subarray(200_000), commandComplete('SELECT 1'), READY]));
    await bench.told(row.subarray(100_000), commandComplete('SELECT 1'), READY);
    assert.ok(bench.link.answers.quiet);
  });

  it('has a long Query pass in pieces', async (t) => {
    const { bench, backend } = await start(t);
    const long = query(`select '${'x'.repeat(200_000)}'`);
    for (let at = 0; at < long.length; at += 30_000) bench.send(long.subarray(at, at + 30_000));
    await received(backend, long);
    backend.peer.send(commandComplete('SELECT 1'), READY);
    await bench.told(commandComplete('SELECT 1'), READY);
    await bench.quiet();
  });

  it('is that of a FunctionCall', async (t) => {
    const { bench, backend } = await start(t);
    const call = msg('F', int32(1), int16(0), int16(0), int16(0));
    bench.send(call);
    await received(backend, call);
    backend.peer.send(msg('V', int32(-1)), READY);
    await bench.told(msg('V', int32(-1)), READY);
    await bench.quiet();
  });

  it('holds back what is beyond the requests that may be in flight', async (t) => {
    const { bench, backend } = await start(t, { maxPipelineDepth: 2 });
    bench.send(query('a'), query('b'), query('c'));
    await received(backend, query('a'), query('b'));
    assert.ok(bench.blocked);
    backend.peer.send(commandComplete('A'), READY);
    await received(backend, query('c'));
    assert.equal(bench.blocked, false);
  });
});

describe('the extended query flow without names', () => {
  it('passes in both directions as it is, P D H before B E S, too', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(parse('', 'select $1', 23), describeMessage('S', ''), flush);
    await received(backend, parse('', 'select $1', 23), describeMessage('S', ''), flush);
    backend.peer.send(PARSED, msg('t', int16(1), int32(23)), ROW);
    await bench.told(PARSED, msg('t', int16(1), int32(23)), ROW);
    assert.equal(bench.link.answers.quiet, false, 'the Sync has not been sent');
    bench.send(bind('', '', '1'), execute(''), sync);
    await received(backend, bind('', '', '1'), execute(''), sync);
    backend.peer.send(BOUND, dataRow('1'), commandComplete('SELECT 1'), READY);
    await bench.told(BOUND, dataRow('1'), commandComplete('SELECT 1'), READY);
    await bench.quiet();
  });

  it('knows when a text was read otherwise than was thought, behind a SET that was sent together with it', async (t) => {
    const { bench, backend } = await start(t);
    const settled = [PARSED, READY];
    for (const [first, answer, unclean] of [
      [query('select 1'), [commandComplete('SELECT 1')], false],
      [query("set TimeZone = 'Asia/Tokyo'"), [commandComplete('SET'), parameterStatus('TimeZone', 'Asia/Tokyo')], true],
    ] as const) {
      bench.send(first, close('S', 'a'), parse('a', "select timestamptz '2024-01-01'"), sync);
      backend.peer.send(...answer, READY, CLOSED, CLOSED, PARSED, SHAPE, READY);
      await bench.told(...answer, READY, CLOSED, ...settled);
      await bench.quiet();
      assert.equal(backend.server.state.unclean, unclean);
    }
  });

  it('knows what a portal runs as long as its transaction lasts', async (t) => {
    const { bench, backend } = await start(t);
    const runs = Buffer.concat([execute('p'), sync]);
    const ran = Buffer.concat([commandComplete('SET'), READY]);
    for (const [text, status] of [
      ["set my.known = 'x'", 'T'],
      ["set my.unknown = 'x'", 'I'],
    ] as const) {
      const opens = Buffer.concat([parse('', text), bind('p', ''), sync]);
      bench.send(opens);
      await received(backend, opens);
      backend.peer.send(PARSED, BOUND, readyForQuery(status));
      await bench.told(PARSED, BOUND, readyForQuery(status));
      bench.send(runs);
      await received(backend, runs);
      backend.peer.send(ran);
      await bench.told(ran);
      await bench.quiet();
    }
    assert.deepEqual([...bench.link.watch.parameters], ['my.known']);
  });

  it('tells portals apart by as much of their names as PostgreSQL does', async (t) => {
    const { bench, backend } = await start(t);
    const name = 'p'.repeat(63);
    bench.send(parse('', "set my.known = 'x'"), bind(`${name}a`, ''), execute(`${name}b`), sync);
    backend.peer.send(PARSED, BOUND, commandComplete('SET'), readyForQuery('T'));
    await bench.told(PARSED, BOUND, commandComplete('SET'), readyForQuery('T'));
    await bench.quiet();
    assert.deepEqual([...bench.link.watch.parameters], ['my.known']);
  });

  it('may page through a portal with Flush', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(parse('', 'select'), bind('p', ''), execute('p', 2), flush);
    backend.peer.send(PARSED, BOUND, dataRow('1'), dataRow('2'), msg('s'));
    await bench.told(PARSED, BOUND, dataRow('1'), dataRow('2'), msg('s'));
    bench.send(execute('p', 2), close('P', 'p'), sync);
    await received(
      backend,
      parse('', 'select'),
      bind('p', ''),
      execute('p', 2),
      flush,
      execute('p', 2),
      close('P', 'p'),
      sync,
    );
    backend.peer.send(dataRow('3'), commandComplete('SELECT 1'), CLOSED, READY);
    await bench.told(dataRow('3'), commandComplete('SELECT 1'), CLOSED, READY);
    await bench.quiet();
  });

  it('has everything behind an error skipped to its Sync, also what is sent later', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(parse('', 'x'), bind('', ''));
    backend.peer.send(errorResponse('42601', 'syntax error'));
    await bench.told(errorResponse('42601', 'syntax error'));
    bench.send(execute(''), query('select 1'), describeMessage('P', ''), sync);
    await received(backend, parse('', 'x'), bind('', ''), sync);
    backend.peer.send(READY);
    await bench.told(READY);
    await bench.quiet();
  });

  it('has an empty query and a Describe without rows answered', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(parse('', ''), describeMessage('S', ''), bind('', ''), execute(''), sync);
    const answer = [PARSED, NO_PARAMETERS, NO_DATA, BOUND, msg('I'), READY];
    backend.peer.send(...answer);
    await bench.told(...answer);
    await bench.quiet();
  });

  it("uses the client's own unnamed statement on another server connection", async (t) => {
    const { bench, backend } = await start(t);
    bench.send(parse('', 'select $1', 23), sync);
    backend.peer.send(PARSED, READY);
    await bench.told(PARSED, READY);
    await bench.quiet();
    bench.leave();
    const other = await openBackend(t);
    bench.use(other);
    bench.send(bind('', '', '1'), execute(''), sync);
    await received(other, parse('', 'select $1', 23), bind('', '', '1'), execute(''), sync);
    other.peer.send(PARSED, BOUND, commandComplete('SELECT 0'), READY);
    await bench.told(BOUND, commandComplete('SELECT 0'), READY);
    await bench.quiet();
  });

  it("never uses another client's unnamed statement: there is none, and the server says so", async (t) => {
    const { bench, backend } = await start(t);
    backend.server.state.unnamedOwner = {};
    bench.send(bind('', ''), execute(''), sync);
    await received(backend, close('S', ''), bind('', ''), execute(''), sync);
    const error = errorResponse('26000', 'unnamed prepared statement does not exist');
    backend.peer.send(CLOSED, error, READY);
    await bench.told(error, READY);
    await bench.quiet();
  });

  it('has no unnamed statement any more after a Parse that failed, or a simple query', async (t) => {
    for (const spoil of ['parse', 'query'] as const) {
      const { bench, backend } = await start(t);
      bench.send(parse('', 'select 1'), sync);
      backend.peer.send(PARSED, READY);
      await bench.told(PARSED, READY);
      bench.send(...(spoil === 'parse' ? [parse('', 'x'), sync] : [query('x')]));
      backend.peer.send(errorResponse('42601', 'syntax error'), READY);
      await bench.told(errorResponse('42601', 'syntax error'), READY);
      await bench.quiet();
      bench.leave();
      const other = await openBackend(t);
      bench.use(other);
      bench.send(bind('', ''), sync);
      await received(other, close('S', ''), bind('', ''), sync);
    }
  });
});

describe('a named statement', () => {
  it('has one name on every server, and the client sees its own answers alone', async (t) => {
    const { bench, backend } = await start(t);
    await prepared(bench, backend);
    bench.send(bind('', 'a', '7'), execute(''), describeMessage('S', 'a'), sync);
    await received(backend, bind('', 'pm_1', '7'), execute(''), describeMessage('S', 'pm_1'), sync);
    const answer = [BOUND, commandComplete('SELECT 0'), NO_PARAMETERS, ROW, READY];
    backend.peer.send(...answer);
    await bench.told(...answer);
    await bench.quiet();
  });

  it('may be parsed, bound and run in one segment', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(parse('a', 'select 1'), bind('p', 'a'), execute('p'), close('P', 'p'), sync);
    await received(
      backend,
      ...[setUp('pm_1', 'select 1')],
      ...[bind('p', 'pm_1'), execute('p'), close('P', 'p'), sync],
    );
    backend.peer.send(SET_UP, BOUND, commandComplete('SELECT 0'), CLOSED, READY);
    await bench.told(PARSED, BOUND, commandComplete('SELECT 0'), CLOSED, READY);
    await bench.quiet();
  });

  it('is prepared and described on a server that lacks it before it is used there', async (t) => {
    const { bench, backend } = await start(t);
    await prepared(bench, backend);
    bench.leave();
    const other = await openBackend(t);
    bench.use(other);
    bench.send(bind('', 'a'), execute(''), sync);
    await received(other, setUp('pm_1', 'select 1'), flush);
    assert.ok(bench.blocked);
    other.peer.send(SET_UP);
    await received(other, bind('', 'pm_1'), execute(''), sync);
    other.peer.send(BOUND, commandComplete('SELECT 0'), READY);
    await bench.told(BOUND, commandComplete('SELECT 0'), READY);
    await bench.quiet();
    bench.send(bind('', 'a'), sync);
    await received(other, bind('', 'pm_1'), sync);
  });

  it('that cannot be prepared there any more fails with one error in the place of the first answer', async (t) => {
    const { bench, backend } = await start(t);
    await prepared(bench, backend);
    bench.leave();
    const other = await openBackend(t);
    bench.use(other);
    bench.send(bind('', 'a'), execute(''), sync);
    await received(other, setUp('pm_1', 'select 1'), flush);
    const error = errorResponse('42P01', 'relation "t" does not exist');
    other.peer.send(CLOSED, error);
    await bench.told(error);
    await received(other, sync);
    other.peer.send(READY);
    await bench.told(READY);
    await bench.quiet();
  });

  it('whose result has another shape by now is refused as PostgreSQL does, again and again', async (t) => {
    const { bench, backend } = await start(t);
    await prepared(bench, backend);
    bench.leave();
    const other = await openBackend(t);
    bench.use(other);
    const changed = Buffer.concat([NO_PARAMETERS, rowDescription('a', 'b')]);
    for (let attempt = 0; attempt < 2; attempt++) {
      bench.send(bind('', 'a'), execute(''), sync);
      await received(other, setUp('pm_1'), flush);
      other.peer.send(CLOSED, PARSED, changed);
      await received(other, bind('', 'pm_absent'), execute(''), sync);
      other.peer.send(errorResponse('26000', 'prepared statement "pm_absent" does not exist'), READY);
      const [error, ready] = await bench.client.expect('E', 'Z');
      const text = error!.body.toString();
      assert.ok(text.includes('\0C0A000\0Mcached plan must not change result type\0'), text);
      assert.equal(ready!.body.toString(), 'I');
      await bench.quiet();
    }
    bench.send(close('S', 'a'), parse('a', 'select 1'), bind('', 'a'), execute(''), sync);
    const messages = await other.peer.expect('C', 'C', 'P', 'D', 'B', 'E', 'S');
    assert.deepEqual(messages.at(4)!.bytes, bind('', 'pm_1'));
    other.peer.send(CLOSED, CLOSED, PARSED, changed, BOUND, commandComplete('SELECT 0'), READY);
    await bench.told(CLOSED, PARSED, BOUND, commandComplete('SELECT 0'), READY);
    await bench.quiet();
  });

  it('that is closed stays on the server, and is unknown to the client', async (t) => {
    const { bench, backend } = await start(t);
    await prepared(bench, backend);
    bench.send(close('S', 'a'), sync);
    await received(backend, close('S', 'pm_absent'), sync);
    backend.peer.send(CLOSED, READY);
    await bench.told(CLOSED, READY);
    await bench.quiet();
    bench.send(bind('', 'a'), sync);
    await received(backend, bind('', 'a'), sync);
    assert.equal(bench.link.statements.size, 0);
  });

  it('of a name that pgmirror might have given is never found on the server', async (t) => {
    const { bench, backend } = await start(t);
    await prepared(bench, backend);
    bench.send(bind('', 'pm_1'), describeMessage('S', 'pm_2'), close('S', 'pm_3'), sync);
    await received(backend, bind('', 'pm_absent'), describeMessage('S', 'pm_absent'), close('S', 'pm_absent'), sync);
  });

  it('parsed again is refused by the server, in the words of the client', async (t) => {
    const { bench, backend } = await start(t);
    await prepared(bench, backend);
    bench.send(parse('a', 'select 2'), bind('', 'a'), sync);
    await received(backend, parse('pm_1', 'select 2'), bind('', 'pm_1'), sync);
    backend.peer.send(errorResponse('42P05', 'prepared statement "pm_1" already exists'), READY);
    await bench.told(errorResponse('42P05', 'prepared statement "a" already exists'), READY);
    await bench.quiet();
    bench.send(bind('', 'a'), sync);
    await received(backend, bind('', 'pm_1'), sync);
  });

  it('whose Parse failed leaves no trace', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(parse('a', 'select 1'), bind('', 'a'), execute(''), sync);
    await received(backend, setUp('pm_1', 'select 1'), bind('', 'pm_1'), execute(''), sync);
    backend.peer.send(CLOSED, errorResponse('42P01', 'relation "t" does not exist'), READY);
    await bench.told(errorResponse('42P01', 'relation "t" does not exist'), READY);
    await bench.quiet();
    assert.deepEqual([bench.link.statements.size, bench.registry.size, backend.server.state.prepared.size], [0, 0, 0]);
    await prepared(bench, backend, 'pm_2');
  });

  it('in a pipeline waits where what it means is not known yet', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(parse('a', 'select 1'), sync, bind('', 'a'), execute(''), sync);
    await received(backend, setUp('pm_1', 'select 1'), sync);
    assert.ok(bench.blocked);
    backend.peer.send(SET_UP, READY);
    await received(backend, bind('', 'pm_1'), execute(''), sync);
    backend.peer.send(BOUND, commandComplete('SELECT 0'), READY);
    await bench.told(PARSED, READY, BOUND, commandComplete('SELECT 0'), READY);
    await bench.quiet();
  });

  it('makes room for another where the server has too many: the one used least recently goes', async (t) => {
    const { bench, backend } = await start(t, { preparedLimit: 1 });
    await prepared(bench, backend);
    bench.send(parse('b', 'select 2'), sync);
    await received(backend, close('S', 'pm_1'), setUp('pm_2', 'select 2'), sync);
    backend.peer.send(CLOSED, SET_UP, READY);
    await bench.told(PARSED, READY);
    await bench.quiet();
    const [two, one] = ['select 2', 'select 1'].map((text) => bench.registry.acquire(Buffer.from(`${text}\0\0\0`)));
    const { prepared: there } = backend.server.state;
    assert.deepEqual([there.size, there.has(two!), there.has(one!)], [1, true, false]);
  });

  it('too many in bytes is refused, and the client goes on', async (t) => {
    const { bench, backend } = await start(t, { preparedBytes: 540 });
    await prepared(bench, backend);
    bench.send(parse('b', 'select 2, 3, 4'), bind('', 'b'), sync);
    const messages = await backend.peer.expect('B', 'B', 'S');
    assert.match(messages[0]!.body.toString(), /pm_absent/);
    backend.peer.send(errorResponse('26000', 'prepared statement "pm_absent" does not exist'), READY);
    const [error] = await bench.client.expect('E', 'Z');
    assert.match(error!.body.toString(), /\0C54000\0Mtoo many prepared statements/);
    await bench.quiet();
  });

  it('too many without texts to speak of is refused as well', async (t) => {
    const { bench, backend } = await start(t, { preparedBytes: 1_000 });
    await prepared(bench, backend);
    bench.send(parse('b', ''), sync);
    await backend.peer.expect('B', 'S');
    backend.peer.send(errorResponse('26000', 'prepared statement "pm_absent" does not exist'), READY);
    const [error] = await bench.client.expect('E', 'Z');
    assert.match(error!.body.toString(), /\0C54000\0Mtoo many prepared statements/);
    await bench.quiet();
  });

  it('is not looked at where prepared statements are not followed', async (t) => {
    const { bench, backend } = await start(t, { prepared: false });
    const messages = [parse('a', 'select 1'), bind('', 'a'), describeMessage('S', 'a'), close('S', 'a'), sync];
    bench.send(...messages);
    await received(backend, ...messages);
  });

  it('is gone after DEALLOCATE ALL, and that of another client is not', async (t) => {
    const { bench, backend } = await start(t);
    await prepared(bench, backend);
    const other = await RelayBench.start(t, { registry: bench.registry });
    bench.send(query('deallocate all'));
    backend.peer.send(commandComplete('DEALLOCATE ALL'), READY);
    await bench.told(commandComplete('DEALLOCATE ALL'), READY);
    await bench.quiet();
    assert.deepEqual([bench.link.statements.size, backend.server.state.prepared.size], [0, 0]);
    assert.equal(other.link.statements.size, 0);
  });

  it('is deallocated by SQL under the name that it has on the server', async (t) => {
    const { bench, backend } = await start(t);
    await prepared(bench, backend);
    await backend.peer.readBytes(0);
    bench.send(query('DEALLOCATE a'));
    await received(backend, query('DEALLOCATE "pm_1"'));
    backend.peer.send(commandComplete('DEALLOCATE'), READY);
    await bench.told(commandComplete('DEALLOCATE'), READY);
    await bench.quiet();
    assert.deepEqual([bench.link.statements.size, backend.server.state.prepared.size], [0, 0]);
  });
});

describe('COPY', () => {
  it('FROM STDIN ends with the ReadyForQuery of its Query', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(query('copy t from stdin'));
    backend.peer.send(msg('G', Buffer.from([0, 0, 0])));
    await bench.told(msg('G', Buffer.from([0, 0, 0])));
    bench.send(msg('d', Buffer.from('1\n')), msg('c'));
    await received(backend, query('copy t from stdin'), msg('d', Buffer.from('1\n')), msg('c'));
    backend.peer.send(commandComplete('COPY 1'), READY);
    await bench.told(commandComplete('COPY 1'), READY);
    await bench.quiet();
  });

  it('FROM STDIN that fails before its end leaves nothing behind, and late data goes nowhere', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(query('copy t from stdin'));
    backend.peer.send(msg('G', Buffer.from([0, 0, 0])), errorResponse('22P02', 'invalid input'), READY);
    await bench.told(msg('G', Buffer.from([0, 0, 0])), errorResponse('22P02', 'invalid input'), READY);
    await bench.quiet();
    bench.send(msg('d', Buffer.from('1\n')), msg('c'), query('select 1'));
    await received(backend, query('copy t from stdin'), query('select 1'));
    backend.peer.send(commandComplete('SELECT 1'), READY);
    await bench.told(commandComplete('SELECT 1'), READY);
    await bench.quiet();
  });

  it('FROM STDIN in the extended flow, with a Sync before its data, yields one ReadyForQuery', async (t) => {
    for (const atOnce of [false, true]) {
      const { bench, backend } = await start(t);
      await copyAfterSync(bench, backend, atOnce);
    }
  });

  it('FROM STDIN that fails behind a Sync amid its data: the server is asked which Syncs it answers', async (t) => {
    const [G, E] = [msg('G', Buffer.from([0, 0, 0])), errorResponse('22P02', 'invalid input')];
    const question = [sync, close('P', 'pgmirror'), sync];
    for (const answered of [true, false]) {
      const { bench, backend } = await start(t);
      const head = [parse('', 'copy t from stdin'), bind('', ''), execute(''), sync];
      bench.send(...head);
      backend.peer.send(PARSED, BOUND, G);
      await bench.told(PARSED, BOUND, G);
      bench.send(msg('d', Buffer.from('x\n')), sync, msg('c'), query('select 1'));
      await received(backend, ...head, msg('d', Buffer.from('x\n')), sync, msg('c'), flush);
      backend.peer.send(E);
      await received(backend, ...question);
      backend.peer.send(...(answered ? [READY, READY] : []), READY, CLOSED, READY);
      if (answered) {
        await bench.told(E, READY, READY);
        await received(backend, query('select 1'));
        backend.peer.send(commandComplete('SELECT 1'), READY);
        await bench.told(commandComplete('SELECT 1'), READY);
      } else {
        await bench.told(E);
        bench.send(sync);
        await received(backend, sync);
        backend.peer.send(READY);
        await bench.told(READY);
      }
      await bench.quiet();
    }
  });

  it('TO STDOUT passes in pieces', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(query('copy t to stdout'));
    const answer = [
      msg('H', Buffer.from([0, 0, 0])),
      msg('d', Buffer.alloc(100_000, 'x')),
      msg('c'),
      commandComplete('COPY 1'),
      READY,
    ];
    backend.peer.send(...answer);
    await bench.told(...answer);
    await bench.quiet();
  });
});

describe('what the server reports', () => {
  it('is passed on and followed: a setting belongs to the client and is on the server', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(query("set timezone to 'Asia/Tokyo'"));
    backend.peer.send(commandComplete('SET'), parameterStatus('TimeZone', 'Asia/Tokyo'), READY);
    await bench.told(commandComplete('SET'), parameterStatus('TimeZone', 'Asia/Tokyo'), READY);
    await bench.quiet();
    assert.deepEqual([...bench.link.settings.entries], [['timezone', 'Asia/Tokyo']]);
    assert.deepEqual([...backend.server.state.applied.entries], [['timezone', 'Asia/Tokyo']]);
    bench.send(query('reset timezone'));
    backend.peer.send(commandComplete('RESET'), parameterStatus('TimeZone', 'UTC'), READY);
    await bench.told(commandComplete('RESET'), parameterStatus('TimeZone', 'UTC'), READY);
    await bench.quiet();
    assert.deepEqual([bench.link.settings.key, backend.server.state.applied.key], ['', '']);
  });

  it("is nobody else's where it cannot be set", async (t) => {
    const { bench, backend } = await start(t);
    bench.send(query('select 1'));
    backend.peer.send(parameterStatus('in_hot_standby', 'on'), commandComplete('SELECT 1'), READY);
    await bench.quiet();
    assert.deepEqual([bench.link.settings.key, bench.link.reported.entries.get('in_hot_standby')], ['', 'on']);
  });
});

describe('a server that breaks the protocol', () => {
  const cases: readonly (readonly [string, readonly Buffer[], Buffer])[] = [
    ['a length that cannot be', [query('a')], Buffer.from('Z\0\0\0\x03I')],
    ['a length beyond every limit', [query('a')], Buffer.from('D\x7f\xff\xff\xff', 'latin1')],
    ['an unknown type', [query('a')], msg('~')],
    ['an authentication request', [query('a')], msg('R', int32(0))],
    ['CopyBothResponse', [query('a')], msg('W', Buffer.from([0, 0, 0]))],
    ['a ReadyForQuery that nobody asked for', [], READY],
    ['a ReadyForQuery before the Sync', [parse('', 'a')], READY],
    ['BindComplete for a Parse', [parse('', 'a'), sync], BOUND],
    ['ParseComplete for a Query', [query('a')], PARSED],
    ['CloseComplete for a Bind', [bind('', ''), sync], CLOSED],
    ['a ParameterStatus without a value', [query('a')], msg('S', cstr('TimeZone'))],
  ];
  for (const [what, messages, answer] of cases) {
    it(`is found out: ${what}`, async (t) => {
      const { bench, backend } = await start(t);
      backend.server.state.unnamedOwner = bench.link;
      bench.send(...messages);
      bench.answers.bytes(backend.server, answer);
      assert.equal(bench.broken?.name, 'ProtocolError');
      assert.equal(bench.client.unread.length, 0);
    });
  }

  it('is not one that says FATAL: that is passed on, and noted', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(query('a'));
    const fatal = errorResponse('57P01', 'terminating connection due to administrator command', 'FATAL');
    backend.peer.send(fatal);
    await bench.told(fatal);
    assert.deepEqual([bench.answers.fatal, bench.broken], [true, undefined]);
  });
});

describe('a client that does not read', () => {
  it('has its server paused, once for each chunk that is queued', async (t) => {
    const { bench, backend } = await start(t);
    bench.client.socket.pause();
    bench.send(query('select'));
    const row = dataRow('x'.repeat(60_000));
    for (let sent = 0; sent < 1_000 && bench.slow === 0; sent++) bench.answers.bytes(backend.server, Buffer.from(row));
    assert.equal(bench.slow, 1);
  });

  it('and is gone gets nothing, while the answer is followed to its end', async (t) => {
    const { bench, backend } = await start(t);
    bench.send(query('select'));
    bench.link.clientGone = true;
    backend.peer.send(dataRow('1'), commandComplete('SELECT 1'), READY);
    await bench.quiet();
    assert.equal(bench.client.unread.length, 0);
  });
});

describe('what is recorded', () => {
  async function recorded(t: TestContext) {
    const recording = await RecordingBench.start(t);
    const { recorder } = recording.client();
    return { recording, recorder, ...(await start(t, { recorder, registry: recording.registry })) };
  }

  it('is what the source received: with its names, without what pgmirror added', async (t) => {
    const { recording, bench, backend } = await recorded(t);
    await prepared(bench, backend);
    bench.send(bind('', 'a'), execute(''), sync);
    backend.peer.send(BOUND, commandComplete('SELECT 1'), READY);
    await bench.told(BOUND, commandComplete('SELECT 1'), READY);
    const [first, second] = await recording.mirror.received(2);
    assert.deepEqual(requestsOf(first!)[0]!.messages, Buffer.concat([parse('pm_1', 'select 1'), sync]));
    assert.deepEqual(requestsOf(second!)[0]!.messages, Buffer.concat([bind('', 'pm_1'), execute(''), sync]));
    assert.ok(recording.mirror.told.some((what) => what.startsWith('statement 1 pm_1 select 1')));
  });

  it("tells what the source skipped after an error, among messages of pgmirror's own", async (t) => {
    const { recording, bench, backend } = await recorded(t);
    bench.send(parse('a', 'select 1'), parse('b', 'x'), bind('', 'a'), execute(''), sync);
    backend.peer.send(SET_UP, CLOSED, errorResponse('42601', 'syntax error'), READY);
    await bench.quiet();
    const [request] = requestsOf((await recording.mirror.received(1))[0]!);
    assert.deepEqual([request!.types, request!.skipped, request!.sqlstate], ['PPBES', 'BE', '42601']);
  });

  it("tells what the source skipped where pgmirror's own message failed before it", async (t) => {
    const { recording, bench, backend } = await recorded(t);
    bench.send(parse('', 'select 1'), sync);
    backend.peer.send(PARSED, READY);
    await bench.told(PARSED, READY);
    await bench.quiet();
    bench.leave();
    const other = await openBackend(t);
    bench.use(other);
    bench.send(close('P', 'p'), bind('', ''), execute(''), sync);
    await received(other, close('P', 'p'), parse('', 'select 1'), bind('', ''), execute(''), sync);
    other.peer.send(CLOSED, errorResponse('42P01', 'relation "t" does not exist'), READY);
    await bench.quiet();
    const [, second] = await recording.mirror.received(2);
    assert.deepEqual(
      requestsOf(second!).map(({ types, skipped }) => [types, skipped]),
      [['CBES', 'BE']],
    );
  });

  it('is one request where a Query is skipped behind an error and its Sync comes later; the next stands alone', async (t) => {
    const { recording, bench, backend } = await recorded(t);
    const long = query(`select '${'x'.repeat(200_000)}'`);
    for (const skipped of [[query('a')], [query('a'), query('b')], [query('a'), long.subarray(0, 100_000)]]) {
      bench.send(parse('', 'x'), ...skipped);
      backend.peer.send(errorResponse('42601', 'syntax error'));
      await bench.told(errorResponse('42601', 'syntax error'));
      if (skipped[1] !== undefined && skipped[1].length === 100_000) bench.send(long.subarray(100_000));
      bench.send(sync);
      backend.peer.send(READY);
      await bench.told(READY);
      bench.send(query('select 1'));
      backend.peer.send(commandComplete('SELECT 1'), READY);
      await bench.told(commandComplete('SELECT 1'), READY);
    }
    const transactions = await recording.mirror.received(6);
    assert.deepEqual(
      transactions.map((transaction) => requestsOf(transaction).map(({ types, sqlstate }) => `${types} ${sqlstate}`)),
      [['PQS 42601'], ['Q '], ['PQQS 42601'], ['Q '], ['PQQS 42601'], ['Q ']],
    );
  });

  it('is one request for a malformed Flush behind a Sync, which the server refuses, up to the next Sync', async (t) => {
    const { recording, bench, backend } = await recorded(t);
    const refused = errorResponse('08P01', 'invalid message format');
    bench.send(query('select 1'), msg('H', cstr('x')));
    backend.peer.send(commandComplete('SELECT 1'), READY);
    await bench.told(commandComplete('SELECT 1'), READY);
    assert.equal(bench.link.answers.quiet, false, 'the server is not for anybody else');
    backend.peer.send(refused);
    await bench.told(refused);
    bench.send(query('select 2'), sync);
    await received(backend, query('select 1'), msg('H', cstr('x')), sync);
    backend.peer.send(READY);
    await bench.told(READY);
    await bench.quiet();
    const [, second] = await recording.mirror.received(2);
    assert.deepEqual(
      requestsOf(second!).map(({ types, sqlstate }) => [types, sqlstate]),
      [['HS', '08P01']],
    );
  });

  it('ends with a Sync where the source refused one for its body', async (t) => {
    const { recording, bench, backend } = await recorded(t);
    const sent = [parse('', 'select 1'), parse('', 'x'), bind('', ''), msg('S', cstr('HS'))];
    bench.send(...sent);
    await received(backend, ...sent);
    const errors = [errorResponse('42601', 'syntax error'), errorResponse('08P01', 'invalid message format')];
    backend.peer.send(PARSED, ...errors, READY);
    await bench.told(PARSED, ...errors, READY);
    await bench.quiet();
    const [request] = requestsOf((await recording.mirror.received(1))[0]!);
    assert.deepEqual([request!.types, request!.skipped, request!.sqlstate], ['PPBS', 'B', '42601']);
    assert.deepEqual(request!.messages, Buffer.concat([...sent.slice(0, -1), sync]));
  });

  it('is no simple request where a Query follows other messages, however it came', async (t) => {
    const { recording, bench, backend } = await recorded(t);
    await prepared(bench, backend);
    const long = query(`select '${'x'.repeat(100_000)}'`);
    for (const [tag, ...pieces] of [
      ['SELECT 1', query('select 1')],
      ['DEALLOCATE', query('deallocate a')],
      ['SELECT 1', long.subarray(0, 80_000), long.subarray(80_000)],
    ] as const) {
      bench.send(parse('', 'select 1'), bind('', ''), execute(''), pieces[0]);
      if (pieces[1] !== undefined) bench.send(pieces[1]);
      const answer = [PARSED, BOUND, commandComplete('SELECT 1'), commandComplete(tag), READY];
      backend.peer.send(...answer);
      await bench.told(...answer);
      await bench.quiet();
    }
    bench.send(long.subarray(0, 80_000));
    bench.send(long.subarray(80_000));
    backend.peer.send(commandComplete('SELECT 1'), READY);
    await bench.quiet();
    const transactions = await recording.mirror.received(5);
    assert.deepEqual(
      transactions
        .slice(1)
        .map((each) => requestsOf(each).map(({ types, flags }) => [types, flags & RequestFlag.Simple])),
      [...Array.from({ length: 3 }, () => [['PBEQ', 0]]), [['Q', RequestFlag.Simple]]],
    );
  });

  it('has what a transaction needs of the unnamed statement of an earlier one', async (t) => {
    const { recording, bench, backend } = await recorded(t);
    bench.send(parse('', 'select 1'), sync);
    backend.peer.send(PARSED, READY);
    await bench.told(PARSED, READY);
    await bench.quiet();
    bench.send(bind('', ''), execute(''), sync);
    backend.peer.send(BOUND, commandComplete('SELECT 1'), READY);
    await bench.quiet();
    const [, second] = await recording.mirror.received(2);
    assert.notEqual(second!.unnamedStatement, 0);
    assert.ok(recording.mirror.told.some((what) => what.startsWith(`statement ${second!.unnamedStatement} pm_`)));
  });

  it('is one request for a COPY whose Sync came before its data, and the next stands alone', async (t) => {
    for (const atOnce of [true, false]) {
      const { recording, bench, backend } = await recorded(t);
      await copyAfterSync(bench, backend, atOnce);
      bench.send(query('select 1'));
      backend.peer.send(commandComplete('SELECT 1'), READY);
      await bench.told(commandComplete('SELECT 1'), READY);
      const [copy, next] = await recording.mirror.received(2);
      assert.deepEqual(
        requestsOf(copy!).map(({ types }) => types),
        ['PBESdcS'],
        atOnce ? 'at once' : 'data later',
      );
      assert.deepEqual(
        requestsOf(next!).map(({ messages }) => messages),
        [query('select 1')],
      );
      recording.desk.flush();
      await eventually(() => recording.desk.unfinished === 2);
    }
  });

  it('is a block that is rolled back with the tag that the source gave', async (t) => {
    const { recording, bench, backend } = await recorded(t);
    for (const [text, tag, status] of [
      ['begin', 'BEGIN', 'T'],
      ['commit', 'ROLLBACK', 'I'],
    ] as const) {
      bench.send(query(text));
      backend.peer.send(commandComplete(tag), readyForQuery(status));
      await bench.told(commandComplete(tag), readyForQuery(status));
    }
    const [transaction] = await recording.mirror.received(1);
    assert.deepEqual([transaction!.flags & 1, requestsOf(transaction!).map(({ flags }) => flags & 2)], [0, [0, 2]]);
  });

  it('of a long Query is all of it', async (t) => {
    const { recording, bench, backend } = await recorded(t);
    const long = query(`select '${'x'.repeat(200_000)}'`);
    for (let at = 0; at < long.length; at += 30_000) bench.send(long.subarray(at, at + 30_000));
    backend.peer.send(commandComplete('SELECT 1'), READY);
    await bench.quiet();
    const [request] = requestsOf((await recording.mirror.received(1))[0]!);
    assert.ok(request!.messages.equals(long));
  });
});
