import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { symlink } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { freePort } from '../../src/cli/embedded/free-port.ts';
import { inReverse } from '../support/cleanup.ts';
import { ask, askMetrics, askQueries, sample } from '../support/http.ts';
import { Mirrored } from '../support/mirrored.ts';
import { startTestPostgres } from '../support/postgres.ts';
import { runProgram } from '../support/programs.ts';
import { TemporaryFiles } from '../support/temporary-files.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));

describe('What `npm run build` makes', () => {
  const cleanup = inReverse({ after });
  let files: TemporaryFiles;
  let mainFile: string;

  const pgmirror = async (...words: readonly string[]) =>
    runProgram(process.execPath, [mainFile, ...words], { cwd: files.folder });

  before(async () => {
    files = await TemporaryFiles.start(cleanup);
    await symlink(`${project}/node_modules`, files.path('node_modules'));
    const built = await runProgram(process.execPath, [`${project}/scripts/build.js`, files.path('dist')]);
    assert.deepEqual(built, { status: 0, stdout: '', stderr: '' });
    mainFile = files.path('dist/main.js');
  });

  it('knows its version and its commands', async () => {
    const { version } = JSON.parse(readFileSync(`${project}/package.json`, 'utf8')) as { version: string };
    assert.deepEqual(await pgmirror('--version'), { status: 0, stdout: `pgmirror ${version}\n`, stderr: '' });
    const { status, stderr } = await pgmirror('report', '--url', `http://127.0.0.1:${await freePort()}`);
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^pgmirror: .*ECONNREFUSED/);
  });

  it('refuses a configuration as the sources do', async () => {
    await files.write('pgmirror.toml', '[general]\nwokers = 2\nlog_level = "loud"\n[[mirroring]]\nquery = "("\n');
    await files.write('users.toml', '[[users]\n');
    const refused = await pgmirror();
    const sources = [`${project}/src/main.ts`, 'run'];
    assert.deepEqual(refused, await runProgram(process.execPath, sources, { cwd: files.folder }));
    assert.equal(refused.status, 2);
    assert.match(refused.stderr, /general\.wokers: .*workers/);
  });

  it('pools, mirrors, explains, serves HTTP, and stops', async () => {
    const port = await freePort();
    const mirrored = await Mirrored.start(
      cleanup,
      { source: await startTestPostgres(cleanup) },
      {
        schema: 'CREATE TABLE thing (id integer PRIMARY KEY)',
        general: { http_port: port, workers: 2 },
        mirroring: { compare: true, exclude_query: 'nothing' },
        process: { mainFile },
      },
    );
    await mirrored.query('INSERT INTO thing SELECT generate_series(1, 10)');
    await mirrored.query('SELECT id FROM thing WHERE id = $1', [3]);
    await mirrored.drained();
    assert.deepEqual(await mirrored.onMirror('SELECT count(*)::int AS n FROM thing'), [{ n: 10 }]);

    const metrics = await askMetrics(port);
    assert.equal(sample(metrics, 'pgmirror_mirror_transactions_total', { outcome: 'replayed' }), 2);
    assert.match((await ask(port, '/')).body, /<title>pgmirror/);
    const select = (await askQueries(port)).find(({ query }) => query.startsWith('SELECT id'));
    const plans = await mirrored.pgmirror.admin<{ side: string; plan: string }>(`EXPLAIN ${select?.fingerprint}`);
    assert.deepEqual([...new Set(plans.map(({ side }) => side))].toSorted(), ['mirror', 'source']);
    assert.match(plans[0]?.plan ?? '', /Scan/);
    assert.equal(await mirrored.pgmirror.stop(), 0);
  });

  it('has the licenses of the packages in it', () => {
    const text = readFileSync(files.path('dist/THIRD-PARTY-LICENSES'), 'utf8');
    for (const name of ['pino', 'pg-protocol', 'prom-client', 'smol-toml', 'zod']) {
      assert.match(text, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+\\n\\n.*(?:license|copyright)`, 'im'));
    }
  });
});
