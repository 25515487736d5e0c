import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judgeText, TextVerdict } from '../../../src/mirror/replay/denied.ts';

const texts: Readonly<Record<keyof typeof TextVerdict, readonly string[]>> = {
  Fine: [
    'SELECT 1',
    `INSERT INTO t VALUES ('pg_terminate_backend(1)')`,
    'SELECT pg_terminate_backend FROM t',
    '/* pg_promote() */ SELECT 1 -- pg_promote()',
    'SELECT pg_sleep(1), pg_backend_pid()',
    'SELECT password, database FROM users',
    'ALTER TABLE server ADD COLUMN password text',
    'CREATE TABLE copy (server text)',
    'CREATE ROLE a LOGIN',
    'ALTER ROLE a SET search_path = x',
    'COPY t FROM STDIN',
    'COPY (SELECT a FROM t) TO STDOUT',
    `COPY t TO STDOUT (FORMAT csv, NULL 'x')`,
    'CREATE EXTENSION IF NOT EXISTS pg_trgm',
    'DROP EXTENSION dblink',
    `COMMENT ON DATABASE d IS 'x'`,
    'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE',
    'UPDATE listeners SET notify = true',
    'DO $$ BEGIN RAISE NOTICE $x$pg_promote()$x$; END $$',
    'DO $$ DECLARE notify bool; BEGIN notify := true; IF notify THEN DELETE FROM copy; END IF; END $$',
    `INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET note = 'DROP DATABASE x; pg_promote()'`,
    `DO $$ BEGIN INSERT INTO server VALUES ('ALTER SYSTEM SET x = 1'); END $$`,
    `DO $$ BEGIN EXECUTE 'ALTER TABLE server ADD password text'; EXECUTE 'COPY t TO STDOUT'; END $$`,
  ],
  Notification: [
    'LISTEN a',
    'unlisten *;',
    `/* x */ NOTIFY a, 'b'`,
    `SELECT pg_notify('a', 'b')`,
    `select pg_catalog.pg_notify($1, $2) AS x;`,
    `SELECT pg_notify('a', (1 + 2)::text)`,
  ],
  Denied: [
    'CREATE DATABASE d',
    'drop database if exists d',
    'ALTER DATABASE d SET x = 1',
    `CREATE TABLESPACE t LOCATION '/x'`,
    `SELECT 1; ALTER SYSTEM SET x = 1`,
    `CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p`,
    'CREATE SERVER s FOREIGN DATA WRAPPER w',
    'CREATE USER MAPPING FOR u SERVER s',
    'DROP USER MAPPING FOR u SERVER s',
    'CREATE EXTENSION dblink',
    'CREATE EXTENSION IF NOT EXISTS "postgres_fdw" SCHEMA x',
    `ALTER ROLE a PASSWORD 'x'`,
    `CREATE USER a WITH LOGIN ENCRYPTED PASSWORD 'x'`,
    `COPY t FROM '/etc/passwd'`,
    `COPY t TO PROGRAM 'sh'`,
    `COPY (SELECT 1 FROM t) TO E'/tmp/x'`,
    'SELECT pg_terminate_backend(1)',
    'SELECT "pg_cancel_backend" (1)',
    'SELECT pg_catalog . pg_reload_conf /* x */ ()',
    'SELECT PG_PROMOTE()',
    `SELECT lo_import('/x')`,
    `SELECT * FROM pg_read_file('x')`,
    `PREPARE x AS SELECT pg_drop_replication_slot('s')`,
    `SET TRANSACTION SNAPSHOT 'x'`,
    `DO $$ BEGIN PERFORM pg_terminate_backend(1); END $$`,
    `DO LANGUAGE plpgsql 'BEGIN PERFORM pg_notify(''a'', ''b''); END'`,
    `DO $$ BEGIN ALTER ROLE a PASSWORD 'x'; END $$`,
    `DO $$ DECLARE n int; BEGIN IF n IS NULL THEN CREATE USER a PASSWORD 'x'; END IF; END $$`,
    `DO $$ BEGIN EXECUTE format('ALTER ROLE %I PASSWORD %L', 'a', 'x'); END $$`,
    `DO $$ BEGIN FOR x IN EXECUTE 'SELECT pg_terminate_backend(1)' LOOP END LOOP; END $$`,
    `DO 'BEGIN EXECUTE ''ALTER SYSTEM SET x = 1''; END'`,
    `DO $$ BEGIN COPY t TO PROGRAM 'sh'; END $$`,
    `DO $$ BEGIN LOOP COPY t FROM '/etc/passwd'; END LOOP; END $$`,
    `DO $$ BEGIN NOTIFY a; END $$`,
    `DO $$ BEGIN EXECUTE 'NOTIFY a'; END $$`,
    `DO $$ BEGIN EXECUTE 'DO $x$ BEGIN CREATE SERVER s FOREIGN DATA WRAPPER w; END $x$'; END $$`,
    `LISTEN a; SELECT 1`,
    `LISTEN a; LISTEN b`,
    `SELECT pg_notify('a', 'b'); SELECT 1`,
    `SELECT pg_notify('a', 'b'), 1`,
    `SELECT pg_notify('a', x) FROM t`,
    `SELECT pg_notify('a', (SELECT f()))`,
    `INSERT INTO t SELECT pg_notify('a', 'b')`,
    `WITH x AS (SELECT pg_notify('a', 'b')) SELECT 1`,
  ],
  Locks: [
    'SELECT pg_advisory_lock(1)',
    `SELECT pg_catalog.pg_try_advisory_lock_shared(1), set_config('a.b', 'c', false)`,
    'DO $$ BEGIN PERFORM pg_try_advisory_lock(1); END $$',
  ],
  Configures: [`SELECT set_config('a', 'b', false)`],
};

for (const [name, list] of Object.entries(texts) as [keyof typeof TextVerdict, readonly string[]][]) {
  describe(name, () => {
    for (const text of list) it(text, () => assert.equal(judgeText(text), TextVerdict[name]));
  });
}

it('is not kept busy by DO within DO within DO', () => {
  const nested = Array.from({ length: 20_000 }, (_, depth) => `DO $t${depth}$ `).join('');
  assert.equal(judgeText(`${nested} pg_catalog`), TextVerdict.Denied);
  const executed = Array.from({ length: 20_000 }, (_, depth) => `DO $t${depth}$ BEGIN EXECUTE $e${depth}$ `).join('');
  assert.equal(judgeText(`${executed} pg_catalog`), TextVerdict.Denied);
});
