import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deallocatedName } from '../../src/session/deallocated-name.ts';
import { configuredParameters, namedParameters, parseSet, spokenParameters } from '../../src/session/set-statement.ts';
import { cstr } from '../support/bytes.ts';

describe('the parameters that a text speaks of', () => {
  const spoken: readonly (readonly [string, readonly string[]])[] = [
    ["SET TimeZone = 'UTC'; set session DateStyle to iso", ['timezone', 'datestyle']],
    ["SET TIME  ZONE 'UTC'", ['timezone']],
    ["SET SESSION TIME ZONE LOCAL; SET NAMES 'UTF8'; SET SCHEMA 'a'", ['timezone', 'client_encoding', 'search_path']],
    ['SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE', ['default_transaction_read_only']],
    ['RESET "TimeZone"; reset all', ['timezone', 'all']],
    ["BEGIN; SET LOCAL TimeZone = 'UTC'; COMMIT", ['local']],
  ];
  for (const [text, names] of spoken)
    it(`are ${names.join()}: ${text}`, () => assert.deepEqual(spokenParameters(text), names));

  it('are those of set_config() that do not hold for the transaction alone', () => {
    const text =
      "SELECT set_config('TimeZone', $1, false), set_config('a.b', 'c', true), set_config('D', lower('E'), $2)";
    assert.deepEqual(configuredParameters(text), ['timezone', 'd']);
  });
});

describe('a SET statement', () => {
  const plain: readonly (readonly [string, string, string])[] = [
    ['SET statement_timeout = 5000', 'statement_timeout', '5000'],
    ["set statement_timeout to '5s';", 'statement_timeout', '5s'],
    ["  SET SESSION Work_Mem = '4MB' ", 'work_mem', '4MB'],
    ['SET "work_mem" TO \'4MB\'', 'work_mem', '4MB'],
    ["SET a.b = 'O''Hara'", 'a.b', "O'Hara"],
    ['SET geqo TO Off', 'geqo', 'off'],
    ['SET seq_page_cost = -1.5', 'seq_page_cost', '-1.5'],
    ["SET application_name = ''", 'application_name', ''],
    ["SET a.b='c'", 'a.b', 'c'],
  ];
  for (const [text, name, value] of plain) {
    it(`is plain: ${text}`, () => assert.deepEqual(parseSet(text), { kind: 'set', name, value }));
  }

  for (const text of [
    'SET LOCAL work_mem = 5',
    "set local a.b to 'c'",
    'SET TRANSACTION READ ONLY',
    'SET CONSTRAINTS ALL DEFERRED',
    'SET LOCAL ROLE anna',
  ]) {
    it(`holds for the transaction alone: ${text}`, () => assert.deepEqual(parseSet(text), { kind: 'local' }));
  }

  const unclear: readonly (readonly [string, readonly string[]])[] = [
    ['SET search_path = a', []],
    ["SET search_path = 'a, b'", []],
    ['SET work_mem = DEFAULT', []],
    ['SET a.b = DEFAULT', ['a.b']],
    ['SET datestyle = iso, mdy', []],
    ["SET a.b = E'x\\n'", ['a.b']],
    ["SET work_mem = 'a\\b'", []],
    ['SET ROLE anna', []],
    ['SET SESSION AUTHORIZATION anna', []],
    ["SET TIME ZONE 'UTC'", []],
    ["SET NAMES 'UTF8'", []],
    ['SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY', []],
    ["SET work_mem = '1'; SET a.b = '2'", ['a.b']],
    ["/* x */ SET work_mem = '1'", []],
    ['RESET ALL', []],
  ];
  for (const [text, names] of unclear) {
    it(`is not plain: ${text}`, () => assert.deepEqual(parseSet(text), { kind: 'unclear', names }));
  }
});

describe('the parameters with a dot that a text names', () => {
  it('are those of SET, RESET and set_config()', () => {
    const text = `set App.Tenant = 1; reset "my.own"; select set_config('a.b.c', 'x', true), set_config ( 'd', 'y', false)`;
    assert.deepEqual(namedParameters(text), ['app.tenant', 'my.own', 'a.b.c', 'd']);
    assert.deepEqual(namedParameters('select a.b from c.d'), []);
  });
});

describe('the name that a DEALLOCATE names', () => {
  /** As it stands in a Query message with other bytes before it. */
  function named(text: string): string | undefined {
    const bytes = Buffer.concat([Buffer.from('Q\0\0\0\0'), cstr(text)]);
    return deallocatedName(bytes, 5, bytes.length)?.toString();
  }

  const cases: readonly (readonly [string, string | undefined])[] = [
    ['DEALLOCATE a', 'a'],
    ['deallocate prepare PDO_Stmt_1;', 'pdo_stmt_1'],
    [' DEALLOCATE "Mixed ""Case""" ; ', 'Mixed "Case"'],
    ['DEALLOCATE "all"', 'all'],
    ['DEALLOCATE größe', 'größe'],
    ['DEALLOCATE ALL', undefined],
    ['DEALLOCATE PREPARE ALL', undefined],
    ['DEALLOCATE a; SELECT 1', undefined],
    ['DEALLOCATE', undefined],
    ['SELECT 1', undefined],
    ['DELETE FROM t', undefined],
    ['', undefined],
    [`DEALLOCATE ${'x'.repeat(300)}`, undefined],
  ];
  for (const [text, expected] of cases) {
    it(`is ${expected ?? 'nobody'} in: ${text.slice(0, 40)}`, () => assert.equal(named(text), expected));
  }
});
