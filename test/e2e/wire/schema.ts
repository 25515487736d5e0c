/** What both databases of a comparison hold: the tables that dialogues speak of. */
export const schema = `
  CREATE TABLE t (id int PRIMARY KEY, v text);
  INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 10) AS n;
  CREATE TABLE c (id int);
  CREATE TABLE deferred (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
  CREATE FUNCTION notices() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; RETURN 3; END $$;
  CREATE PROCEDURE committing() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO c VALUES (1); COMMIT; INSERT INTO c VALUES (2); ROLLBACK; END $$;
`;

/** Brings the tables back to what {@link schema} made them. */
export const restore = `
  DROP TABLE IF EXISTS missing, made, altered;
  TRUNCATE t, c, deferred;
  INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 10) AS n;
`;
