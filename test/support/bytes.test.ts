import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { bind, dataRow, errorFields, errorResponse, msg, query, rowValues, splitMessages, startup } from './bytes.ts';

describe('bytes', () => {
  it('builds a Query as the manual shows it', () => {
    assert.deepEqual([...query('AB')], [0x51, 0, 0, 0, 7, 0x41, 0x42, 0]);
  });

  it('builds a Bind with values in text format, null among them', () => {
    const expected = [
      0x42, 0, 0, 0, 0x1b, 0x70, 0, 0x73, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0x78, 0xff, 0xff, 0xff, 0xff, 0, 0,
    ];
    // type, length 23, portal "p", statement "s", no formats, two values: one byte "x" and null, no result formats
    expected[4] = expected.length - 1;
    assert.deepEqual([...bind('p', 's', 'x', null)], expected);
  });

  it('builds a StartupMessage without a type byte', () => {
    assert.equal(startup({ user: 'u' }).toString('latin1'), '\0\0\0\x10\0\x03\0\0user\0u\0\0');
  });

  it('splits messages and keeps the rest of an unfinished one', () => {
    const all = Buffer.concat([msg('S'), query('x'), msg('H')]);
    for (let length = 0; length <= all.length; length += 1) {
      const { messages, rest } = splitMessages(all.subarray(0, length));
      assert.equal(Buffer.concat([...messages.map(({ bytes }) => bytes), rest]).length, length);
      assert.equal(messages.length, [5, 12, 17].filter((end) => length >= end).length);
    }
  });

  it('reads the fields of an error and the values of a row', () => {
    const [error, row] = splitMessages(Buffer.concat([errorResponse('25P02', 'no'), dataRow('a', null, '')])).messages;
    assert.deepEqual(errorFields(error!), { S: 'ERROR', V: 'ERROR', C: '25P02', M: 'no' });
    assert.deepEqual(rowValues(row!), ['a', null, '']);
  });
});
