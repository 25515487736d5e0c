import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { quoteIdentifier, quoteLiteral } from '../../src/util/sql-quote.ts';

describe('quoting a literal', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['', "''"],
    ['plain', "'plain'"],
    ["O'Hara", "'O''Hara'"],
    ["''", "''''''"],
    ['a"b', `'a"b'`],
    // A backslash means something else with standard_conforming_strings off: then only E'' says what it is.
    ['C:\\temp', " E'C:\\\\temp'"],
    ["\\'; drop table t; --", " E'\\\\''; drop table t; --'"],
    ['zwei\nZeilen', "'zwei\nZeilen'"],
  ];
  for (const [text, literal] of cases) {
    it(`makes ${literal} of ${JSON.stringify(text)}`, () => assert.equal(quoteLiteral(text), literal));
  }
});

describe('quoting an identifier', () => {
  for (const [name, identifier] of [
    ['plain', '"plain"'],
    ['Mixed Case', '"Mixed Case"'],
    ['a"b', '"a""b"'],
    ['a\\b', '"a\\b"'],
  ] as const) {
    it(`makes ${identifier} of ${name}`, () => assert.equal(quoteIdentifier(name), identifier));
  }
});
