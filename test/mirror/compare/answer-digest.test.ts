import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AnswerDigester } from '../../../src/mirror/compare/answer-digester.ts';
import { differenceOf, digestWords } from '../../../src/mirror/compare/difference.ts';
import { DIGEST_LENGTH } from '../../../src/mirror/compare/digest-format.ts';

function message(type: string, ...parts: readonly (Buffer | number[])[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const header = Buffer.alloc(5);
  header.write(type, 'latin1');
  header.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

const int16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];
const int32 = (value: number): number[] => [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
const text = (value: string): Buffer => Buffer.from(`${value}\0`);

function row(...values: readonly (string | null)[]): Buffer {
  const columns = values.map((value) =>
    value === null ? Buffer.from(int32(-1)) : Buffer.concat([Buffer.from(int32(value.length)), Buffer.from(value)]),
  );
  return message('D', int16(values.length), ...columns);
}

/** Columns of type 25 of table 7, unless `type` says another. */
function description(names: readonly string[], { table = 7, type = 25 } = {}): Buffer {
  const fields = names.map((name, index) =>
    Buffer.concat([
      text(name),
      Buffer.from([...int32(table), ...int16(index + 1), ...int32(type), ...int16(-1), ...int32(-1), 0, 0]),
    ]),
  );
  return message('T', int16(names.length), ...fields);
}

const tag = (words: string): Buffer => message('C', text(words));
const ready = message('Z', Buffer.from('I'));

function digest(...messages: readonly Buffer[]): Buffer {
  return digestCut([Buffer.concat(messages)]);
}

function digestCut(chunks: readonly Buffer[]): Buffer {
  const digester = new AnswerDigester();
  digester.begin();
  for (const chunk of chunks) digester.push(chunk);
  return digester.end();
}

const classOf = (source: Buffer, mirror: Buffer) => differenceOf(source, mirror)?.answerClass;

describe('The digest of an answer', () => {
  const rows = Array.from({ length: 300 }, (_, n) =>
    row(String(n), n % 3 === 0 ? null : `value ${n}`, 'x'.repeat(n * 9)),
  );
  const answer = Buffer.concat([description(['id', 'value', 'more']), ...rows, tag('SELECT 300'), ready]);

  it('is the same however the answer is cut', () => {
    const whole = digestCut([answer]);
    assert.equal(whole.length, DIGEST_LENGTH);
    for (const size of [1, 2, 3, 5, 7, 100, 1000, 1023, 4096, 65_536]) {
      const chunks: Buffer[] = [];
      for (let at = 0; at < answer.length; at += size) chunks.push(answer.subarray(at, at + size));
      assert.deepEqual(digestCut(chunks), whole, `chunks of ${size}`);
    }
    const short = Buffer.concat([description(['a']), row('1'), row(null), tag('SELECT 2'), ready]);
    for (let at = 1; at < short.length; at++) {
      assert.deepEqual(digestCut([short.subarray(0, at), short.subarray(at)]), digestCut([short]), `cut at ${at}`);
    }
  });

  it('begins anew with each request', () => {
    const digester = new AnswerDigester();
    digester.begin();
    digester.push(Buffer.concat([description(['a']), row('1'), tag('SELECT 1'), ready]));
    digester.end();
    digester.begin();
    digester.push(Buffer.concat([row('2'), tag('SELECT 1'), ready]));
    assert.deepEqual(digester.end(), digest(row('2'), tag('SELECT 1'), ready));
  });

  it('tells a changed value, its column, and nothing of its neighbours', () => {
    const change = differenceOf(digest(row('1', 'a'), row('2', 'b')), digest(row('1', 'a'), row('2', 'c')));
    assert.deepEqual(change, { answerClass: 'row_content', columns: [1] });
    assert.equal(classOf(digest(row('ab', 'c')), digest(row('a', 'bc'))), 'row_content');
    assert.equal(classOf(digest(row('')), digest(row(null))), 'row_content');
    assert.equal(classOf(digest(row('1', '2')), digest(row('2', '1'))), 'row_content');
    assert.equal(classOf(digest(row('x'.repeat(5000))), digest(row(`${'x'.repeat(4999)}y`))), 'row_content');
  });

  it('says in words what it is and which columns differ, and nothing of what they hold', () => {
    const one = digest(row('1', 'secret', 'x'), tag('SELECT 1'));
    assert.match(digestWords(one, 'row_content', [1]), /^1 row, column 2 #[0-9a-f]{16}$/);
    assert.match(digestWords(one, 'row_content', [0, 2]), /^1 row, columns 1, 3 #[0-9a-f]{16}$/);
    assert.match(digestWords(one, 'row_content'), /^1 row #[0-9a-f]{16}$/);
    assert.match(digestWords(one, 'schema'), /^names or types of columns #[0-9a-f]{8}$/);
    assert.equal(digestWords(one, 'row_count'), '1 row');
    assert.equal(digestWords(one, 'tag'), 'SELECT 1');
  });

  it('tells another order from other rows', () => {
    assert.equal(classOf(digest(row('1'), row('2')), digest(row('2'), row('1'))), 'order_only');
    assert.equal(classOf(digest(row('1'), row('1'), row('2')), digest(row('1'), row('2'), row('2'))), 'row_content');
    const backwards = Buffer.concat([...rows].reverse());
    assert.equal(classOf(digest(...rows), digest(backwards)), 'order_only');
  });

  it('tells the number of rows, tags, and columns apart', () => {
    assert.equal(classOf(digest(row('1'), tag('SELECT 1')), digest(tag('SELECT 0'))), 'row_count');
    assert.equal(classOf(digest(tag('UPDATE 1')), digest(tag('UPDATE 0'))), 'tag');
    assert.equal(classOf(digest(tag('COMMIT')), digest(tag('ROLLBACK'))), 'tag');
    assert.equal(classOf(digest(description(['a'])), digest(description(['b']))), 'schema');
    assert.equal(classOf(digest(description(['a'])), digest(description(['a'], { type: 20 }))), 'schema');
    assert.equal(classOf(digest(message('s')), digest(tag('SELECT 0'))), 'tag');
  });

  it('does not mind what is each server’s own: OIDs of tables and of types that users made', () => {
    const names = ['a', 'b'];
    assert.equal(classOf(digest(description(names)), digest(description(names, { table: 9 }))), undefined);
    const [one, other] = [description(names, { type: 16_500 }), description(names, { type: 17_000 })];
    assert.equal(classOf(digest(one), digest(other)), undefined);
  });

  it('digests what COPY TO gives', () => {
    const [one, two] = [message('d', Buffer.from('1\ta\n')), message('d', Buffer.from('2\tb\n'))];
    assert.equal(classOf(digest(one, two, tag('COPY 2')), digest(one, two, tag('COPY 2'))), undefined);
    assert.equal(classOf(digest(one, two, tag('COPY 2')), digest(two, one, tag('COPY 2'))), 'order_only');
  });

  it('tells where columns come from', () => {
    const digester = new AnswerDigester();
    digester.begin();
    digester.push(description(['a', 'b'], { table: 70_000 }));
    assert.deepEqual(digester.origins, [
      { place: '70000 1', type: 25 },
      { place: '70000 2', type: 25 },
    ]);
  });

  it('keeps next to nothing of an answer of any size', () => {
    const digester = new AnswerDigester();
    digester.begin();
    const header = Buffer.alloc(7);
    header.write('D', 'latin1');
    header.writeUInt32BE(1_000_000_000, 1);
    digester.push(header);
    const chunk = Buffer.alloc(65_536, 'x');
    const before = process.memoryUsage().arrayBuffers;
    for (let n = 0; n < 2000; n++) digester.push(chunk);
    assert.ok(process.memoryUsage().arrayBuffers - before < 8_000_000);
  });
});
