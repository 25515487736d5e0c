import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Effect, effectsOf } from '../../../src/mirror/replay/statement-effects.ts';

const texts: readonly [effects: number, text: string][] = [
  [Effect.Read, 'SELECT 1'],
  [Effect.Read, '(SELECT 1) UNION SELECT 2'],
  [Effect.Read, 'WITH a AS (SELECT 1) SELECT * FROM a'],
  [Effect.Read, `SELECT 'DELETE FROM t'`],
  [Effect.Read, 'EXPLAIN SELECT 1'],
  [Effect.Read, 'COPY t TO STDOUT'],
  [Effect.Read, 'DECLARE c CURSOR FOR SELECT 1'],
  [Effect.None, 'BEGIN; COMMIT; ROLLBACK; SAVEPOINT a; RELEASE a'],
  [Effect.None, `SET TimeZone = 'UTC'; SHOW TimeZone; RESET ALL; DISCARD ALL`],
  [Effect.Write, 'BEGIN READ WRITE'],
  [Effect.Write, 'SET TRANSACTION READ WRITE'],
  [Effect.Write, 'SET default_transaction_read_only = off'],
  [Effect.Write, 'START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE'],
  [Effect.Write, 'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE'],
  [Effect.Write, `SELECT set_config('transaction_read_only', 'off', true)`],
  [Effect.Write, `SELECT set_config($1, $2, true)`],
  [Effect.Read, `SELECT set_config('search_path', 'x', false)`],
  [Effect.None, 'BEGIN READ ONLY'],
  [Effect.None, 'SET TRANSACTION READ ONLY, ISOLATION LEVEL REPEATABLE READ'],
  [Effect.None, 'RESET transaction_read_only; SET CONSTRAINTS ALL DEFERRED; CLOSE c; DEALLOCATE p'],
  [Effect.None, ''],
  [Effect.None, ' ; -- nothing'],
  [Effect.Write, 'INSERT INTO t VALUES (1)'],
  [Effect.Write, `PREPARE TRANSACTION 'a'`],
  [Effect.Write, `COMMIT PREPARED 'a'`],
  [Effect.Write, 'SELECT 1 FROM t FOR UPDATE'],
  [Effect.Write, 'SELECT 1 FROM t FOR NO KEY UPDATE'],
  [Effect.Write, 'SELECT 1 FROM t FOR SHARE'],
  [Effect.Write, 'WITH a AS (DELETE FROM t RETURNING id) SELECT * FROM a'],
  [Effect.Write, 'EXPLAIN ANALYZE UPDATE t SET a = 1'],
  [Effect.Write, 'EXPLAIN (ANALYZE true, COSTS) DELETE FROM t'],
  [Effect.Read, 'EXPLAIN UPDATE t SET a = 1'],
  [Effect.Read, 'EXPLAIN (ANALYZE off) DELETE FROM t'],
  [Effect.Read, 'EXPLAIN (ANALYZE 0, VERBOSE) DELETE FROM t'],
  [Effect.Read, 'EXPLAIN (ANALYZE) SELECT 1'],
  [Effect.Read, 'TABLE t; VALUES (1)'],
  [Effect.Read, 'FETCH 2 FROM c; MOVE c'],
  [Effect.Read, 'SELECT "nextval" FROM updates /* for update */'],
  [Effect.Read, `SELECT a AS update, b AS "into" FROM t`],
  [Effect.Read, 'PREPARE p AS SELECT $1::int'],
  [Effect.Write, 'PREPARE p AS DELETE FROM t WHERE id = $1'],
  [Effect.Write, 'DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE'],
  [Effect.Write, 'COPY (DELETE FROM t RETURNING *) TO STDOUT'],
  [Effect.Write, 'SELECT (SELECT 1 FROM t FOR KEY SHARE OF t LIMIT 1)'],
  [Effect.Write, 'MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE'],
  [Effect.Write, `SELECT pg_catalog.setval('s', 1)`],
  [Effect.Write, `SELECT * FROM t WHERE id = NEXTVAL('s')`],
  [Effect.Write, 'SELECT lo_unlink(1)'],
  [Effect.Write, 'SELECT pg_current_xact_id()'],
  [Effect.Write, 'LOCK TABLE t'],
  [Effect.Write, 'VACUUM t'],
  [Effect.Write, 'DO $$ BEGIN END $$'],
  [Effect.Write, 'this is no SQL'],
  [Effect.Write, `SELECT 'unterminated`],
  [Effect.Write, `SELECT nextval('s')`],
  [Effect.Write, 'COPY t FROM STDIN'],
  [Effect.Write, 'TRUNCATE t'],
  [Effect.Write, 'CALL p()'],
  [Effect.Write, 'EXECUTE x'],
  [Effect.Ddl, 'CREATE TABLE t (id int)'],
  [Effect.Ddl, 'SELECT 1 INTO t FROM u'],
  [Effect.Ddl, 'CREATE TABLE t AS SELECT 1; CREATE INDEX ON t (a); COMMENT ON TABLE t IS $$x$$; GRANT ALL ON t TO u'],
  [Effect.Ddl, 'ALTER TABLE t RENAME a TO b; REFRESH MATERIALIZED VIEW v; DROP OWNED BY u; REASSIGN OWNED BY u TO v'],
  [Effect.Ddl, 'EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1'],
  [Effect.Ddl | Effect.Read, 'DROP TABLE t; SELECT 1'],
  [Effect.Write | Effect.Read, 'SELECT 1; INSERT INTO t VALUES (1)'],
];
describe('A text is told what it does:', () => {
  for (const [effects, text] of texts) {
    it(text === '' ? 'nothing' : text, () => assert.equal(effectsOf(text), effects));
  }
});

describe('A text is a write', () => {
  it('where a backslash could escape a quote', () => {
    const text = "SELECT 'a\\' , 'b; DELETE FROM t; --'";
    assert.equal(effectsOf(text), Effect.Read);
    assert.equal(effectsOf(text, false), Effect.Write);
    assert.equal(effectsOf('SELECT 1', false), Effect.Read);
  });

  it('where it is too long, or too deep, to be parsed in a moment', () => {
    assert.equal(effectsOf(`SELECT '${'x'.repeat(10_000)}'`), Effect.Read);
    assert.equal(effectsOf(`SELECT '${'x'.repeat(100_000)}'`), Effect.Write);
    assert.equal(effectsOf(`SELECT ${'1+'.repeat(30_000)}1`), Effect.Write);
    assert.equal(effectsOf(`SELECT ${'('.repeat(30_000)}1${')'.repeat(30_000)}`), Effect.Write);
    assert.equal(effectsOf('SELECT 2'), Effect.Read, 'and the parser works on');
  });
});

it('Characters beyond ASCII come as their bytes', () => {
  assert.equal(effectsOf(Buffer.from("SELECT 'größe' AS größe").toString('latin1')), Effect.Read);
});
