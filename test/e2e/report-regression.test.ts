import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { stringify } from 'smol-toml';

import { freePort } from '../../src/cli/embedded/free-port.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { askQueries } from '../support/http.ts';
import { mainFile } from '../support/main-file.ts';
import { Mirrored } from '../support/mirrored.ts';
import { startTestPostgres, withClient } from '../support/postgres.ts';
import { runProgram } from '../support/programs.ts';

/** So many rows that reading them all is slow on any machine, however busy. */
const schema = `CREATE TABLE item (id integer PRIMARY KEY, owner integer, note text) WITH (parallel_workers = 0);
  INSERT INTO item SELECT n, n % 5000, repeat('x', 50) FROM generate_series(1, 200000) n;
  CREATE INDEX item_owner ON item (owner); CREATE TABLE gone (id integer); ANALYZE`;

describe('The report of a mirror that lacks an index and a table', () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;
  let port: number;
  let folder: string;
  let slow: string;
  /** How often it ran. */
  let calls = 0;

  before(async () => {
    port = await freePort();
    mirrored = await Mirrored.start(
      cleanup,
      { source: await startTestPostgres(cleanup) },
      { schema, general: { http_port: port, mirror_queue: 1000 } },
    );
    folder = await mkdtemp(join(tmpdir(), 'pgmirror-report-'));
    cleanup.after(async () => rm(folder, { recursive: true }));
    await mirrored.onMirror('DROP INDEX item_owner; DROP TABLE gone');
    slow = await withClient(mirrored.url, async (client) => {
      for (let n = 0; n < 3; n++) await client.query('SELECT * FROM gone');
      // What the mirror has not begun two seconds later is not measured: it is waited for now and then.
      return eventually(
        async () => {
          for (let n = 0; n < 10; n++, calls++) {
            await client.query({ name: 'owned', text: 'SELECT count(*) FROM item WHERE owner = $1', values: [calls] });
            await client.query(`SELECT note FROM item WHERE id = ${calls}`);
          }
          await mirrored.drained();
          const found = (await askQueries(port)).find(({ query }) => query.includes('owner = $1'));
          return found !== undefined && found.samples >= 120 && found.fingerprint;
        },
        { timeoutMs: 60_000, what: '120 of the slow queries to be measured' },
      );
    });
  });

  const report = async (...words: readonly string[]) => runProgram(process.execPath, [mainFile, 'report', ...words]);
  const url = (): string => `http://127.0.0.1:${port}`;

  it('names the query that became slower and the one that fails', async () => {
    const { status, stdout } = await report('--url', url());
    assert.equal(status, 0);
    assert.match(stdout, /slower on the mirror \(the worst [\d.]+× at p[59][05]\), 1 fails only there/);
    assert.match(
      stdout,
      new RegExp(`Slower on the mirror.*\\n.*\\n *${slow}[^]*owner = \\$1[^]*Failing[^]*SELECT \\* FROM gone`),
    );
    assert.match(stdout, /error_new 3 \(no error → 42P01\)/);
  });

  it('fails a run of continuous integration on conditions', async () => {
    assert.equal((await report('--url', url(), '--fail-on', 'p95_ratio>2', '--min-calls', '100')).status, 3);
    assert.equal((await report('--url', url(), '--fail-on', 'error_new>0')).status, 3);
    assert.equal((await report('--url', url(), '--fail-on', 'p95_ratio>10000', '--fail-on', 'mismatch>0')).status, 0);
    assert.equal(
      (await report('--url', url(), '--fail-on', 'p95_ratio>2', '--min-calls', String(calls + 1))).status,
      0,
    );
  });

  it('is told in four formats', async () => {
    const formats = ['table', 'json', 'markdown', 'html'];
    for (const format of formats) {
      const { status, stdout } = await report('--url', url(), '--format', format);
      assert.equal(status, 0);
      assert.ok(stdout.includes(slow), `${format}: ${stdout}`);
    }
  });

  it('is in the admin database, the most time lost first', async () => {
    const rows = await mirrored.pgmirror.admin('SHOW QUERIES');
    assert.deepEqual(Object.keys(rows[0] ?? {}), [
      ...['source', 'destination', 'fingerprint', 'query', 'calls', 'source_p50_ms', 'source_p95_ms', 'source_p99_ms'],
      ...['mirror_p50_ms', 'mirror_p95_ms', 'mirror_p99_ms', 'p95_ratio', 'time_lost_ms', 'source_errors'],
      ...['mirror_errors', 'error_new', 'mismatch', 'verified'],
    ]);
    assert.equal(rows[0]?.fingerprint, slow);
    assert.equal(rows[0]?.calls, String(calls));
  });

  it('shows the plans of both sides on request, with the admin login, and not too often', async () => {
    const files = mirrored.files;
    const config = { ...files, general: { ...files.general, port: mirrored.pgmirror.port }, users: undefined };
    const admin = { user: 'admin', password: 'admin-password' };
    await writeFile(join(folder, 'pgmirror.toml'), stringify({ ...JSON.parse(JSON.stringify(config)), admin }));
    await writeFile(join(folder, 'users.toml'), stringify({ users: files.users }));
    const paths = ['--config', join(folder, 'pgmirror.toml'), '--users', join(folder, 'users.toml')];
    const { status, stdout, stderr } = await report(...paths, '--explain', slow);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^source app\n[^]*Index Scan[^]*\nmirror shadow\n[^]*Seq Scan on item/);
    assert.equal((await report(...paths)).status, 0, 'its address is in the configuration');

    const again = mirrored.pgmirror.admin(`EXPLAIN ${slow}`);
    await assert.rejects(Promise.all([again, mirrored.pgmirror.admin(`EXPLAIN ${slow}`)]), { code: '53400' });
    await again.catch(() => undefined);
    await assert.rejects(mirrored.pgmirror.admin('EXPLAIN 0000000000000000'), { code: '42704' });
  });
});
