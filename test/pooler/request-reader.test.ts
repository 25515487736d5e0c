import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RequestReader } from '../../src/pooler/request-reader.ts';
import type { RequestHandler } from '../../src/pooler/request-reader.ts';
import type { ProtocolError } from '../../src/protocol/protocol-error.ts';
import { bind, describe as describeMessage, execute, msg, parse, query, sync, terminate } from '../support/bytes.ts';

/** A session that takes everything, and notes what it was shown. */
class Session implements RequestHandler {
  readonly taken: Buffer[] = [];
  readonly calls: string[] = [];
  violationFound: ProtocolError | undefined;
  /** Says "not now" to so many messages. */
  busy = 0;
  /** What is said to the head of a long message. */
  takesLong: boolean | undefined = true;
  readonly reader: RequestReader;

  constructor(maxMessageSize = 0x4000_0000) {
    this.reader = new RequestReader(this, { maxMessageSize });
  }

  message(type: number, bytes: Buffer, start: number, end: number): boolean {
    if (this.busy > 0) {
      this.busy--;
      this.calls.push(`not now ${String.fromCharCode(type)}`);
      return false;
    }
    this.calls.push(`message ${String.fromCharCode(type)}`);
    this.taken.push(Buffer.from(bytes.subarray(start, end)));
    return true;
  }

  longMessage(type: number, bytes: Buffer, start: number, end: number, length: number): boolean | undefined {
    if (this.busy > 0) {
      this.busy--;
      return false;
    }
    if (this.takesLong === true) {
      this.calls.push(`long ${String.fromCharCode(type)} ${length}`);
      this.taken.push(Buffer.from(bytes.subarray(start, end)));
    }
    return this.takesLong;
  }

  piece(bytes: Buffer, start: number, end: number, last: boolean): void {
    this.calls.push(last ? 'last piece' : 'piece');
    this.taken.push(Buffer.from(bytes.subarray(start, end)));
  }

  violation(error: ProtocolError): void {
    assert.equal(this.violationFound, undefined, 'one violation is enough');
    this.violationFound = error;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.taken);
  }
}

const MESSAGES = [
  query('select 1'),
  parse('a', 'select $1', 23),
  bind('', 'a', '1'),
  describeMessage('P', ''),
  execute(''),
  sync,
  msg('d', Buffer.from('copy')),
  msg('c'),
  msg('f', Buffer.from('no\0')),
  msg('H'),
  msg('F', Buffer.alloc(12)),
  msg('C', Buffer.from('Sa\0')),
  terminate,
];
const ALL = Buffer.concat(MESSAGES);

describe("a client's messages", () => {
  it('are shown where they lie when they come at one stroke', () => {
    const session = new Session();
    session.reader.push(ALL);
    assert.deepEqual(session.taken, MESSAGES);
    assert.deepEqual([session.reader.pending, session.reader.blocked, session.reader.streaming], [0, false, false]);
  });

  it('are the same byte by byte', () => {
    const session = new Session();
    session.takesLong = undefined;
    for (const byte of ALL) session.reader.push(Buffer.from([byte]));
    assert.deepEqual(session.taken, MESSAGES);
    assert.equal(session.reader.pending, 0);
  });

  it('are the same wherever they are split', () => {
    for (let at = 0; at <= ALL.length; at++) {
      const session = new Session();
      session.takesLong = undefined;
      session.reader.push(ALL.subarray(0, at));
      session.reader.push(ALL.subarray(at));
      assert.deepEqual(session.taken, MESSAGES, `split at ${at}`);
    }
  });

  it('that are not whole are not shown, and counted as pending', () => {
    const session = new Session();
    session.reader.push(Buffer.concat([sync, sync.subarray(0, 3)]));
    assert.deepEqual([session.calls, session.reader.pending], [['message S'], 3]);
  });

  it('do not keep the chunk alive, or change with it, where a few bytes of it are left', () => {
    const session = new Session();
    const chunk = Buffer.concat([sync, query('select 1').subarray(0, 6)]);
    session.reader.push(chunk);
    chunk.fill(0xff);
    session.reader.push(query('select 1').subarray(6));
    assert.deepEqual(session.taken, [sync, query('select 1')]);
  });
});

describe('"not now"', () => {
  it('keeps everything from there on until the owner resumes', () => {
    const session = new Session();
    session.busy = 1;
    session.reader.push(Buffer.concat([query('a'), query('b')]));
    assert.ok(session.reader.blocked);
    session.reader.push(query('c').subarray(0, 4));
    session.reader.push(query('c').subarray(4));
    assert.deepEqual([session.taken, session.reader.pending], [[], 3 * query('a').length]);
    session.reader.resume();
    assert.deepEqual(
      [session.taken, session.reader.blocked, session.reader.pending],
      [[query('a'), query('b'), query('c')], false, 0],
    );
  });

  it('may be said again and again', () => {
    const session = new Session();
    session.busy = 3;
    session.reader.push(query('a'));
    for (let round = 0; round < 3; round++) {
      assert.deepEqual([session.reader.blocked, session.taken.length], [true, 0]);
      session.reader.resume();
    }
    assert.deepEqual(session.taken, [query('a')]);
    session.reader.resume();
    assert.deepEqual(session.taken, [query('a')]);
  });

  it('may be said to any message of several, at any split', () => {
    const bytes = Buffer.concat([query('a'), sync, query('b')]);
    for (let at = 0; at <= bytes.length; at++) {
      const session = new Session();
      session.busy = 1;
      session.reader.push(bytes.subarray(0, at));
      session.reader.push(bytes.subarray(at));
      session.reader.resume();
      assert.deepEqual(session.bytes, bytes, `split at ${at}`);
    }
  });
});

describe('a long message', () => {
  const long = query('x'.repeat(200_000));

  it('is passed on as it comes, and what follows is a message again', () => {
    const session = new Session();
    const all = Buffer.concat([sync, long, sync]);
    for (let at = 0; at < all.length; at += 50_000) session.reader.push(all.subarray(at, at + 50_000));
    assert.deepEqual(session.calls, [
      'message S',
      `long Q ${long.length}`,
      'piece',
      'piece',
      'piece',
      'last piece',
      'message S',
    ]);
    assert.deepEqual(session.bytes, all);
  });

  it('is being passed on until its last byte has come', () => {
    const session = new Session();
    session.reader.push(long.subarray(0, 10_000));
    assert.deepEqual([session.reader.streaming, session.reader.pending], [true, 0]);
    session.reader.push(long.subarray(10_000, -1));
    assert.equal(session.reader.streaming, true);
    session.reader.push(long.subarray(-1));
    assert.deepEqual([session.reader.streaming, session.calls.at(-1)], [false, 'last piece']);
  });

  it('is shown when so much of it is there that its names surely are', () => {
    const session = new Session();
    for (let at = 0; at < 4_095; at++) session.reader.push(long.subarray(at, at + 1));
    assert.deepEqual([session.calls, session.reader.pending], [[], 4_095]);
    session.reader.push(long.subarray(4_095, 4_096));
    assert.deepEqual(session.calls, [`long Q ${long.length}`]);
  });

  it('is one message where it lies whole in a chunk', () => {
    const session = new Session();
    session.reader.push(long);
    assert.deepEqual(session.calls, ['message Q']);
  });

  it('that must be seen whole is collected', () => {
    const session = new Session();
    session.takesLong = undefined;
    for (let at = 0; at < long.length; at += 7_000) session.reader.push(long.subarray(at, at + 7_000));
    assert.deepEqual(session.calls, ['message Q']);
    assert.deepEqual(session.bytes, long);
  });

  it('may be answered with "not now"', () => {
    const session = new Session();
    session.busy = 1;
    session.reader.push(long.subarray(0, 10_000));
    assert.ok(session.reader.blocked);
    session.reader.push(long.subarray(10_000));
    session.reader.resume();
    assert.deepEqual(session.bytes, long);
  });

  it('of 65 535 bytes is short: it is collected', () => {
    const session = new Session();
    const short = query('x'.repeat(65_535 - 6));
    assert.equal(short.length, 65_535);
    session.reader.push(short.subarray(0, 10_000));
    session.reader.push(short.subarray(10_000));
    assert.deepEqual(session.calls, ['message Q']);
  });
});

describe('CopyData', () => {
  const data = msg('d', Buffer.from('data'));

  it('is passed on as it comes, however short, once its header is there', () => {
    for (let at = 1; at < data.length; at++) {
      const session = new Session();
      session.reader.push(Buffer.concat([data, data.subarray(0, at)]));
      assert.equal(session.reader.streaming, at >= 5, `${at} bytes of it`);
      session.reader.push(Buffer.concat([data.subarray(at), msg('c')]));
      const split = at < 5 ? ['message d'] : ['long d 9', 'last piece'];
      assert.deepEqual(session.calls, ['message d', ...split, 'message c']);
      assert.deepEqual(session.bytes, Buffer.concat([data, data, msg('c')]));
    }
  });

  it('may be answered with "not now", and has to be kept then', () => {
    const session = new Session();
    session.busy = 1;
    const chunk = data.subarray(0, 7);
    session.reader.push(chunk);
    session.reader.push(data.subarray(7));
    session.reader.resume();
    assert.deepEqual([session.bytes, session.reader.pending], [data, 0]);
  });
});

describe('a chunk', () => {
  const rows = msg('d', Buffer.alloc(5_000, 'x'));

  it('is referred to while part of it is to be shown again', () => {
    const session = new Session();
    session.busy = 1;
    const chunk = Buffer.concat([sync, rows]);
    session.reader.push(chunk);
    assert.ok(session.reader.refersTo(chunk));
    session.reader.resume();
    assert.ok(!session.reader.refersTo(chunk));
  });

  it('is not referred to when all of it was passed on, but for a few bytes', () => {
    const session = new Session();
    const chunk = Buffer.allocUnsafeSlow(rows.length + 4); // as a socket's: nothing else is in its memory
    rows.copy(chunk, rows.copy(chunk));
    session.reader.push(chunk);
    assert.deepEqual([session.reader.refersTo(chunk), session.reader.pending], [false, 4]);
  });
});

describe('what breaks the protocol', () => {
  /** A message's header alone. */
  function header(type: string, length: number): Buffer {
    const bytes = Buffer.alloc(5);
    bytes.write(type, 'latin1');
    bytes.writeUInt32BE(length, 1);
    return bytes;
  }

  for (const type of ['p', 'Z', 'R', 'T', '\0', '\xff', 'q', ' ']) {
    it(`is a message of the type ${JSON.stringify(type)}`, () => {
      const session = new Session();
      session.reader.push(Buffer.concat([sync, header(type, 4), sync]));
      assert.deepEqual(session.taken, [sync], 'what stands before it is served, and nothing behind it');
      const { message, code } = session.violationFound!;
      assert.deepEqual([message, code], [`invalid frontend message type ${type.charCodeAt(0)}`, '08P01']);
    });
  }

  for (const length of [0, 3, 0x3fff_ffff, 0x7fff_ffff, 0xffff_ffff]) {
    it(`is a Query of the declared length ${length}`, () => {
      const session = new Session();
      session.reader.push(header('Q', length));
      assert.equal(session.violationFound?.message, 'invalid message length');
    });
  }

  // PQ_SMALL_MESSAGE_LIMIT: the length word may say 10 000.
  for (const type of ['C', 'D', 'E', 'H', 'S', 'X', 'c', 'f']) {
    it(`is a long message of a type that carries no bulk: ${type}`, () => {
      const [fits, tooLong] = [new Session(), new Session()];
      fits.reader.push(header(type, 10_000));
      assert.equal(fits.violationFound, undefined);
      tooLong.reader.push(header(type, 10_001));
      assert.equal(tooLong.violationFound?.message, 'invalid message length');
    });
  }

  for (const type of ['Q', 'P', 'B', 'F', 'd']) {
    it(`is not a long message of a type that may carry bulk: ${type}`, () => {
      const session = new Session();
      session.reader.push(header(type, 0x3fff_fffe));
      assert.equal(session.violationFound, undefined);
    });
  }

  it('is a message longer than this client may send', () => {
    const [fits, tooLong] = [new Session(100), new Session(100)];
    fits.reader.push(query('x'.repeat(95)));
    assert.deepEqual([fits.taken.length, fits.violationFound], [1, undefined]);
    tooLong.reader.push(query('x'.repeat(96)));
    assert.equal(tooLong.violationFound?.message, 'invalid message length');
  });

  it('ends all reading', () => {
    const session = new Session();
    session.reader.push(header('Q', 0));
    session.reader.push(sync);
    session.reader.resume();
    assert.deepEqual([session.taken, session.reader.pending], [[], 0]);
  });

  it('shows as soon as the header is there, in whatever pieces', () => {
    const session = new Session();
    for (const byte of header('Z', 4)) session.reader.push(Buffer.from([byte]));
    assert.notEqual(session.violationFound, undefined);
  });
});

describe('a reader that is stopped', () => {
  it('reads no more, even of the chunk that it is in', () => {
    const session = new Session();
    const stopping = new (class extends Session {
      override message(type: number, bytes: Buffer, start: number, end: number): boolean {
        this.reader.stop();
        return super.message(type, bytes, start, end);
      }
    })();
    stopping.reader.push(Buffer.concat([sync, sync, sync.subarray(0, 2)]));
    assert.deepEqual([stopping.taken.length, stopping.reader.pending], [1, 0]);
    session.reader.push(sync.subarray(0, 2));
    session.reader.stop();
    session.reader.push(sync.subarray(2));
    assert.deepEqual([session.taken, session.reader.pending], [[], 0]);
  });
});
