import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Effect, effectsOf, suitsLevel } from '../../../src/mirror/replay/level.ts';

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
  [Effect.Write, 'INSERT INTO t VALUES (1)'],
  [Effect.Write, 'SELECT 1 FROM t FOR UPDATE'],
  [Effect.Write, 'SELECT 1 FROM t FOR NO KEY UPDATE'],
  [Effect.Write, 'SELECT 1 FROM t FOR SHARE'],
  [Effect.Write, 'WITH a AS (DELETE FROM t RETURNING id) SELECT * FROM a'],
  [Effect.Write, 'EXPLAIN ANALYZE UPDATE t SET a = 1'],
  [Effect.Write, `SELECT nextval('s')`],
  [Effect.Write, 'COPY t FROM STDIN'],
  [Effect.Write, 'TRUNCATE t'],
  [Effect.Write, 'CALL p()'],
  [Effect.Write, 'EXECUTE x'],
  [Effect.Ddl, 'CREATE TABLE t (id int)'],
  [Effect.Ddl, 'SELECT INTO t FROM u'],
  [Effect.Ddl | Effect.Read, 'DROP TABLE t; SELECT 1'],
  [Effect.Write | Effect.Read, 'SELECT 1; INSERT INTO t VALUES (1)'],
];
for (const [effects, text] of texts) {
  it(`tells what it does: ${text}`, () => assert.equal(effectsOf(text), effects));
}

it('a level takes what it says', () => {
  const taken = (effects: number): string =>
    (['all', 'read', 'write', 'dml', 'ddl'] as const).filter((level) => suitsLevel(level, effects)).join(' ');
  assert.equal(taken(Effect.None), 'all read dml');
  assert.equal(taken(Effect.Read), 'all read dml');
  assert.equal(taken(Effect.Read | Effect.Write), 'all write dml');
  assert.equal(taken(Effect.Ddl), 'all write ddl');
  assert.equal(taken(Effect.Ddl | Effect.Read), 'all write');
});
