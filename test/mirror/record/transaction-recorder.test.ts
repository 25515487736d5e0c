import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { Change } from '../../../src/mirror/record/change-notes.ts';
import { RequestFlag, TransactionFlag } from '../../../src/mirror/record/record-stream.ts';
import { ParameterSet } from '../../../src/session/parameter-set.ts';
import { eventually } from '../../support/eventually.ts';
import { bind, cstr, execute, msg, parse, query, sync } from '../../support/bytes.ts';
import { RecordingBench, requestsOf, route } from './recording-bench.ts';
import type { RecordedClient } from './recording-bench.ts';

const [BEGIN, INSERT, COMMIT, SELECT] = ['begin', 'insert into t values (1)', 'commit', 'select 1'].map(query) as [
  Buffer,
  Buffer,
  Buffer,
  Buffer,
];
const DATA = msg('d', Buffer.from('1\n'));
const DONE = msg('c');

/** A clock that stands still until it is told, in milliseconds. */
function clock(t: TestContext): { now: number } {
  const state = { now: performance.now() };
  t.mock.method(performance, 'now', () => state.now);
  return state;
}

describe('a transaction', () => {
  it('is one autocommit request, with the bytes that the source received', async (t) => {
    const bench = await RecordingBench.start(t);
    bench.client().run('I', SELECT);
    const [transaction] = await bench.mirror.received(1);
    assert.deepEqual(
      [transaction!.targets, transaction!.flags, transaction!.settings],
      [[1], TransactionFlag.Committed, 0],
    );
    const [request] = requestsOf(transaction!);
    assert.deepEqual(request!.messages, SELECT);
    assert.deepEqual([request!.statuses, request!.flags, request!.sqlstate], ['II', RequestFlag.Simple, '']);
    assert.deepEqual([request!.thinkTime, request!.skipped, request!.cancelAfter], [0, '', 0]);
  });

  it('lasts from the first request in status idle to the ReadyForQuery that returns to it', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    client.run('T', BEGIN);
    client.run('T', INSERT);
    client.run('I', COMMIT);
    client.run('I', SELECT);
    const [block, single] = await bench.mirror.received(2);
    assert.deepEqual(
      requestsOf(block!).map(({ statuses, messages }) => [statuses, messages]),
      [
        ['IT', BEGIN],
        ['TT', INSERT],
        ['TI', COMMIT],
      ],
    );
    assert.equal(requestsOf(single!).length, 1);
  });

  it('goes by the status, not by the text: a failed block lasts until it is left', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    client.run('T', BEGIN);
    client.send(SELECT);
    client.recorder.erred('42P01', 0);
    client.ready('E');
    client.send(COMMIT);
    client.recorder.rolledBack();
    client.ready('I');
    const [transaction] = await bench.mirror.received(1);
    const requests = requestsOf(transaction!);
    assert.deepEqual(
      requests.map(({ statuses, sqlstate }) => `${statuses} ${sqlstate}`),
      ['IT ', 'TE 42P01', 'EI '],
    );
    assert.deepEqual(
      requests.map(({ flags }) => flags & ~RequestFlag.Simple),
      [0, RequestFlag.Errored, RequestFlag.RollbackTag],
    );
    assert.equal(transaction!.flags & TransactionFlag.Committed, 0, 'the source did not commit it');
  });

  it('has think times between its requests and none before the first, and source times', async (t) => {
    const bench = await RecordingBench.start(t);
    const time = clock(t);
    const client = bench.client();
    const run = (status: string, message: Buffer, thinkMs: number, sourceMs: number): void => {
      time.now += thinkMs;
      client.send(message);
      time.now += sourceMs;
      client.ready(status);
    };
    run('I', SELECT, 0, 1);
    run('T', BEGIN, 500, 2);
    run('T', INSERT, 30, 7.5);
    run('I', COMMIT, 4, 0.25);
    t.mock.restoreAll();
    const [, block] = await bench.mirror.received(2);
    const requests = requestsOf(block!);
    assert.deepEqual(
      requests.map(({ thinkTime }) => thinkTime),
      [0, 30_000, 4_000],
    );
    assert.deepEqual(
      requests.map(({ sourceTime }) => sourceTime),
      [2_000, 7_500, 250],
    );
    assert.ok(Math.abs(block!.endedAt - block!.startedAt - 43.75) < 0.001);
  });

  it('has numbers of the event counter that grow from sending to answer', async (t) => {
    const bench = await RecordingBench.start(t);
    const [one, two] = [bench.client('anna'), bench.client('bert')];
    one.send(SELECT);
    two.send(SELECT);
    two.ready('I');
    one.ready('I');
    const received = await bench.mirror.received(2);
    assert.deepEqual(
      received.map((transaction) => requestsOf(transaction).map(({ sent, done }) => [sent, done])),
      [[[2, 3]], [[1, 4]]],
    );
  });

  it('is one for each of several Syncs in flight', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    const requests = Array.from({ length: 20 }, (_, index) => [
      parse('', `select ${index}`),
      bind('', ''),
      execute(''),
      sync,
    ]);
    for (const messages of requests) client.send(...messages);
    client.ready('I'.repeat(20));
    const received = await bench.mirror.received(20);
    received.forEach((transaction, index) => {
      const [request] = requestsOf(transaction);
      assert.deepEqual([request!.messages, request!.thinkTime], [Buffer.concat(requests[index]!), 0]);
    });
    await bench.acknowledgeAll();
    assert.equal(bench.bytes.used, 0);
  });

  it('is one where its requests were sent ahead of the answers, with what follows apart', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    for (const message of [BEGIN, INSERT, COMMIT, SELECT, BEGIN]) client.send(message);
    client.ready('TTIIT');
    client.run('I', COMMIT);
    const received = await bench.mirror.received(3);
    assert.deepEqual(
      received.map((transaction) =>
        requestsOf(transaction)
          .map(({ statuses }) => statuses)
          .join(' '),
      ),
      ['IT TT TI', 'II', 'IT TI'],
    );
  });

  it('is told of as needing and keeping its session where the client is pinned', async (t) => {
    const bench = await RecordingBench.start(t);
    const { recorder } = bench.client();
    const run = (pinned: boolean): void => {
      recorder.requestStarts();
      recorder.append(SELECT, 0, SELECT.length);
      recorder.requestSent(true);
      recorder.answered(0x49, true);
      assert.equal(bench.rows.length === 0 ? 0 : bench.counts().total, ended, 'it waits to be concluded');
      recorder.concluded(pinned);
      ended++;
    };
    let ended = 0;
    run(true);
    run(true);
    run(false);
    const { Committed, NeedsSession, KeepsSession } = TransactionFlag;
    assert.deepEqual(
      (await bench.mirror.received(3)).map(({ flags }) => flags),
      [Committed | KeepsSession, Committed | NeedsSession | KeepsSession, Committed | NeedsSession],
    );
  });

  it('keeps its session where its client has gone before it was known what it left there', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    client.send(SELECT);
    client.recorder.answered(0x49, true, true);
    client.recorder.closed();
    const [only] = await bench.mirror.received(1);
    assert.equal(only!.flags, TransactionFlag.Committed | TransactionFlag.KeepsSession);
    await eventually(() => bench.mirror.told.includes('client gone 1'), { intervalMs: 2 });
  });

  it('has the Sync that its client did not send any more', async (t) => {
    const bench = await RecordingBench.start(t);
    const { recorder } = bench.client();
    recorder.requestStarts();
    const bad = parse('', 'selct');
    recorder.append(bad, 0, bad.length);
    recorder.erred('42601', recorder.offset);
    recorder.answered(0x49);
    recorder.closed();
    const [only] = await bench.mirror.received(1);
    const [request] = requestsOf(only!);
    assert.deepEqual([request!.messages, request!.skipped], [Buffer.concat([bad, sync]), '']);
  });

  it('inherits settings that nobody knew when it was sent, in the same session', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    for (let sent = 0; sent < 3; sent++) client.send(SELECT);
    client.recorder.answered(0x49);
    client.recorder.answered(0x49, true, true);
    client.recorder.answered(0x49, true, true);
    client.recorder.concluded(false);
    client.run('I', SELECT);
    const { Committed, NeedsSession, KeepsSession, InheritsSettings } = TransactionFlag;
    assert.deepEqual(
      (await bench.mirror.received(4)).map(({ flags }) => flags),
      [Committed, Committed | KeepsSession, Committed | NeedsSession | InheritsSettings, Committed],
    );
  });

  it('that waits to be concluded is handed over before the next begins', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    client.send(SELECT);
    client.recorder.answered(0x49, true);
    client.run('I', INSERT);
    assert.deepEqual(
      (await bench.mirror.received(2)).map((one) => requestsOf(one)[0]!.messages),
      [SELECT, INSERT],
    );
  });
});

describe('what the source did not run', () => {
  const messages = [parse('', 'select 1'), bind('', ''), execute(''), parse('', 'x'), execute(''), sync];

  it('is marked from behind the message that erred to the Sync', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    const ends = client.send(...messages);
    client.recorder.erred('42601', ends[3]!);
    client.ready('I');
    const [request] = requestsOf((await bench.mirror.received(1))[0]!);
    assert.deepEqual([request!.skipped, request!.sqlstate, request!.flags], ['E', '42601', RequestFlag.Errored]);
    assert.equal(request!.types, 'PBEPES');
  });

  it('is nothing where the last message before the Sync erred, or the Sync itself', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    for (const at of [4, 5]) {
      const ends = client.send(...messages);
      client.recorder.erred('23505', ends[at]!);
      client.ready('I');
    }
    for (const transaction of await bench.mirror.received(2)) assert.equal(requestsOf(transaction)[0]!.skipped, '');
  });

  it("is what comes until the Sync, where a message of pgmirror's own erred before that was sent", async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    const { recorder } = client;
    const [first, second] = [parse('', 'select 1'), execute('')];
    recorder.requestStarts();
    recorder.append(first, 0, first.length);
    recorder.erred('42P01', -1);
    recorder.append(second, 0, second.length);
    recorder.append(sync, 0, sync.length);
    recorder.requestSent(false);
    client.ready('I');
    assert.equal(requestsOf((await bench.mirror.received(1))[0]!)[0]!.skipped, 'E');
  });

  it('is told by the first error of a request', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    const ends = client.send(...messages);
    client.recorder.erred('42601', ends[0]!);
    client.recorder.erred('99999', ends[4]!);
    client.ready('I');
    const [request] = requestsOf((await bench.mirror.received(1))[0]!);
    assert.deepEqual([request!.skipped, request!.sqlstate], ['BEPE', '42601']);
  });

  it('is right in each of many requests in flight, also when the recording was cut at its front', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    const long = parse('', `select '${'x'.repeat(40_000)}'`);
    const sent = Array.from({ length: 5 }, () => client.send(long, bind('', ''), execute(''), sync));
    for (const ends of sent) {
      client.recorder.erred('22012', ends[1]!);
      client.ready('I');
    }
    for (const transaction of await bench.mirror.received(5)) {
      const [request] = requestsOf(transaction);
      assert.deepEqual([request!.types, request!.skipped], ['PBES', 'E']);
    }
    await bench.acknowledgeAll();
    assert.equal(bench.bytes.used, 0);
  });

  it('may hold requests: a Query behind an error is skipped with the rest, and answered by the Sync', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    const { recorder } = client;
    const first = parse('', 'x');
    recorder.requestStarts();
    recorder.append(first, 0, first.length);
    const failedAt = recorder.offset;
    recorder.append(SELECT, 0, SELECT.length);
    recorder.requestSent(false);
    client.send(sync);
    recorder.erred('42601', failedAt);
    recorder.requestsSkipped(1);
    client.ready('I');
    client.run('I', SELECT);
    const [failed, next] = await bench.mirror.received(2);
    const [request] = requestsOf(failed!);
    assert.deepEqual([request!.types, request!.skipped, request!.flags], ['PQS', 'Q', RequestFlag.Errored]);
    assert.deepEqual(requestsOf(next!)[0]!.messages, SELECT);
  });
});

describe('a cancelled request', () => {
  it('tells when the CancelRequest was sent, where the source answered 57014', async (t) => {
    const bench = await RecordingBench.start(t);
    const time = clock(t);
    const client = bench.client();
    client.send(SELECT);
    time.now += 12.5;
    client.recorder.cancelled();
    time.now += 100;
    client.recorder.cancelled();
    client.recorder.erred('57014', 0);
    client.ready('I');
    t.mock.restoreAll();
    const [request] = requestsOf((await bench.mirror.received(1))[0]!);
    assert.equal(request!.cancelAfter, 12_500);
    assert.ok(request!.flags & RequestFlag.Cancelled);
  });

  it('is none where the source went on, erred otherwise, or was not asked (statement_timeout)', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    client.send(SELECT);
    client.recorder.cancelled();
    client.ready('I');
    client.send(SELECT);
    client.recorder.cancelled();
    client.recorder.erred('42P01', 0);
    client.ready('I');
    client.send(SELECT);
    client.recorder.erred('57014', 0);
    client.ready('I');
    for (const transaction of await bench.mirror.received(3)) {
      const [request] = requestsOf(transaction);
      assert.deepEqual([request!.flags & RequestFlag.Cancelled, request!.cancelAfter], [0, 0]);
    }
  });
});

describe('COPY FROM STDIN', () => {
  const copy = query('copy t from stdin');

  it('belongs to its request with all its data', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    client.send(copy);
    client.recorder.copyInStarted(0);
    client.copy(DATA, DATA, DONE);
    client.ready('I');
    const [request] = requestsOf((await bench.mirror.received(1))[0]!);
    assert.deepEqual([request!.types, request!.flags], ['Qddc', RequestFlag.CopyIn]);
    await bench.acknowledgeAll();
    assert.equal(bench.bytes.used, 0);
  });

  it('that was sent at one stroke with an early Sync is one request', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    client.send(parse('', 'copy t from stdin'), bind('', ''), execute(''), sync);
    client.send(DATA, DONE, sync);
    client.recorder.copyInStarted(1);
    client.ready('I');
    client.run('I', SELECT);
    const [first, second] = await bench.mirror.received(2);
    const [request, ...more] = requestsOf(first!);
    assert.deepEqual([request!.types, request!.flags, more], ['PBESdcS', RequestFlag.CopyIn, []]);
    assert.deepEqual(requestsOf(second!)[0]!.messages, SELECT);
    await bench.acknowledgeAll();
    assert.equal(bench.bytes.used, 0);
  });

  it('that was sent at one stroke leaves the skipped range of the request behind it where it is', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    client.send(parse('', 'copy t from stdin'), bind('', ''), execute(''), sync);
    client.send(DATA, DONE, sync);
    const ends = client.send(parse('', 'x'), bind('', ''), execute(''), execute(''), sync);
    client.recorder.copyInStarted(1);
    client.ready('I');
    client.recorder.erred('42601', ends[0]!);
    client.ready('I');
    const [, second] = await bench.mirror.received(2);
    const [request] = requestsOf(second!);
    assert.deepEqual([request!.types, request!.skipped], ['PBEES', 'BEE']);
  });
});

describe('COPY FROM STDIN that fails', () => {
  const [start, more] = [
    [parse('', 'copy t from stdin'), bind('', ''), execute('')],
    [parse('', 'x'), bind('', ''), execute('')],
  ];
  const flush = msg('H');

  for (const [what, messages, skipped] of [
    ['its data', [DATA, DATA, DONE, sync], ''],
    ['data that do not end', [DATA, flush, DATA, sync], ''],
    ['its data, and what the source skipped', [DATA, DONE, ...more, DATA, sync], 'PBEd'],
    ['no data', [...more, sync], 'PBE'],
  ] as const) {
    it(`is recorded with ${what}`, async (t) => {
      const bench = await RecordingBench.start(t);
      const client = bench.client();
      const ends = client.send(...start, ...messages);
      client.recorder.copyInStarted(0);
      client.recorder.erred('22P02', ends[2]!);
      client.ready('I');
      const [request] = requestsOf((await bench.mirror.received(1))[0]!);
      assert.deepEqual([request!.skipped, request!.sqlstate], [skipped, '22P02']);
    });
  }
});

describe('settings', () => {
  it('are those at the beginning of the transaction, told once for each set', async (t) => {
    const bench = await RecordingBench.start(t);
    const settings = ParameterSet.empty.with('timezone', 'UTC');
    const client = bench.client('anna', settings);
    client.send(query("set timezone to 'Asia/Tokyo'"));
    client.recorder.settings = settings.with('timezone', 'Asia/Tokyo');
    client.ready('I');
    client.run('I', SELECT);
    client.run('I', SELECT);
    bench.client('bert', ParameterSet.empty.with('timezone', 'UTC')).run('I', SELECT);
    const received = await bench.mirror.received(4);
    assert.deepEqual(
      received.map((transaction) => transaction.settings),
      [1, 2, 2, 1],
    );
    assert.deepEqual(
      bench.mirror.told.filter((what) => what.startsWith('settings')),
      ['settings 1 [["timezone","UTC"]]', 'settings 2 [["timezone","Asia/Tokyo"]]'],
    );
  });
});

describe('prepared statements', () => {
  const definition = Buffer.concat([cstr('select 1'), Buffer.alloc(2)]);

  it('that a transaction refers to are declared before it, once for all clients', async (t) => {
    const bench = await RecordingBench.start(t);
    const text = bench.registry.acquire(definition);
    for (const user of ['anna', 'bert', 'anna']) {
      const client = bench.client(user);
      client.recorder.requestStarts();
      client.recorder.usesStatement(text);
      client.recorder.append(sync, 0, sync.length);
      client.recorder.requestSent(false);
      client.ready('I');
    }
    await bench.mirror.received(3);
    assert.deepEqual(bench.mirror.told, [
      'hello 5 3',
      'client 1 shop anna',
      'statement 1 pm_1 select 1',
      'transaction of 1',
      'client 2 shop bert',
      'transaction of 2',
      'client 3 shop anna',
      'transaction of 3',
    ]);
  });

  it('that nobody refers to any more are forgotten there, and declared anew when they come back', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    for (let round = 0; round < 2; round++) {
      const text = bench.registry.acquire(definition);
      client.recorder.requestStarts();
      client.recorder.usesStatement(text);
      client.recorder.requestSent(false);
      client.ready('I');
      bench.registry.release(text);
    }
    await bench.mirror.received(2);
    bench.desk.flush();
    assert.deepEqual(bench.mirror.told.slice(2), [
      'statement 1 pm_1 select 1',
      'transaction of 1',
      'forget statement 1',
      'statement 2 pm_2 select 1',
      'transaction of 1',
      'forget statement 2',
    ]);
  });

  it('without a name are declared where the transaction needs what an earlier one left', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    client.recorder.requestStarts();
    client.recorder.usesUnnamed(definition, 0, definition.length);
    const messages = Buffer.concat([bind('', ''), execute(''), sync]);
    client.recorder.append(messages, 0, messages.length);
    client.recorder.requestSent(false);
    client.ready('I');
    client.run('I', SELECT);
    const [first, second] = await bench.mirror.received(2);
    assert.deepEqual([first!.unnamedStatement, second!.unnamedStatement], [1, 0]);
    assert.ok(bench.mirror.told.includes('statement 1 pm_1 select 1'));
    assert.equal(bench.registry.size, 0, 'the recorder holds it for one transaction');
  });
});

describe('a transaction that is not mirrored', () => {
  it('is dropped whole where it is too large, and the next is recorded', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [route({ maxTransactionSize: 500 })] });
    const client = bench.client();
    client.run('T', BEGIN);
    client.run('T', query('x'.repeat(500)));
    client.run('I', COMMIT);
    client.run('I', SELECT);
    const [only] = await bench.mirror.received(1);
    assert.deepEqual(requestsOf(only!)[0]!.messages, SELECT);
    assert.deepEqual([bench.drops(), bench.counts().total], [{ too_large: 1 }, 2]);
  });

  it('may be too large for one mirror and not for another', async (t) => {
    const routes = [route({ maxTransactionSize: 200 }), route({ id: 2, destination: 'other' })];
    const bench = await RecordingBench.start(t, { routes });
    bench.client().run('I', query('x'.repeat(500)));
    const [only] = await bench.mirror.received(1);
    assert.deepEqual(only!.targets, [2]);
    assert.deepEqual([bench.drops('1 anna'), bench.drops('2 anna')], [{ too_large: 1 }, {}]);
  });

  it('counts the bytes of each transaction apart where many are in flight', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [route({ maxTransactionSize: 500 })] });
    const client = bench.client();
    for (let sent = 0; sent < 10; sent++) client.send(query('x'.repeat(100)));
    client.ready('I'.repeat(10));
    await bench.mirror.received(10);
    assert.deepEqual(bench.drops(), {});
  });

  it('is dropped where everything recorded is beyond the limit, which is free again afterwards', async (t) => {
    const bench = await RecordingBench.start(t, { limit: 450 });
    const client = bench.client();
    client.run('I', query('x'.repeat(500)));
    assert.deepEqual([bench.drops(), bench.bytes.used], [{ bytes_full: 1 }, 0]);
    client.run('I', query('x'.repeat(250)));
    client.run('I', query('x'.repeat(250)));
    assert.deepEqual(bench.drops(), { bytes_full: 2 });
    await bench.acknowledgeAll();
    assert.equal(bench.bytes.used, 0);
    client.run('I', query('x'.repeat(250)));
    assert.equal(bench.counts().queueLength, 1);
  });

  it('has a digest also where nothing was answered but an error', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [route({ compareSample: 1 })] });
    bench.client().run('I', SELECT);
    const [first] = await bench.mirror.received(1);
    assert.deepEqual(
      requestsOf(first!).map(({ flags }) => flags & RequestFlag.Digest),
      [RequestFlag.Digest],
    );
  });

  it('is whole, and has no digest, where there is no room for that', async (t) => {
    // Just enough for the three requests with their headers, and the digests of two.
    const length = 3 * 49 + BEGIN.length + INSERT.length + COMMIT.length;
    const bench = await RecordingBench.start(t, {
      limit: 4 * (length + 2 * 144),
      routes: [route({ compareSample: 1 })],
    });
    // A client alone has three quarters of all.
    bench.bytes.limit = Math.ceil(((length + 2 * 144) * 4) / 3);
    const client = bench.client();
    for (const [status, message] of [
      ['T', BEGIN],
      ['T', INSERT],
      ['I', COMMIT],
    ] as const) {
      client.send(message);
      client.recorder.digest?.suspended(0x49);
      client.ready(status);
    }
    client.run('I', SELECT);
    const [block] = await bench.mirror.received(1);
    assert.equal(block!.requestCount, 3);
    assert.deepEqual(
      requestsOf(block!).map(({ messages, flags }) => [messages, (flags & RequestFlag.Digest) !== 0]),
      [
        [BEGIN, true],
        [INSERT, true],
        [COMMIT, false],
      ],
    );
    await bench.acknowledgeAll();
    assert.deepEqual([bench.drops(), bench.bytes.used], [{ bytes_full: 1 }, 0]);
  });

  it('does not take the one sent ahead of its answer with it by halves: no transaction without its head', async (t) => {
    const bench = await RecordingBench.start(t, { limit: 500 });
    const client = bench.client();
    client.send(query('x'.repeat(300)));
    client.send(BEGIN);
    client.ready('IT');
    client.run('T', INSERT);
    client.run('I', COMMIT);
    client.run('I', SELECT);
    assert.deepEqual([bench.drops(), bench.counts().total], [{ bytes_full: 2 }, 3]);
    const [only] = await bench.mirror.received(1);
    assert.deepEqual(requestsOf(only!)[0]!.messages, SELECT);
  });

  it('has no head, either, where a mirror came while its requests were in flight', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [] });
    const client = bench.client();
    client.send(SELECT);
    client.send(BEGIN);
    bench.desk.configure([route()]);
    client.ready('IT');
    client.run('T', INSERT);
    client.run('I', COMMIT);
    client.run('I', SELECT);
    const [only] = await bench.mirror.received(1);
    assert.deepEqual(requestsOf(only!)[0]!.messages, SELECT);
  });

  it('is none where the mirrors are configured anew while requests are in flight', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    for (let sent = 0; sent < 3; sent++) client.send(SELECT);
    bench.desk.configure([route()]);
    client.ready('II');
    client.send(SELECT);
    client.ready('II');
    await bench.mirror.received(4);
    assert.equal(bench.counts().total, 4);
  });

  it('is dropped where the queue of the client is full, until one of it is finished', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [route({ queueLength: 2 })] });
    const [client, other] = [bench.client('anna'), bench.client('bert')];
    for (let run = 0; run < 3; run++) client.run('I', SELECT);
    other.run('I', SELECT);
    assert.deepEqual([bench.drops('1 anna'), bench.drops('1 bert')], [{ queue_full: 1 }, {}]);
    const [first] = await bench.mirror.received(3);
    bench.mirror.acknowledge(first!, 1);
    await bench.acknowledgeAll();
    client.run('I', SELECT);
    assert.deepEqual([bench.drops('1 anna'), bench.counts().total], [{ queue_full: 1 }, 4]);
  });

  it('is aborted where its end was not seen, and so is each that was sent behind it', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    client.run('T', BEGIN);
    client.recorder.aborted();
    client.recorder.aborted();
    assert.deepEqual([bench.drops(), bench.bytes.used], [{ aborted: 1 }, 0]);
    for (let sent = 0; sent < 3; sent++) client.send(SELECT);
    client.recorder.aborted();
    assert.deepEqual([bench.drops(), bench.bytes.used], [{ aborted: 4 }, 0]);
    client.recorder.closed();
    assert.equal(bench.counts().total, 4);
  });

  it('is aborted together with the block that its requests belong to', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    client.run('T', BEGIN);
    client.send(INSERT);
    client.send(COMMIT);
    client.recorder.aborted();
    assert.deepEqual(bench.drops(), { aborted: 1 });
  });

  describe('that is a chain of blocks', () => {
    const CHAIN = query('commit and chain');
    const committed = msg('C', cstr('COMMIT'));
    const chained = async (t: TestContext): Promise<[RecordingBench, RecordedClient]> => {
      const bench = await RecordingBench.start(t);
      const client = bench.client();
      client.run('T', BEGIN);
      client.send(CHAIN);
      client.recorder.completed(committed, 0, committed.length, 0);
      client.ready('T');
      return [bench, client];
    };

    it('is handed over up to its last commit where its end was not seen', async (t) => {
      const [bench, client] = await chained(t);
      client.run('T', INSERT);
      client.send(INSERT);
      client.recorder.closed();
      const [transaction] = await bench.mirror.received(1);
      assert.deepEqual(
        requestsOf(transaction!).map(({ statuses, messages }) => [statuses, messages]),
        [
          ['IT', BEGIN],
          ['TT', CHAIN],
        ],
      );
      assert.equal(transaction!.flags, TransactionFlag.Committed);
      await bench.acknowledgeAll();
      assert.deepEqual([bench.drops(), bench.counts().total, bench.bytes.used], [{}, 1, 0]);
    });

    it('is committed although its last block is rolled back', async (t) => {
      const [bench, client] = await chained(t);
      client.send(query('rollback'));
      client.recorder.rolledBack();
      client.ready('I');
      const [transaction] = await bench.mirror.received(1);
      assert.deepEqual([transaction!.flags, requestsOf(transaction!).length], [TransactionFlag.Committed, 3]);
    });
  });

  describe('whose COMMIT was answered amid a request that did not end', () => {
    const committed = msg('C', cstr('COMMIT'));
    const [commit, insert] = ['commit', 'insert into t values (1)'].map((text) => [
      parse('', text),
      bind('', ''),
      execute(''),
    ]) as [Buffer[], Buffer[]];
    const cutOff = async (t: TestContext, behind: readonly Buffer[]): Promise<[RecordingBench, RecordedClient]> => {
      const bench = await RecordingBench.start(t);
      const client = bench.client();
      client.run('T', BEGIN);
      client.recorder.requestStarts();
      for (const message of commit) client.recorder.append(message, 0, message.length);
      const committedAt = client.recorder.offset;
      for (const message of behind) client.recorder.append(message, 0, message.length);
      client.recorder.completed(committed, 0, committed.length, committedAt);
      return [bench, client];
    };

    for (const [what, behind] of [
      ['it', []],
      ['it, without what stands behind it', insert],
    ] as const) {
      it(`is handed over with ${what}`, async (t) => {
        const [bench, client] = await cutOff(t, behind);
        if (behind.length > 0) client.recorder.erred('23505', client.recorder.offset);
        client.recorder.closed();
        const [transaction] = await bench.mirror.received(1);
        const requests = requestsOf(transaction!).map((one) => [one.statuses, one.messages, one.flags, one.sqlstate]);
        assert.deepEqual(requests, [
          ['IT', BEGIN, RequestFlag.Simple, ''],
          ['TI', Buffer.concat([...commit, sync]), RequestFlag.CommitTag, ''],
        ]);
        assert.equal(transaction!.flags, TransactionFlag.Committed);
        await bench.acknowledgeAll();
        assert.deepEqual([bench.drops(), bench.counts().total, bench.bytes.used], [{}, 1, 0]);
      });
    }

    it('is handed over, and what was sent behind its request is aborted', async (t) => {
      const [bench, client] = await cutOff(t, []);
      client.recorder.append(sync, 0, sync.length);
      client.recorder.requestSent(false);
      client.send(SELECT);
      client.send(SELECT);
      client.recorder.aborted();
      await bench.acknowledgeAll();
      assert.deepEqual([bench.drops(), bench.counts().total, bench.bytes.used], [{ aborted: 2 }, 3, 0]);
    });

    it('is dropped where the mirrors did not get what came before', async (t) => {
      const [bench, client] = await cutOff(t, [query('x'.repeat(2_000_000))]);
      client.recorder.closed();
      assert.deepEqual([bench.drops(), bench.counts().total, bench.bytes.used], [{ too_large: 1 }, 1, 0]);
    });
  });

  it('is aborted when its client goes in its midst, which is told to the mirror process', async (t) => {
    const bench = await RecordingBench.start(t);
    const client = bench.client();
    client.run('I', SELECT);
    client.run('T', BEGIN);
    client.recorder.closed();
    await bench.mirror.received(1);
    bench.desk.flush();
    assert.deepEqual([bench.drops(), bench.counts().total], [{ aborted: 1 }, 2]);
    assert.equal(bench.mirror.told.at(-1), 'client gone 1');
  });
});

describe('a request that rolls a block back', () => {
  const tags = (client: RecordedClient, ...texts: readonly string[]): void => {
    for (const text of texts) {
      const complete = msg('C', cstr(text));
      client.recorder.completed(complete, 0, complete.length, 0);
      if (text === 'ROLLBACK') client.recorder.rolledBack();
    }
  };

  for (const [behind, flags] of [
    [[], 0],
    [['INSERT 0 1'], TransactionFlag.Committed],
    [['INSERT 0 1', 'ROLLBACK'], 0],
  ] as const) {
    it(`is told from one that committed something behind that: ${['ROLLBACK', ...behind].join(', ')}`, async (t) => {
      const bench = await RecordingBench.start(t);
      const client = bench.client();
      client.run('T', BEGIN);
      client.send(query('…'));
      tags(client, 'INSERT 0 1', 'ROLLBACK', ...behind);
      client.ready('I');
      const [transaction] = await bench.mirror.received(1);
      assert.equal(transaction!.flags, flags);
    });
  }
});

describe('a client that keeps its server connection', () => {
  /** Runs one after the other, each with a roll of its own; the client is bound to its session after it or is not. */
  const run = (client: RecordedClient, set: (roll: number) => void, ...ended: readonly [number, boolean][]): void => {
    for (const [roll, pinned] of ended) {
      set(roll);
      client.send(SELECT);
      client.recorder.answered(0x49, true);
      client.recorder.concluded(pinned);
    }
  };

  it('has the roll of the transaction from which it does, until it does not any more', async (t) => {
    for (const [first, other] of [
      [0.1, 0.9],
      [0.9, 0.1],
    ] as const) {
      let next: number = first;
      const bench = await RecordingBench.start(t, { routes: [route({ exposure: 0.5 })], random: () => next });
      const set = (roll: number): void => void (next = roll);
      run(bench.client(), set, [first, true], [other, true], [other, false], [other, false]);
      const { total, queueLength } = bench.counts();
      assert.deepEqual(
        [total, queueLength, bench.drops()],
        first < 0.5 ? [4, 3, { exposure: 1 }] : [4, 1, { exposure: 3 }],
      );
    }
  });

  it('has session_lost for each that follows one that was dropped for another reason', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [route({ maxTransactionSize: 200 })] });
    const client = bench.client();
    client.send(query('x'.repeat(500)));
    client.recorder.answered(0x49, true);
    client.recorder.concluded(true);
    run(client, () => undefined, [0, true], [0, false], [0, false]);
    assert.deepEqual([bench.drops(), bench.counts().queueLength], [{ too_large: 1, session_lost: 2 }, 1]);
    bench.desk.flush();
    await bench.mirror.received(1);
    assert.deepEqual(bench.mirror.told.slice(1), ['client 1 shop anna', 'transaction of 1'], 'it had no session there');
  });

  for (const { name, ends } of [
    { name: 'that goes on needing it', ends: [true, true, false] },
    { name: 'that ended it', ends: [false] },
  ]) {
    it(`has the mirror told that its session is lost by the first one dropped, ${name}`, async (t) => {
      const bench = await RecordingBench.start(t, { routes: [route({ maxTransactionSize: 200 })] });
      const client = bench.client();
      const none = (): void => undefined;
      run(client, none, [0, true], [0, true]);
      for (const [index, pinned] of ends.entries()) {
        client.send(query('x'.repeat(index === 0 ? 500 : 1)));
        client.recorder.answered(0x49, true);
        client.recorder.concluded(pinned);
      }
      run(client, none, [0, false]);
      await bench.mirror.received(3);
      const of1 = 'transaction of 1';
      assert.deepEqual(bench.mirror.told.slice(2), [of1, of1, 'session lost 1 1', of1]);
    });
  }
});

describe('the first reason that applies', () => {
  it('counts: refused goes before filtered, which goes before exposure', async (t) => {
    const users = new Set(['bert']);
    const routes = [route({ enabled: false, users, exposure: 0 }), route({ id: 2, users, exposure: 0 })];
    const bench = await RecordingBench.start(t, { routes: [...routes, route({ id: 3, exposure: 0 })] });
    bench.client().run('I', SELECT);
    assert.deepEqual(
      [1, 2, 3].map((id) => bench.drops(`${id} anna`)),
      [{ refused: 1 }, { filtered: 1 }, { exposure: 1 }],
    );
  });

  it('counts: aborted goes before a queue that is full', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [route({ queueLength: 0 })] });
    const client = bench.client();
    client.send(SELECT);
    client.recorder.aborted();
    assert.deepEqual(bench.drops(), { aborted: 1 });
  });

  it('counts: what is known at the start goes before what shows later', async (t) => {
    const routes = [
      route({ enabled: false, exposure: 0 }),
      route({ id: 2, exposure: 0, queueLength: 0 }),
      route({ id: 3, queueLength: 0, maxTransactionSize: 100 }),
      route({ id: 4, queueLength: 0 }),
    ];
    const bench = await RecordingBench.start(t, { routes, random: () => 0.5 });
    bench.client().run('I', query('x'.repeat(200)));
    assert.deepEqual(
      [1, 2, 3, 4].map((id) => bench.drops(`${id} anna`)),
      [{ refused: 1 }, { exposure: 1 }, { too_large: 1 }, { queue_full: 1 }],
    );
  });

  it('counts: exposure goes before a mirror that is down, which goes before an end that was not seen', async (t) => {
    const routes = [route({ exposure: 0.2 }), route({ id: 2 })];
    const bench = await RecordingBench.start(t, { routes, random: () => 0.5, connected: false });
    const client = bench.client();
    client.send(SELECT);
    client.recorder.aborted();
    assert.deepEqual([bench.drops('1 anna'), bench.drops('2 anna')], [{ exposure: 1 }, { mirror_down: 1 }]);
  });

  it('counts: too large, or beyond all bytes, goes before an end that was not seen', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [route({ maxTransactionSize: 300 })], limit: 250 });
    const client = bench.client();
    client.send(query('x'.repeat(400)));
    client.recorder.aborted();
    assert.deepEqual(bench.drops(), { too_large: 1 });
    client.send(query('x'.repeat(220)));
    client.recorder.aborted();
    assert.deepEqual(bench.drops(), { too_large: 1, bytes_full: 1 });
  });
});

describe('what a compared mirror misses', () => {
  const READS = 'select a from t where b = now()';
  const CALLS = 'select write_it(1)';

  /** A query that answers rows, and its answer. */
  function run(client: RecordedClient, status: string, ...messages: readonly Buffer[]): void {
    const ends = client.send(...messages);
    const complete = msg('C', cstr('SELECT 1'));
    client.recorder.completed(complete, 0, complete.length, ends.length === 1 ? 0 : (ends.at(-2) ?? 0));
    client.ready(status);
  }

  it('is told by the texts of what was recorded, where tags do not say whether anything was changed', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [route({ compareSample: 1, queueLength: 0 })] });
    const client = bench.client();
    for (const [texts, change] of [
      [[READS], Change.Nothing],
      [[READS, CALLS], Change.Rows],
      [[READS, READS], Change.Nothing],
    ] as const) {
      client.run('T', BEGIN);
      for (const text of texts) run(client, 'T', query(text));
      client.recorder.aborted();
      const undone = change === Change.Rows ? Change.Numbers : change;
      assert.equal(client.recorder.notes.change, undone, `aborted: ${texts.join()}`);
      for (const text of texts) run(client, 'I', query(text));
      assert.equal(client.recorder.notes.change, change, `queue_full: ${texts.join()}`);
    }
    assert.deepEqual(bench.drops(), { aborted: 3, queue_full: 5 });
    const missed = (): string[] => bench.mirror.told.filter((told) => told.startsWith('missed'));
    bench.desk.flush();
    await eventually(() => missed().length > 0, { intervalMs: 2 });
    assert.deepEqual(missed(), ['missed 1 1', 'missed 1 2']);
  });

  it('is told by the texts of statements prepared earlier, named or not', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [route({ compareSample: 1, queueLength: 0 })] });
    const client = bench.client();
    for (const [text, change] of [
      [READS, Change.Nothing],
      [CALLS, Change.Rows],
    ] as const) {
      const definition = parse('', text).subarray(6);
      for (const use of [
        () => client.recorder.usesStatement(bench.registry.acquire(definition)),
        () => client.recorder.usesUnnamed(definition, 0, definition.length),
      ]) {
        client.recorder.requestStarts();
        use();
        for (const message of [bind('', ''), execute(''), sync]) client.recorder.append(message, 0, message.length);
        client.recorder.requestSent(false);
        const complete = msg('C', cstr('SELECT 1'));
        client.recorder.completed(complete, 0, complete.length, client.recorder.offset - sync.length);
        client.ready('I');
        assert.equal(client.recorder.notes.change, change, text);
      }
    }
  });

  it('is not known where what was recorded had to be given up', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [route({ compareSample: 1, maxTransactionSize: 500 })] });
    const client = bench.client();
    run(client, 'I', query(`select write_it('${'x'.repeat(1_000)}')`));
    assert.deepEqual([bench.drops(), client.recorder.notes.change], [{ too_large: 1 }, Change.Rows]);
    client.run('T', BEGIN);
    run(client, 'T', query(CALLS));
    client.send(query('x'.repeat(1_000)));
    client.recorder.erred('42601', 0);
    client.ready('E');
    client.recorder.aborted();
    assert.deepEqual([bench.drops(), client.recorder.notes.change], [{ too_large: 2 }, Change.Rows]);
  });
});

describe('the second half of a two-phase commit', () => {
  const end = query("COMMIT PREPARED 'a'");

  for (const { name, sent } of [
    { name: 'sent by itself', sent: [[end]] },
    { name: 'sent ahead of the answer to what came before', sent: [[SELECT, end]] },
    { name: 'sent ahead together with the first', sent: [[SELECT, SELECT, end, SELECT]] },
  ]) {
    it(`has the roll of the first, ${name}`, async (t) => {
      for (const [roll, fate] of [
        [0.1, {}],
        [0.9, { session_lost: 1 }],
      ] as const) {
        let next: number = roll;
        const bench = await RecordingBench.start(t, { routes: [route({ exposure: 0.5 })], random: () => next });
        const first = bench.client();
        first.run('T', BEGIN);
        first.run('I', query("PREPARE TRANSACTION 'a'"));
        // By their own rolls all of these would do the other thing.
        next = 1 - roll;
        const second = bench.client();
        for (const requests of sent) {
          for (const request of requests) second.send(request);
          second.ready('I'.repeat(requests.length));
        }
        const others = sent.flat().length - 1;
        const counted = bench.counts();
        const { exposure = 0, ...rest } = bench.drops();
        assert.deepEqual(rest, fate);
        assert.deepEqual([counted.queueLength, exposure], roll < 0.5 ? [2, others] : [others, 1]);
      }
    });
  }

  it('is for all mirrors where nothing is known of the first: the mirror process knows more', async (t) => {
    const routes = [route({ exposure: 0.5 }), route({ id: 2, destination: 'second', exposure: 0 })];
    const bench = await RecordingBench.start(t, { routes, random: () => 0.9 });
    bench.client().run('I', end);
    const [transaction] = await bench.mirror.received(1);
    assert.deepEqual([transaction!.targets, bench.drops()], [[1, 2], {}]);
  });

  it('has the roll of the first although it is not known yet what that leaves in its session', async (t) => {
    const bench = await RecordingBench.start(t, { routes: [route({ exposure: 0.5 })], random: () => 0.1 });
    const first = bench.client();
    first.run('T', BEGIN);
    first.send(query("PREPARE TRANSACTION 'a'"));
    first.recorder.answered('I'.charCodeAt(0), true);
    assert.deepEqual(bench.desk.prepared.mirrorsOf('a'), new Set([1]));
  });

  it('has the roll of the first, too, where that stood among other statements', async (t) => {
    const done = msg('C', cstr('PREPARE TRANSACTION'));
    const bench = await RecordingBench.start(t, { routes: [route({ exposure: 0.5 })], random: () => 0.1 });
    const client = bench.client();
    const prepare = (gid: string): string => `begin; insert into t values (';'); prepare transaction '${gid}'`;
    for (const request of [
      [query(prepare('a'))],
      [parse('', 'begin'), bind('', ''), execute(''), parse('', `/* so */ ${prepare('b')}`), sync],
    ]) {
      const ends = client.send(...request);
      client.recorder.completed(done, 0, done.length, request.length === 1 ? 0 : ends.at(-2)!);
      client.ready('I');
    }
    client.run('I', query(prepare('c')));
    const known = ['a', 'b', 'c'].map((gid) => bench.desk.prepared.mirrorsOf(gid));
    assert.deepEqual(known, [new Set([1]), new Set([1]), undefined]);
  });

  it('has the fate of the first, too, where that was done and something behind it failed', async (t) => {
    const done = msg('C', cstr('PREPARE TRANSACTION'));
    const bench = await RecordingBench.start(t, { routes: [route({ exposure: 0.5 })], random: () => 0.1 });
    const first = bench.client();
    first.run('T', BEGIN);
    const prepare = [parse('', "PREPARE TRANSACTION 'a'"), bind('', ''), execute('')];
    const ends = first.send(...prepare, parse('', 'nonsense'), sync);
    first.recorder.completed(done, 0, done.length, ends[2]!);
    first.recorder.erred('42601', ends[3]!);
    first.ready('I');
    assert.deepEqual(bench.desk.prepared.mirrorsOf('a'), new Set([1]));
    first.run('T', BEGIN);
    first.send(query("PREPARE TRANSACTION 'b'"));
    first.recorder.erred('55000', 0);
    first.ready('I');
    assert.equal(bench.desk.prepared.mirrorsOf('b'), undefined);
  });
});
