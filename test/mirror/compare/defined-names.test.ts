import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { definedIn, wordsOf } from '../../../src/mirror/compare/defined-names.ts';

/** The words by which it is known what a text defines; with `…` where it may concern others besides. */
function defined(sql: string): string | undefined {
  const found = definedIn(sql);
  return found && [...found.words].join(' ') + (found.isAll ? '' : ' …');
}

describe('What a text defines', () => {
  it('is called by the last part of its name', () => {
    for (const [sql, expected] of [
      ['CREATE TABLE IF NOT EXISTS s.t (a int, b text)', 't'],
      ['CREATE UNLOGGED TABLE t AS SELECT 1', 't'],
      ['CREATE TYPE "My Mood" AS ENUM ($1)', 'mood'],
      ['CREATE FUNCTION db.s.f(a t) RETURNS int LANGUAGE sql AS $1', 'f'],
      ['CREATE SEQUENCE Numbers START $1', 'numbers'],
      ['CREATE OR REPLACE VIEW v AS SELECT 1', 'v'],
      ['CREATE MATERIALIZED VIEW größe AS SELECT 1', 'größe'],
      ['CREATE SCHEMA AUTHORIZATION someone', 'someone'],
      ['CREATE ROLE someone LOGIN', 'someone'],
      ['ALTER TABLE ONLY s.t RENAME TO u', 't u'],
      ['ALTER TABLE t RENAME a TO b', 't'],
      ['ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES s.u (b) ON DELETE CASCADE', 't u'],
      ['DROP TABLE IF EXISTS s.t, "U", v RESTRICT', 't u v'],
      ['DROP FUNCTION f(int, s.kind), g', 'f g'],
      ['SELECT 1; DROP TABLE t; DROP VIEW v', 't v'],
    ] as const) {
      assert.equal(defined(sql), expected, sql);
    }
  });

  it('concerns the relations that it belongs to', () => {
    for (const [sql, expected] of [
      ['CREATE UNIQUE INDEX ON s.t (a)', 't'],
      ['CREATE INDEX IF NOT EXISTS i ON ONLY t USING btree (a)', 'i t'],
      ['CREATE TRIGGER g BEFORE INSERT OR UPDATE OF a ON s.t FOR EACH ROW EXECUTE FUNCTION f()', 'g t'],
      ['CREATE RULE r AS ON INSERT TO t DO INSTEAD INSERT INTO u VALUES (new.a)', 'r t'],
      ['DROP RULE r ON t', 'r t'],
      ['CREATE POLICY p ON t TO someone USING (a IN (SELECT b FROM u JOIN v ON u.x = v.x))', 'p t'],
      ['CREATE STATISTICS s (ndistinct) ON a, b FROM t', 's t'],
      ['CREATE TABLE t (a int REFERENCES u) INHERITS (p, s.q)', 't u p q'],
      ['CREATE TABLE t PARTITION OF p DEFAULT', 't p'],
      ['ALTER TABLE p ATTACH PARTITION s.t DEFAULT', 'p t'],
      ['ALTER TABLE t INHERIT p', 't p'],
      ['CREATE SCHEMA s CREATE TABLE t (a int) CREATE VIEW v AS SELECT a FROM t', 's t v'],
    ] as const) {
      assert.equal(defined(sql), expected, sql);
    }
  });

  it('may be an extension, with whatever that brings', () => {
    for (const [sql, expected] of [
      ['CREATE EXTENSION IF NOT EXISTS "uuid-ossp"', true],
      ['ALTER EXTENSION hstore SET SCHEMA s', true],
      ['CREATE TABLE t (); DROP EXTENSION hstore CASCADE', true],
      ['CREATE TABLE extension (a int)', false],
    ] as const) {
      assert.equal(definedIn(sql)?.isExtension, expected, sql);
    }
  });

  it('may concern what does not name it', () => {
    for (const [sql, expected] of [
      ['DROP SCHEMA s CASCADE', 's …'],
      ['ALTER TABLE t DROP COLUMN a CASCADE', 't …'],
      ['DROP INDEX i', 'i …'],
      ['ALTER TYPE kind ADD VALUE $1', 'kind …'],
      ['ALTER SCHEMA s RENAME TO r', 's r …'],
      ['CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS $1', 'f …'],
      ['CREATE EXTENSION IF NOT EXISTS hstore', 'hstore …'],
      ['CREATE OPERATOR === (leftarg = t, rightarg = t, function = f)', ' …'],
      ['CREATE TABLE "!?" (a int)', ' …'],
      ['CREATE TABLE t (a int, b …', 't …'],
    ] as const) {
      assert.equal(defined(sql), expected, sql);
    }
  });

  it('is nothing for what only one session sees, for what is built CONCURRENTLY, and for other statements', () => {
    for (const sql of [
      'CREATE TEMP TABLE t (a int)',
      'CREATE LOCAL TEMPORARY VIEW v AS SELECT 1',
      'CREATE INDEX CONCURRENTLY i ON t (a)',
      'INSERT INTO t VALUES ($1)',
      'DO $1',
      'not SQL',
      '',
    ]) {
      assert.equal(defined(sql), undefined, sql);
    }
  });
});

it('the words of a text are those of its constants, too', () => {
  const bytes = Buffer.from(`SELECT nextval('s.numbers'), "Größe" FROM t$1 -- and so on`).toString('latin1');
  assert.deepEqual(wordsOf(bytes), ['select', 'nextval', 's', 'numbers', 'größe', 'from', 't$1', 'and', 'so', 'on']);
});
