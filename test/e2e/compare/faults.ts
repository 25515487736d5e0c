/** A kind of query, the difference that is made on the mirror before it is asked, and how that is to be found. */
export interface Kind {
  readonly sql: string;
  readonly fault?: string;
  /** None: no difference is to be found. */
  readonly answerClass?: string;
  readonly isSlower?: boolean;
  /** It changes rows: what others read, that may read anything, is not known to be the same behind it. */
  readonly isWrite?: boolean;
}

/** Each fault concerns one kind alone. */
export const faultSchema = `
  CREATE TABLE item (id integer PRIMARY KEY, owner integer, name text, price numeric);
  INSERT INTO item SELECT n, n % 100, 'item ' || n, n FROM generate_series(1, 2000) n;
  CREATE TABLE visit (id integer PRIMARY KEY, place integer);
  INSERT INTO visit SELECT n, n % 5000 FROM generate_series(1, 60000) n; CREATE INDEX visit_place ON visit (place);
  CREATE TABLE other (id integer PRIMARY KEY, v integer); INSERT INTO other SELECT n, n FROM generate_series(1, 100) n;
  CREATE TABLE gone (id integer); CREATE TABLE narrow (id integer, extra integer);
  CREATE TABLE ticket (id serial PRIMARY KEY, made_at timestamptz DEFAULT now(), code uuid DEFAULT gen_random_uuid(), note text);
  INSERT INTO ticket (note) VALUES ('first');
  CREATE SEQUENCE number; CREATE TABLE word (w text); INSERT INTO word VALUES ('a'), ('B'), ('c');
  CREATE TABLE typed (id integer, amount integer); INSERT INTO typed VALUES (1, 10);
  CREATE TABLE strict (id integer PRIMARY KEY); INSERT INTO strict VALUES (1); CREATE TABLE lax (id integer);
  CREATE TABLE chosen (id integer, v text); INSERT INTO chosen VALUES (1, 'one');
  CREATE TABLE defaulted (id integer, v integer DEFAULT 1);
  CREATE FUNCTION twice(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n * 2';
  CREATE FUNCTION lost(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n';
  CREATE FUNCTION named(n integer) RETURNS text STABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT name FROM item WHERE id = n); END';
  CREATE VIEW cheap AS SELECT name FROM item WHERE price < 20; CREATE VIEW tickets AS SELECT note, made_at FROM ticket;
  CREATE VIEW calm AS SELECT id FROM other WHERE id < 5;
  ANALYZE`;

export const kinds: readonly Kind[] = [
  { sql: 'SELECT id, name FROM item WHERE id = 5' },
  { sql: 'SELECT count(*) FROM item WHERE owner = 7' },
  { sql: 'SELECT price FROM item ORDER BY id LIMIT 3' },
  { sql: 'SELECT owner, sum(price) FROM item GROUP BY owner HAVING sum(price) > 20000' },
  { sql: 'SELECT i.name, o.v FROM item i JOIN other o USING (id) WHERE o.v < 4' },
  { sql: 'SELECT 1/0' },
  { sql: 'SELECT no_such_column FROM item' },
  { sql: 'SELECT note FROM tickets' },
  { sql: 'SELECT now(), random(), pg_backend_pid()', answerClass: 'generated' },
  { sql: 'SELECT * FROM ticket', answerClass: 'generated' },
  { sql: 'SELECT made_at FROM tickets', answerClass: 'generated' },
  { sql: "SELECT count(*) FROM ticket WHERE made_at > now() - interval '1 day'" },
  { sql: 'UPDATE other SET v = v WHERE id = 50' },
  {
    sql: 'SELECT name FROM item WHERE id = 6 AND owner = 6',
    fault: "UPDATE item SET name = 'changed' WHERE id = 6",
    answerClass: 'row_content',
  },
  {
    sql: 'SELECT id FROM item WHERE owner = 8 AND id < 100',
    fault: 'DELETE FROM item WHERE id = 8',
    answerClass: 'row_count',
  },
  { sql: 'SELECT * FROM gone', fault: 'DROP TABLE gone', answerClass: 'error_new' },
  { sql: 'SELECT extra FROM narrow', fault: 'ALTER TABLE narrow DROP extra', answerClass: 'error_new' },
  {
    sql: 'SELECT twice(4)',
    fault: "CREATE OR REPLACE FUNCTION twice(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n * 3'",
    answerClass: 'row_content',
  },
  { sql: 'SELECT lost(4)', fault: 'DROP FUNCTION lost(integer)', answerClass: 'error_new' },
  { sql: 'SELECT named(12)', fault: "UPDATE item SET name = 'other' WHERE id = 12", answerClass: 'row_content' },
  {
    sql: 'SELECT amount FROM typed',
    fault: 'ALTER TABLE typed ALTER amount TYPE bigint',
    answerClass: 'schema',
  },
  {
    sql: 'SELECT * FROM cheap',
    fault: 'CREATE OR REPLACE VIEW cheap AS SELECT name FROM item WHERE price < 10',
    answerClass: 'row_count',
  },
  {
    sql: 'SELECT w FROM word ORDER BY w',
    fault: 'ALTER TABLE word ALTER w TYPE text COLLATE "unicode"',
    answerClass: 'order_only',
  },
  {
    sql: "SELECT nextval('number')",
    fault: 'ALTER SEQUENCE number RENAME TO numeral',
    answerClass: 'error_new',
    isWrite: true,
  },
  {
    sql: 'INSERT INTO strict VALUES (1)',
    fault: 'ALTER TABLE strict DROP CONSTRAINT strict_pkey',
    answerClass: 'error_missing',
    isWrite: true,
  },
  { sql: 'DELETE FROM lax WHERE id = 1', fault: 'INSERT INTO lax VALUES (1)', answerClass: 'tag', isWrite: true },
  {
    sql: 'SELECT v FROM chosen WHERE id = 1',
    fault: 'ALTER TABLE chosen ENABLE ROW LEVEL SECURITY; ALTER TABLE chosen FORCE ROW LEVEL SECURITY',
  },
  {
    sql: "SELECT id FROM word JOIN item ON name = 'item ' || id WHERE w = 'B' AND id BETWEEN 30 AND 31",
    fault: "UPDATE item SET name = 'none' WHERE id = 30",
    answerClass: 'row_count',
  },
  { sql: 'SELECT count(*) FROM visit WHERE place = 3', fault: 'DROP INDEX visit_place', isSlower: true },
  {
    sql: 'SELECT id FROM calm',
    fault: 'CREATE OR REPLACE VIEW calm AS SELECT id FROM other, pg_sleep(0.02) WHERE id < 5',
    isSlower: true,
  },
];
