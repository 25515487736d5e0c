import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { factsOf } from '../../../src/mirror/compare/statement-facts.ts';
import { QueryIdentifier } from '../../../src/mirror/report/query-identifier.ts';

describe('factsOf', () => {
  let identifier: QueryIdentifier;

  before(async () => {
    identifier = await QueryIdentifier.load();
  });

  const facts = (sql: string) => factsOf(identifier.identify(sql));
  const relations = (sql: string): string[] => [...facts(sql).relations].toSorted((a, b) => (a < b ? -1 : 1));

  it('names the relations of a statement, however deep they stand', () => {
    assert.deepEqual(relations('SELECT * FROM a JOIN s.b ON a.id = b.id WHERE EXISTS (SELECT FROM c)'), [
      'a',
      'b',
      'c',
    ]);
    assert.deepEqual(relations('WITH x AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM x'), ['a', 'b', 'x']);
    assert.deepEqual(relations('SELECT 1'), []);
    assert.deepEqual(relations('BEGIN'), []);
  });

  it('tells what changes rows, and what only adds them', () => {
    assert.deepEqual(
      [
        'SELECT 1',
        'BEGIN',
        'INSERT INTO a VALUES (1)',
        'UPDATE a SET b = 1',
        'TRUNCATE a',
        'SELECT * INTO a FROM b',
      ].map((sql) => facts(sql).writes),
      [false, false, true, true, true, true],
    );
    assert.ok(facts('INSERT INTO a VALUES (1)').insertsOnly);
    assert.ok(!facts('INSERT INTO a VALUES (1) ON CONFLICT DO NOTHING').insertsOnly);
    assert.ok(!facts('WITH x AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM x').insertsOnly);
    assert.ok(facts('COPY a FROM STDIN').writes);
    assert.ok(!facts('COPY a TO STDOUT').writes);
  });

  it('tells what each server makes for itself', () => {
    const own = [
      'now()',
      'CURRENT_TIMESTAMP',
      'random()',
      "nextval('s')",
      'gen_random_uuid()',
      'pg_backend_pid()',
      'uuidv7()',
    ];
    for (const sql of own) assert.ok(facts(`SELECT ${sql}`).isVolatile, sql);
    for (const sql of ['lower(a)', 'count(*)', 'sum(a)']) assert.ok(!facts(`SELECT ${sql} FROM t`).isVolatile, sql);
  });

  it('names the functions that are not known', () => {
    assert.deepEqual([...facts('SELECT lower(a), mine(b), s.yours(c) FROM t').functions], ['mine', 'yours']);
  });

  it('tells what depends on locks, on order, or on an earlier snapshot', () => {
    assert.ok(facts('SELECT * FROM t FOR UPDATE SKIP LOCKED').dependsOnLocks);
    assert.ok(facts('SELECT * FROM t FOR UPDATE NOWAIT').dependsOnLocks);
    assert.ok(!facts('SELECT * FROM t FOR UPDATE').dependsOnLocks);
    assert.ok(facts('SELECT pg_try_advisory_lock(1)').dependsOnLocks);
    for (const sql of [
      'a FROM t LIMIT 5',
      'DISTINCT ON (a) * FROM t',
      'array_agg(a) FROM t',
      'row_number() OVER () FROM t',
    ]) {
      assert.ok(facts(`SELECT ${sql}`).dependsOnOrder, sql);
    }
    assert.ok(!facts('SELECT a FROM t ORDER BY a').dependsOnOrder);
    assert.ok(facts('FETCH 10 FROM c').readsEarlier);
    assert.ok(facts('BEGIN ISOLATION LEVEL REPEATABLE READ').fixesSnapshot);
    assert.ok(facts('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE').fixesSnapshot);
    assert.ok(!facts('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE').writes);
    assert.ok(!facts('FETCH 10 FROM c').writes);
    assert.ok(!facts('BEGIN').fixesSnapshot);
  });

  it('knows nothing of what it does not understand', () => {
    for (const sql of ['CREATE TABLE a (b int)', 'DO $$ x $$', 'CALL p()', 'EXECUTE s', 'not SQL at all']) {
      const { isUnknown, writes } = facts(sql);
      assert.ok(isUnknown && writes, sql);
    }
  });
});
