import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AnswerWalker } from '../../../src/mirror/replay/answer-walker.ts';
import {
  commandComplete,
  cstr,
  dataRow,
  errorResponse,
  int32,
  msg,
  parameterStatus,
  readyForQuery,
  rowDescription,
} from '../../support/bytes.ts';

function collect(): { told: string[]; walker: AnswerWalker } {
  const told: string[] = [];
  const walker = new AnswerWalker({
    readyForQuery: (status) => told.push(`Z ${String.fromCharCode(status)}`),
    errorResponse: (sqlstate) => told.push(`E ${sqlstate}`),
    noticeResponse: (sqlstate) => told.push(`N ${sqlstate}`),
    copyInResponse: () => told.push('G'),
    sessionCommand: (tag) => told.push(`C ${tag}`),
    parameterStatus: (name, value) => told.push(`S ${name} ${value}`),
    statementDone: () => told.push('1'),
    garbage: () => told.push('garbage'),
  });
  return { told, walker };
}

const ANSWER = Buffer.concat([
  parameterStatus('TimeZone', 'UTC'),
  msg('1'),
  msg('2'),
  rowDescription('a'),
  ...Array.from({ length: 5 }, () => dataRow('x'.repeat(700), null)),
  commandComplete('SELECT 5'),
  commandComplete('SET'),
  commandComplete('DEALLOCATE ALL'),
  commandComplete('ROLLBACK'),
  ...['ALTER TABLE', 'CREATE VIEW', 'ANALYZE', 'COMMIT', 'COPY 1', 'CALL', 'CLOSE CURSOR'].map(commandComplete),
  errorResponse('23505', 'm'.repeat(2000)),
  msg('N', cstr('SNOTICE'), cstr('C57P02'), Buffer.from([0])),
  msg('G', Buffer.from([0, 0, 0])),
  msg('3'),
  readyForQuery('E'),
  readyForQuery('I'),
]);
const TOLD = [
  'S TimeZone UTC',
  '1',
  'C SET',
  'C DEALLOCATE ALL',
  'C ALTER TABLE',
  'C CREATE VIEW',
  'E 23505',
  'N 57P02',
  'G',
  '1',
  'Z E',
  'Z I',
];

describe('the answers of a mirror', () => {
  it('are walked whole', () => {
    const { told, walker } = collect();
    walker.push(ANSWER);
    assert.deepEqual(told, TOLD);
  });

  it('are walked byte by byte, and cut in two at every offset', () => {
    const slow = collect();
    for (const byte of ANSWER) slow.walker.push(Buffer.from([byte]));
    assert.deepEqual(slow.told, TOLD);
    for (let cut = 1; cut < ANSWER.length; cut++) {
      const { told, walker } = collect();
      walker.push(ANSWER.subarray(0, cut));
      walker.push(ANSWER.subarray(cut));
      assert.deepEqual(told, TOLD, `cut at ${cut}`);
    }
  });

  it('a row of a gigabyte is passed over', () => {
    const { told, walker } = collect();
    const chunk = Buffer.alloc(1_000_000);
    walker.push(Buffer.concat([Buffer.from('D'), int32(1_000_000_000)]));
    for (let left = 1_000_000_000 - 4; left > 0; left -= chunk.length) {
      walker.push(chunk.subarray(0, Math.min(left, chunk.length)));
    }
    walker.push(readyForQuery('I'));
    assert.deepEqual(told, ['Z I']);
  });

  it('an error without a SQLSTATE is one all the same', () => {
    const { told, walker } = collect();
    walker.push(msg('E', Buffer.from([0])));
    assert.deepEqual(told, ['E XX000']);
  });

  for (const [name, bytes] of Object.entries({
    'another protocol': Buffer.from('HTTP/1.1 400 Bad Request'),
    'an unknown type': Buffer.from('x\0\0\0\x04'),
    'a length below four': Buffer.from('Z\0\0\0\x03I'),
    'a ReadyForQuery of a wrong length': msg('Z', Buffer.from('II')),
    'a CommandComplete of a length that none has': Buffer.from('C\x10\0\0\0'),
    'a login message': msg('X'),
  })) {
    it(`${name} is garbage, and nothing behind it is looked at`, () => {
      const { told, walker } = collect();
      walker.push(Buffer.concat([bytes, readyForQuery('I')]));
      walker.push(readyForQuery('I'));
      assert.deepEqual(told, ['garbage']);
    });
  }

  it('nothing is told once it was stopped', () => {
    const { told, walker } = collect();
    walker.stop();
    walker.push(readyForQuery('I'));
    assert.deepEqual(told, []);
  });
});
