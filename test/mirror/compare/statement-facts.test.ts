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

  it('tells what creates, changes or drops something that others may name', () => {
    const names = [
      'CREATE TABLE t (a int)',
      'CREATE TABLE t AS SELECT 1',
      'ALTER TABLE t ADD b int',
      'DROP TABLE t',
      'DROP SCHEMA s CASCADE',
      "CREATE TYPE e AS ENUM ('a')",
      'CREATE UNIQUE INDEX ON t (a)',
      'ALTER TABLE t RENAME TO u',
      'BEGIN; CREATE TABLE t (a varchar(3)); COMMIT',
    ];
    const others = [
      'CREATE TEMP TABLE t (a int)',
      'CREATE TEMP TABLE t AS SELECT 1',
      'CREATE INDEX CONCURRENTLY ON t (a)',
      'REFRESH MATERIALIZED VIEW v',
      'REINDEX TABLE t',
      'CALL p()',
      'DO $$ BEGIN END $$',
      'INSERT INTO t VALUES (1)',
      'TRUNCATE t',
      'BEGIN',
      'not SQL',
    ];
    for (const sql of names) assert.ok(facts(sql).names, sql);
    for (const sql of others) assert.equal(facts(sql).names, undefined, sql);
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
      'pg_listening_channels()',
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
    for (const sql of ['CREATE VIEW a AS SELECT 1', 'DO $$ x $$', 'CALL p()', 'EXECUTE s', 'not SQL at all']) {
      const { isUnknown, writes } = facts(sql);
      assert.ok(isUnknown && writes, sql);
    }
  });

  it('tells which relations a definition of tables concerns', () => {
    const concerned = (sql: string): readonly string[] | undefined => {
      const found = facts(sql);
      assert.ok(found.defines && found.writes, sql);
      if (found.isUnknown) return undefined;
      assert.deepEqual(found.written, found.relations, sql);
      return relations(sql);
    };
    for (const [sql, expected] of [
      [
        'CREATE TABLE s.t (a varchar(20) REFERENCES u, b numeric(10, 2) DEFAULT 0) INHERITS (p, "Q")',
        ['Q', 'p', 't', 'u'],
      ],
      ['CREATE TABLE t PARTITION OF p FOR VALUES FROM (1) TO (2)', ['p', 't']],
      ['CREATE TABLE t (LIKE u, FOREIGN KEY (a) REFERENCES s.v (b))', ['t', 'u', 'v']],
      ['CREATE UNIQUE INDEX i ON s.t (lower(a)) WHERE b > 3', ['t']],
      ['ALTER TABLE t ADD COLUMN a text, ADD CONSTRAINT c FOREIGN KEY (b) REFERENCES u ON DELETE CASCADE', ['t', 'u']],
      ['ALTER TABLE p ATTACH PARTITION t DEFAULT', ['p', 't']],
      ['ALTER TABLE t RENAME TO u', ['t', 'u']],
      ['ALTER TABLE t RENAME a TO b', ['t']],
      ['DROP TABLE IF EXISTS s.t, "U"', ['U', 't']],
      ['DROP TABLE t CASCADE', undefined],
      ['ALTER TABLE t DROP COLUMN a CASCADE', undefined],
      ['ALTER VIEW v RENAME TO w', undefined],
      ['ALTER INDEX i RENAME TO j', undefined],
      ['DROP INDEX i', undefined],
      ['CREATE TABLE t AS SELECT * FROM u', undefined],
      ['CREATE TABLE t (a int); CREATE VIEW v AS SELECT 1', undefined],
    ] as const) {
      assert.deepEqual(concerned(sql), expected, sql);
    }
  });

  it('tells by which columns rows are chosen, and which are only answered', () => {
    const by = (sql: string): string[] => [...facts(sql).selectsBy].toSorted((a, b) => (a < b ? -1 : 1));
    assert.deepEqual(by('SELECT a, lower(b) FROM t'), []);
    assert.deepEqual(by('SELECT a FROM t WHERE b = 1 ORDER BY c'), ['b', 'c']);
    assert.deepEqual(by('SELECT a FROM t JOIN u USING (d) WHERE u.e > $1'), ['d', 'e']);
    assert.deepEqual(by('SELECT DISTINCT a FROM t'), ['a']);
    assert.deepEqual(by('SELECT a, count(*) FROM t GROUP BY a'), ['a']);
    assert.deepEqual(by('SELECT a FROM t UNION SELECT b FROM u'), ['a', 'b']);
    assert.deepEqual(by('SELECT a FROM t WHERE id IN (SELECT c FROM u)'), ['c', 'id']);
    assert.deepEqual(by('UPDATE t SET a = b WHERE c = 1 RETURNING d'), ['c']);
    assert.ok(facts('SELECT 1 FROM t NATURAL JOIN u').selectsBy.has('*'));
    assert.ok(facts('SELECT 1 FROM t x WHERE x IS NOT NULL').selectsBy.has('*'), 'a whole row');
  });

  it('tells where values of the server’s own are stored', () => {
    assert.deepEqual(facts('UPDATE t SET a = now(), b = $1, c = d').stores, [
      { relation: 't', column: 'a', by: 'now' },
      { relation: 't', column: 'c', from: 'd' },
    ]);
    assert.deepEqual(facts('INSERT INTO t (a, b) VALUES ($1, random())').stores, [
      { relation: 't', column: 'b', by: 'random' },
    ]);
    assert.deepEqual(facts('INSERT INTO t VALUES ($1, made())').stores, [{ relation: 't', column: '#2', by: 'made' }]);
    assert.deepEqual(facts('INSERT INTO t SELECT x, y FROM u').stores, [
      { relation: 't', column: '#1', from: 'x' },
      { relation: 't', column: '#2', from: 'y' },
    ]);
    assert.deepEqual([...facts('INSERT INTO t SELECT x FROM u').written], ['t']);
    const stored = (sql: string): string[] =>
      facts(sql).stores.map(({ relation, column, from, by }) => `${relation} ${column} ${from ?? by}`);
    assert.deepEqual(stored('INSERT INTO t SELECT x, u.*, y FROM u'), ['t #1 x', 't * *', 't * y']);
    for (const made of ['CREATE TABLE t (a, b) AS SELECT x, random() FROM u', 'SELECT x, random() INTO t FROM u']) {
      assert.deepEqual(stored(made), ['t #1 x', 't #2 random'], made);
    }
    assert.deepEqual(stored('CREATE MATERIALIZED VIEW t AS SELECT * FROM u UNION SELECT y FROM v'), [
      't * *',
      't #1 y',
    ]);
    assert.deepEqual(stored('CREATE TEMP TABLE t AS EXECUTE q'), ['t * execute']);
    const alter = 'ALTER TABLE s.t ADD a timestamptz DEFAULT now(), ALTER b TYPE text USING random()::text';
    assert.deepEqual(stored(alter), ['t a now', 't b random']);
    assert.deepEqual(stored('CREATE TEMP TABLE t (a int, b uuid DEFAULT gen_random_uuid())'), ['t b gen_random_uuid']);
    assert.deepEqual([...facts('CREATE TEMP TABLE t AS SELECT 1').written], ['t']);
  });

  it('tells what chooses rows by such a value', () => {
    assert.ok(facts('DELETE FROM t WHERE until < now()').selectsByVolatile);
    assert.ok(facts('SELECT a FROM t WHERE b > (SELECT random())').selectsByVolatile);
    assert.ok(!facts('UPDATE t SET a = now() WHERE id = 1').selectsByVolatile);
    assert.ok(!facts('SELECT now(), a FROM t').selectsByVolatile);
  });

  it('tells what changes definitions', () => {
    for (const sql of ['CREATE TABLE t (a int)', 'DROP INDEX i', 'DO $$ BEGIN END $$', 'SELECT * INTO t FROM u']) {
      assert.ok(facts(sql).defines, sql);
    }
    const others = [
      'DISCARD ALL',
      'DEALLOCATE x',
      'LISTEN a',
      'VACUUM t',
      'BEGIN',
      'TRUNCATE t',
      'CREATE TEMP TABLE t (a int)',
    ];
    for (const sql of others) assert.ok(!facts(sql).defines, sql);
    assert.deepEqual([...facts('CREATE TEMP TABLE t (a int)').written], ['t']);
  });
});
