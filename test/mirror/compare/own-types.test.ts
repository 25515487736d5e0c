import assert from 'node:assert/strict';
import { it } from 'node:test';
import { serialize } from 'pg-protocol';

import { namesOwnTypes } from '../../../src/mirror/compare/own-types.ts';
import { PreparedStatement } from '../../../src/mirror/replay/prepared-statement.ts';
import { parse, query, sync } from '../../../src/protocol/frontend-messages.ts';
import { recording } from '../recordings.ts';

const INT4 = 23;
const OWN = 16_500;

/** What follows the name in a Parse message. */
function definition(...types: readonly number[]): Buffer {
  const counted = Buffer.alloc(2 + 4 * types.length);
  counted.writeInt16BE(types.length, 0);
  for (const [index, type] of types.entries()) counted.writeUInt32BE(type, 2 + 4 * index);
  return Buffer.concat([Buffer.from('SELECT $1\0'), counted]);
}

function words(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length);
  for (const [index, number] of numbers.entries()) bytes.writeUInt32BE(number, 4 * index);
  return bytes;
}

/** An array of one element and a row of one column, in the binary format. */
const arrayOf = (type: number): Buffer => words(1, 0, type, 1, 1, 4, 42);
const rowOf = (type: number): Buffer => words(1, type, 4, 42);

const known = new PreparedStatement('known', definition(INT4, OWN));

/** Whether the second request of a transaction does, with these messages and a Sync. */
function names(...messages: readonly Buffer[]): boolean {
  const requests = [{ messages: [query('BEGIN')] }, { messages: [...messages, sync()] }];
  return namesOwnTypes(
    {
      recorded: { recording: recording(...requests) } as never,
      unnamed: undefined,
      origin: { statements: (name) => (name === 'known' ? known : undefined), acknowledge: () => undefined },
    },
    1,
  );
}

const bind = (value: string | Buffer | null, statement = ''): Buffer => serialize.bind({ statement, values: [value] });

it('types that users made are named by a Parse, or by that of the statement which a Bind binds', () => {
  assert.ok(names(parse('', definition(OWN)), bind('x')));
  assert.ok(names(parse('', definition(OWN))));
  assert.ok(names(bind('x', 'known')));
  assert.ok(!names(parse('', definition(INT4, 0)), bind('x')));
  assert.ok(!names(bind('x', 'unknown')));
  assert.ok(!names(query('SELECT 1')));
});

it('types that users made are named by arrays and rows in the binary format', () => {
  const statement = parse('', definition());
  assert.ok(names(statement, bind(arrayOf(OWN))));
  assert.ok(names(statement, bind(rowOf(OWN))));
  for (const value of [arrayOf(INT4), rowOf(INT4), words(1, OWN, 5, 42), Buffer.alloc(3), 'text', null]) {
    assert.ok(!names(statement, bind(value)));
  }
});
