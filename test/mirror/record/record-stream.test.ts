import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RECORD_STREAM_VERSION, RecordStreamError, RequestFlag } from '../../../src/mirror/record/record-stream.ts';
import { RecordStreamReader } from '../../../src/mirror/record/record-stream-reader.ts';
import type { RecordedTransaction } from '../../../src/mirror/record/record-stream-reader.ts';
import { RecordStreamWriter } from '../../../src/mirror/record/record-stream-writer.ts';
import { query } from '../../support/bytes.ts';

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u16(value: number): Buffer {
  return u32(value).subarray(0, 2);
}

function f64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}

function str(text: string): Buffer {
  return Buffer.concat([u32(Buffer.byteLength(text)), Buffer.from(text)]);
}

function frame(type: number, ...body: readonly Buffer[]): Buffer {
  const content = Buffer.concat(body);
  return Buffer.concat([u32(content.length + 5), Buffer.from([type]), content]);
}

const SELECT = query('SELECT 1');

/** A request's fixed header and its messages, field by field as documented. */
function requestBytes(messages: Buffer, skip: readonly [number, number] = [0, 0], length = messages.length): Buffer {
  return Buffer.concat([
    u32(length),
    u32(1500),
    u32(2500),
    f64(7),
    f64(9),
    Buffer.from('IE'),
    u16(RequestFlag.Errored | RequestFlag.Simple),
    Buffer.from('42P01'),
    u32(skip[0]),
    u32(skip[1]),
    u32(0xffff_ffff),
    messages,
  ]);
}

function transactionFrame(requests: Buffer, count: number, targets = [7, 8]): Buffer {
  return frame(
    8,
    ...[3, 4, 5, 6].map(u32),
    Buffer.from([1]),
    f64(1000.5),
    f64(2000.25),
    u16(targets.length),
    ...targets.map(u32),
    u32(count),
    requests,
  );
}

const TRANSACTION = {
  slot: 3,
  client: 4,
  settings: 5,
  unnamedStatement: 6,
  flags: 1,
  startedAt: 1000.5,
  endedAt: 2000.25,
};

/** What a reader told, as plain values. */
function collect(): { told: unknown[]; reader: RecordStreamReader } {
  const told: unknown[] = [];
  const note =
    (name: string) =>
    (...values: unknown[]): void =>
      void told.push([name, ...values.map((value) => (Buffer.isBuffer(value) ? value.toString('latin1') : value))]);
  const reader = new RecordStreamReader({
    hello: note('hello'),
    statement: note('statement'),
    forgetStatement: note('forgetStatement'),
    settings: note('settings'),
    forgetSettings: note('forgetSettings'),
    client: note('client'),
    clientGone: note('clientGone'),
    missed: note('missed'),
    toldUntil: note('toldUntil'),
    sessionLost: note('sessionLost'),
    transaction: (transaction: RecordedTransaction) =>
      told.push(['transaction', { ...transaction, recording: transaction.recording.toString('latin1') }]),
  });
  return { told, reader };
}

const REQUESTS = Buffer.concat([requestBytes(SELECT), requestBytes(SELECT, [0, 3])]);
const STREAM = Buffer.concat([
  frame(1, u32(RECORD_STREAM_VERSION), u32(12)),
  frame(2, u32(9), str('pgmirror_1'), Buffer.from('SELECT $1\0\0\0')),
  frame(4, u32(2), u16(2), str('TimeZone'), str('UTC'), str('x'), str('é')),
  frame(6, u32(4), str('app'), str('user')),
  transactionFrame(REQUESTS, 2),
  transactionFrame(Buffer.alloc(0), 0, []),
  frame(3, u32(9)),
  frame(5, u32(2)),
  frame(7, u32(4)),
  frame(9, u32(3), Buffer.from([2])),
  frame(10, Buffer.from('0000000000004540', 'hex')),
  frame(11, u32(4), u32(7)),
]);
const TOLD = [
  ['hello', RECORD_STREAM_VERSION, 12],
  ['statement', 9, 'pgmirror_1', 'SELECT $1\0\0\0'],
  [
    'settings',
    2,
    new Map([
      ['TimeZone', 'UTC'],
      ['x', 'é'],
    ]),
  ],
  ['client', 4, 'app', 'user'],
  ['transaction', { ...TRANSACTION, targets: [7, 8], requestCount: 2, recording: REQUESTS.toString('latin1') }],
  ['transaction', { ...TRANSACTION, targets: [], requestCount: 0, recording: '' }],
  ['forgetStatement', 9],
  ['forgetSettings', 2],
  ['clientGone', 4],
  ['missed', 3, 2],
  ['toldUntil', 42],
  ['sessionLost', 4, 7],
];

describe('the record stream', () => {
  it('is written as documented', () => {
    const writer = new RecordStreamWriter();
    writer.hello(12);
    writer.statement(9, 'pgmirror_1', Buffer.from('SELECT $1\0\0\0'));
    writer.settings(
      2,
      new Map([
        ['TimeZone', 'UTC'],
        ['x', 'é'],
      ]),
    );
    writer.client(4, 'app', 'user');
    writer.transaction(
      { ...TRANSACTION, targets: [7, 8], requestCount: 2 },
      Buffer.concat([REQUESTS, Buffer.from('more')]),
      REQUESTS.length,
    );
    writer.transaction({ ...TRANSACTION, targets: [], requestCount: 0 }, Buffer.alloc(0));
    writer.forgetStatement(9);
    writer.forgetSettings(2);
    writer.clientGone(4);
    writer.missed(3, 2);
    writer.toldUntil(42);
    writer.sessionLost(4, 7);
    assert.equal(writer.take().toString('hex'), STREAM.toString('hex'));
    assert.equal(writer.length, 0);
  });

  it('is read whole', () => {
    const { told, reader } = collect();
    reader.push(STREAM);
    assert.deepEqual(told, TOLD);
  });

  it('is read byte by byte, and cut in two at every offset', () => {
    const slow = collect();
    for (const byte of STREAM) slow.reader.push(Buffer.from([byte]));
    assert.deepEqual(slow.told, TOLD);
    for (let cut = 1; cut < STREAM.length; cut++) {
      const { told, reader } = collect();
      reader.push(STREAM.subarray(0, cut));
      reader.push(STREAM.subarray(cut));
      assert.deepEqual(told, TOLD);
    }
  });

  it('carries a transaction of 20 MB, in chunks', () => {
    const big = requestBytes(query('x'.repeat(20_000_000)));
    const writer = new RecordStreamWriter();
    writer.transaction({ ...TRANSACTION, targets: [1], requestCount: 1 }, big);
    const bytes = writer.take();
    const { told, reader } = collect();
    for (let at = 0; at < bytes.length; at += 65_536) reader.push(bytes.subarray(at, at + 65_536));
    assert.equal(told.length, 1);
  });

  it('fills a batch again that was given back', () => {
    const writer = new RecordStreamWriter();
    writer.clientGone(1);
    const batch = writer.take();
    writer.recycle(batch);
    writer.take();
    writer.clientGone(2);
    assert.equal(writer.take().buffer, batch.buffer);
  });

  const malformed: Readonly<Record<string, Buffer>> = {
    'a length below its own header': Buffer.from([4, 0, 0, 0, 1]),
    'a length beyond every bound': Buffer.from([0xff, 0xff, 0xff, 0xff, 8]),
    'a type that is none': frame(12),
    'a type that is none, of a frame that is not there yet': Buffer.from('GET / HTTP/1.1'),
    'a hello too short': frame(1, u32(1)),
    'a string beyond its frame': frame(6, u32(1), u32(1000), Buffer.from('a')),
    'settings beyond their frame': frame(4, u32(1), u16(1000)),
    'a transaction too short': frame(8, u32(1)),
    'targets beyond their frame': frame(8, Buffer.alloc(33), u16(1000), u32(0)),
    'a request beyond its frame': transactionFrame(requestBytes(SELECT, [0, 0], SELECT.length + 1), 1),
    'requests that are not there': transactionFrame(requestBytes(SELECT), 2),
    'bytes behind the last request': transactionFrame(REQUESTS, 1),
    'a range to skip beyond its request': transactionFrame(requestBytes(SELECT, [3, 300]), 1),
    'a range to skip that ends before it begins': transactionFrame(requestBytes(SELECT, [3, 2]), 1),
    'a message beyond its request': transactionFrame(requestBytes(Buffer.from('Q\0\0\0\x09abc')), 1),
    'a message length below four': transactionFrame(requestBytes(Buffer.from('S\0\0\0\x03')), 1),
    'a message header cut off': transactionFrame(requestBytes(Buffer.from('S\0\0')), 1),
  };
  for (const [name, bytes] of Object.entries(malformed)) {
    it(`refuses ${name}`, () => assert.throws(() => collect().reader.push(bytes), RecordStreamError));
  }
});
