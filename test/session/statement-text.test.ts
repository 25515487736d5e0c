import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headWords, splitStatements } from '../../src/session/statement-text.ts';

function texts(sql: string, standardConformingStrings = true): string[] {
  return splitStatements(sql, standardConformingStrings).map(({ start, end }) => sql.slice(start, end));
}

const cases: readonly [name: string, sql: string, expected: readonly string[]][] = [
  ['one statement without a semicolon', 'SELECT 1', ['SELECT 1']],
  ['two statements', 'SELECT 1; SELECT 2;', ['SELECT 1', 'SELECT 2']],
  ['empty statements are left out', ' ;; \n;SELECT 1;;', ['SELECT 1']],
  ['nothing but a comment is nothing', '/* a */ -- b', []],
  ['a semicolon in a string', `SELECT ';'; SELECT 2`, [`SELECT ';'`, 'SELECT 2']],
  ['a doubled quote in a string', `SELECT 'it''s;'; SELECT 2`, [`SELECT 'it''s;'`, 'SELECT 2']],
  ['a backslash in a standard string ends nothing', `SELECT '\\'; SELECT 2`, [`SELECT '\\'`, 'SELECT 2']],
  ['a backslash in an E string escapes the quote', `SELECT E'\\';'; SELECT 2`, [`SELECT E'\\';'`, 'SELECT 2']],
  ['a lower-case e', `SELECT e'\\';'; SELECT 2`, [`SELECT e'\\';'`, 'SELECT 2']],
  ['a U& string knows no backslash', `SELECT U&'\\'; SELECT 2`, [`SELECT U&'\\'`, 'SELECT 2']],
  ['bit strings', `SELECT B'1;', x'f;'; SELECT 2`, [`SELECT B'1;', x'f;'`, 'SELECT 2']],
  ['an identifier that ends in e', `SELECT code'\\'; SELECT 2`, [`SELECT code'\\'`, 'SELECT 2']],
  ['a string continued on the next line', `SELECT 'a'\n';'; SELECT 2`, [`SELECT 'a'\n';'`, 'SELECT 2']],
  ['an E string continued', `SELECT E'a' -- c\n  '\\';'; SELECT 2`, [`SELECT E'a' -- c\n  '\\';'`, 'SELECT 2']],
  ['a string is not continued on its line', `SELECT E'a' '\\'; SELECT 2`, [`SELECT E'a' '\\'`, 'SELECT 2']],
  ['dollar quotes', 'SELECT $$;$$; SELECT 2', ['SELECT $$;$$', 'SELECT 2']],
  ['dollar quotes with a tag', 'SELECT $a$;$$;$b$;$a$; SELECT 2', ['SELECT $a$;$$;$b$;$a$', 'SELECT 2']],
  ['a dollar within an identifier', 'SELECT a$b$; SELECT c$b$', ['SELECT a$b$', 'SELECT c$b$']],
  ['parameters are no dollar quotes', 'SELECT $1; SELECT $1$', ['SELECT $1', 'SELECT $1$']],
  ['quoted identifiers', 'SELECT ";"";" ; SELECT 2', ['SELECT ";"";"', 'SELECT 2']],
  ['line comments', 'SELECT 1 -- ;\n; SELECT 2', ['SELECT 1', 'SELECT 2']],
  ['nested comments', 'SELECT 1 /* ; /* ; */ ; */; SELECT 2', ['SELECT 1', 'SELECT 2']],
  ['a quote in a comment', `SELECT 1 /* ' */; SELECT 2 -- '`, ['SELECT 1', 'SELECT 2']],
  ['a comment right behind an operator', 'SELECT 1+/*;*/1; SELECT 2', ['SELECT 1+/*;*/1', 'SELECT 2']],
  ['a comment right behind a number', 'SELECT 1e--;\n; SELECT 2', ['SELECT 1e', 'SELECT 2']],
  [
    'a rule of two statements',
    'CREATE RULE r AS ON INSERT TO t DO (A; B); SELECT 2',
    ['CREATE RULE r AS ON INSERT TO t DO (A; B)', 'SELECT 2'],
  ],
  [
    'a function with a standard body',
    'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3',
    ['CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END', 'SELECT 3'],
  ],
  [
    'a CASE in such a body',
    'CREATE OR REPLACE PROCEDURE f() BEGIN ATOMIC SELECT CASE WHEN a THEN b END; SELECT 2; END; COMMIT',
    ['CREATE OR REPLACE PROCEDURE f() BEGIN ATOMIC SELECT CASE WHEN a THEN b END; SELECT 2; END', 'COMMIT'],
  ],
  ['BEGIN is a statement of its own', 'BEGIN; SELECT 1; END', ['BEGIN', 'SELECT 1', 'END']],
  ['an unterminated string takes the rest', `SELECT 'a; COMMIT`, [`SELECT 'a; COMMIT`]],
  ['an unterminated comment takes the rest', 'SELECT 1 /* ; COMMIT', ['SELECT 1']],
  ['an unterminated dollar quote takes the rest', 'DO $x$ ; COMMIT', ['DO $x$ ; COMMIT']],
  [
    'bytes above ASCII belong to identifiers',
    'SELECT \u00e9\u00a0$a$; SELECT 2',
    ['SELECT \u00e9\u00a0$a$', 'SELECT 2'],
  ],
];

for (const [name, sql, expected] of cases) {
  test(`splits: ${name}`, () => assert.deepEqual(texts(sql), expected));
}

test('without standard_conforming_strings a backslash escapes in every string', () => {
  assert.deepEqual(texts(`SELECT '\\';'; SELECT 2`, false), [`SELECT '\\';'`, 'SELECT 2']);
});

test('the words of a statement are in lower case and end at the first other token', () => {
  const [first, second] = splitStatements('/* x */ Commit AND  Chain; INSERT INTO "Weird; Name" (a) VALUES (1)');
  assert.deepEqual(first?.words, ['commit', 'and', 'chain']);
  assert.deepEqual(second?.words, ['insert', 'into', 'Weird; Name']);
});

test('parentheses before the first word are passed over', () => {
  assert.deepEqual(headWords('((SELECT 1))'), ['select']);
  assert.deepEqual(headWords(''), []);
});

test('a long text is split in time that grows with its length alone', () => {
  const sql = `INSERT INTO t VALUES ${Array.from({ length: 50_000 }, (_, i) => `(${i}, 'a''b;c')`).join(', ')}; SELECT 1`;
  const statements = splitStatements(sql);
  assert.equal(statements.length, 2);
});
