import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { inReverse } from '../support/cleanup.ts';
import { machinePostgres, query } from '../support/postgres.ts';
import { runProgram } from '../support/programs.ts';
import { BothWays } from './both-ways.ts';

const everyObject = readFileSync(fileURLToPath(new URL('every-object.sql', import.meta.url)), 'utf8');
const binaries = machinePostgres();

/** pg_dump refuses a server newer than itself: only the machine's own PostgreSQL fits its programs. */
describe('pg_dump', { skip: binaries === undefined ? 'no PostgreSQL is installed' : false }, () => {
  const cleanup = inReverse({ after });
  let both: BothWays;

  before(async () => {
    both = await BothWays.start(cleanup, { binaries: binaries ?? '', settings: { wal_level: 'logical' } });
    await query(both.postgres.url('pooled'), everyObject);
  });

  async function run(program: string, parameters: readonly string[], input?: string): Promise<string> {
    const result = await runProgram(`${binaries}/${program}`, parameters, input === undefined ? {} : { input });
    assert.equal(result.status, 0, result.stderr);
    assert.equal(result.stderr, '');
    return result.stdout;
  }

  /** The lines with a key that is another in every dump left out. */
  const dump = async (url: string, ...options: string[]): Promise<string> =>
    (await run('pg_dump', [...options, url])).replace(/^\\(?:un)?restrict .*\n/gm, '');

  for (const options of [
    [],
    ['--inserts', '--rows-per-insert=7'],
    ['--serializable-deferrable', '--clean', '--if-exists', '--create'],
  ]) {
    it(`writes the same bytes through pgmirror: ${['pg_dump', ...options].join(' ')}`, async () => {
      const [, through] = both.urls;
      const direct = await dump(both.postgres.url('pooled'), ...options);
      assert.ok(direct.length > 50_000, 'hardly anything was dumped');
      assert.equal(await dump(through, ...options), direct);
      await both.assertAtRest();
    });
  }

  it('is restored through pgmirror by psql, into the same database', async () => {
    const [, through] = both.urls;
    const direct = await dump(both.postgres.url('pooled'));
    await query(
      both.postgres.url('pooled'),
      'DROP SCHEMA shop CASCADE; DROP PUBLICATION everything; SELECT lo_unlink(424242)',
    );
    await run('psql', ['-X', '-q', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-d', through], direct);
    assert.equal(await dump(both.postgres.url('pooled')), direct);
    await both.assertAtRest();
  });

  it('is restored through pgmirror by pg_restore, which uses several connections at once', async () => {
    const [, through] = both.urls;
    const direct = await dump(both.postgres.url('pooled'));
    const directory = `${both.postgres.dataDirectory}-dumped`;
    await run('pg_dump', ['--format=directory', `--file=${directory}`, through]);
    await query(
      both.postgres.url('pooled'),
      'DROP SCHEMA shop CASCADE; DROP PUBLICATION everything; SELECT lo_unlink(424242)',
    );
    await run('pg_restore', ['--exit-on-error', '--jobs=3', `--dbname=${through}`, directory]);
    assert.equal(await dump(both.postgres.url('pooled')), direct);
    await both.assertAtRest();
  });
});
