import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { inReverse } from '../support/cleanup.ts';
import { findProgram, runProgram, skipWithout } from '../support/programs.ts';
import { BothWays } from './both-ways.ts';

describe('psql', { skip: skipWithout('psql') }, () => {
  const cleanup = inReverse({ after });
  let both: BothWays;
  let folder: string;

  before(async () => {
    both = await BothWays.start(cleanup);
    folder = mkdtempSync(join(tmpdir(), 'psql-'));
    cleanup.after(() => rmSync(folder, { recursive: true }));
  });

  /** What a script prints, errors among it, in the order in which they come. */
  async function printed(url: string, script: string): Promise<string> {
    const { status, stdout } = await runProgram('sh', ['-c', `exec "${findProgram('psql')}" -X -d "$URL" 2>&1`], {
      input: script,
      env: { URL: url },
    });
    return `${stdout}status ${status}\n`;
  }

  /** Runs a script of each session, both ways. */
  async function sameOutput(script: (session: number, way: string) => string, holds: RegExp): Promise<void> {
    const [direct] = both.urls;
    await both.same(async (url, session) => {
      const text = await printed(url, script(session, url === direct ? 'direct' : 'pooled'));
      assert.match(text, holds);
      return text;
    });
  }

  it('runs scripts with variables, conditions, errors and descriptions', async () => {
    await sameOutput(
      (session) => `
        CREATE TABLE script_${session} (id int PRIMARY KEY, name text);
        INSERT INTO script_${session} SELECT n, 'name ' || n FROM generate_series(1, 20) n;
        SELECT max(id) AS highest, min(name) AS first FROM script_${session} \\gset of_
        \\echo highest is :of_highest, first is :of_first
        SELECT :'of_first' = name AS same FROM script_${session} WHERE id = :of_highest;
        \\if :{?of_none} \\echo never \\else \\echo none \\endif
        SELECT 1 / 0;
        \\echo :LAST_ERROR_SQLSTATE :ROW_COUNT
        BEGIN; INSERT INTO script_${session} VALUES (1, 'twice'); SELECT 1; COMMIT;
        \\echo :ERROR
        SELECT format('SELECT %L AS made', n) FROM generate_series(1, 3) n \\gexec
        \\set ON_ERROR_ROLLBACK on
        BEGIN; SELEC; SELECT 'still in a transaction'; COMMIT;
        \\set FETCH_COUNT 7
        SELECT * FROM script_${session} ORDER BY id;
        \\unset FETCH_COUNT
        SELECT id % 2 AS odd, id % 3 AS rest, id FROM script_${session} WHERE id < 4 \\crosstabview
        \\gdesc
        SELECT 1 AS a, 'x'::text AS b \\gdesc
        \\d script_${session}
        PREPARE named AS SELECT $1::int + ${session}; EXECUTE named(1); DEALLOCATE named;`,
      /still in a transaction/,
    );
  });

  it('copies files in and out (\\copy)', async () => {
    const input = join(folder, 'input');
    const lines = Array.from({ length: 3000 }, (_, n) => `${n}\tline ${n} \\\\ of\\tmany\n`).join('');
    writeFileSync(input, lines);
    await sameOutput(
      (session, way) => `
        CREATE TABLE copied_${session} (id int, line text);
        \\copy copied_${session} FROM '${input}'
        \\copy (SELECT * FROM copied_${session} ORDER BY id) TO '${join(folder, `${way}-${session}`)}'
        COPY copied_${session} FROM STDIN;
not a number\tat all
\\.
        SELECT count(*), md5(string_agg(line, ',' ORDER BY id)) FROM copied_${session};
        \\copy copied_${session} FROM PROGRAM 'echo 1; exit 3'
        BEGIN; DELETE FROM copied_${session}; COPY copied_${session} TO STDOUT; ROLLBACK;`,
      /COPY 3000[\s\S]*invalid input syntax for type integer/,
    );
    for (const way of ['direct-0', 'pooled-0', 'direct-7', 'pooled-7']) {
      assert.equal(readFileSync(join(folder, way), 'utf8'), lines);
    }
  });

  it('uses the extended protocol (\\bind)', async (t) => {
    const { stdout } = await runProgram('psql', ['--version']);
    if (Number(/\b(\d+)(?:\.|beta|rc)/.exec(stdout)?.[1]) < 16) return t.skip('psql has \\bind from version 16 on');
    await sameOutput(
      (session) => `
        SELECT $1::int * $2::int AS product \\bind ${session} 7 \\g
        SELECT $1::int \\bind \\g
        BEGIN; SELECT $1 AS word \\bind 'a word' \\gset
        \\echo :word`,
      /bind message supplies 0 parameters/,
    );
    return undefined;
  });

  it('keeps settings, temporary tables and cursors of a session', async () => {
    await sameOutput(
      (session) => `
        SET search_path = pg_catalog; SET datestyle = 'SQL, DMY'; SET timezone = 'Etc/GMT+${session}';
        CREATE TEMPORARY TABLE own AS SELECT ${session} AS session;
        SELECT to_timestamp(0), session FROM own;
        DECLARE held CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 9) n;
        FETCH 2 FROM held; FETCH 3 FROM held; CLOSE held;
        SELECT pg_advisory_lock(${session}), pg_advisory_unlock(${session}), pg_advisory_unlock(99);
        RESET ALL; SHOW datestyle; DISCARD ALL; SELECT * FROM own;`,
      /relation "own" does not exist/,
    );
  });
});
