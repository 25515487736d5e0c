import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MessageCollector } from '../../src/protocol/message-collector.ts';
import { ProtocolError } from '../../src/protocol/protocol-error.ts';
import { commandComplete, dataRow, msg, readyForQuery } from '../support/bytes.ts';

interface Collected {
  readonly type: string;
  readonly message: Buffer;
}

/** What a collector makes of these chunks. */
function collect(chunks: readonly Buffer[], maxLength = 10_000): Collected[] {
  const collector = new MessageCollector({ maxLength });
  const collected: Collected[] = [];
  for (const chunk of chunks) {
    collector.push(chunk, (type, message) => void collected.push({ type: String.fromCharCode(type), message }));
  }
  return collected;
}

const MESSAGES = [dataRow('1', null), commandComplete('SELECT 1'), msg('3'), readyForQuery('I')];
const EXPECTED = MESSAGES.map((message) => ({ type: message.toString('latin1', 0, 1), message }));
const ALL = Buffer.concat(MESSAGES);

describe('collecting whole messages', () => {
  it('hands over several messages of one chunk in their order', () => {
    assert.deepEqual(collect([ALL]), EXPECTED);
  });

  it('hands over the same messages when they come byte by byte', () => {
    assert.deepEqual(collect([...ALL].map((byte) => Buffer.from([byte]))), EXPECTED);
  });

  it('hands over the same messages where each chunk comes in the memory of the last', () => {
    const collector = new MessageCollector({ maxLength: 10_000 });
    const collected: Collected[] = [];
    const memory = Buffer.alloc(3);
    for (let at = 0; at < ALL.length; at += 3) {
      const length = ALL.copy(memory, 0, at, at + 3);
      collector.push(memory.subarray(0, length), (type, message) => {
        collected.push({ type: String.fromCharCode(type), message });
      });
    }
    assert.deepEqual(collected, EXPECTED);
  });

  it('hands over the same messages wherever the chunks are split', () => {
    for (let at = 0; at <= ALL.length; at++) {
      assert.deepEqual(collect([ALL.subarray(0, at), ALL.subarray(at)]), EXPECTED, `split at ${at}`);
    }
  });

  it('says nothing of a message that is not whole', () => {
    assert.deepEqual(collect([ALL.subarray(0, -1)]), EXPECTED.slice(0, -1));
  });

  it('hands over copies, which stay when the chunk is used again', () => {
    const chunk = Buffer.from(ALL);
    const collected = collect([chunk]);
    chunk.fill(0);
    assert.deepEqual(collected, EXPECTED);
  });

  it('joins a message that comes in very many chunks', () => {
    const long = msg('D', Buffer.alloc(500_000, 'x'));
    const chunks = Array.from({ length: Math.ceil(long.length / 1000) }, (_, index) =>
      long.subarray(index * 1000, (index + 1) * 1000),
    );
    const [only, ...more] = collect(chunks, 1_000_000);
    assert.ok(only?.message.equals(long));
    assert.deepEqual(more, []);
  });

  it('keeps what follows when it is told to stop', () => {
    const collector = new MessageCollector({ maxLength: 100 });
    const seen: number[] = [];
    const one = (type: number): false => {
      seen.push(type);
      return false;
    };
    collector.push(Buffer.concat([msg('1'), msg('2'), msg('3')]), one);
    assert.deepEqual(seen, [0x31]);
    assert.deepEqual(collector.takeRest(), Buffer.concat([msg('2'), msg('3')]));
    assert.deepEqual(collector.takeRest(), Buffer.alloc(0));
  });

  it('goes on with what it kept when more comes', () => {
    const collector = new MessageCollector({ maxLength: 100 });
    const seen: string[] = [];
    const one = (type: number): false => {
      seen.push(String.fromCharCode(type));
      return false;
    };
    collector.push(Buffer.concat([msg('1'), msg('2')]), one);
    collector.push(msg('3'), one);
    collector.push(Buffer.alloc(0), one);
    assert.deepEqual(seen, ['1', '2', '3']);
  });

  it('gives back the bytes of a message that is not whole', () => {
    const collector = new MessageCollector({ maxLength: 100 });
    collector.push(Buffer.concat([msg('1'), Buffer.from('Z\0\0')]), () => undefined);
    assert.deepEqual(collector.takeRest(), Buffer.from('Z\0\0'));
  });

  for (const length of [0, 3, 0x7fff_ffff, 0xffff_ffff]) {
    it(`refuses a declared length of ${length}, also when the header comes in two pieces`, () => {
      const header = Buffer.from([0x5a, 0, 0, 0, 0]);
      header.writeUInt32BE(length, 1);
      for (const chunks of [[header], [header.subarray(0, 2), header.subarray(2)]]) {
        assert.throws(() => collect(chunks), new ProtocolError('invalid message length'));
      }
    });
  }

  it('takes a message of just the greatest length, and none that is longer', () => {
    const message = msg('D', Buffer.alloc(95));
    assert.equal(collect([message], 100).length, 1);
    assert.throws(() => collect([message], 99), ProtocolError);
  });

  it('refuses a message that is too long before its body comes', () => {
    assert.throws(() => collect([Buffer.from([0x44, 0, 1, 0, 0])], 10_000), ProtocolError);
  });
});
