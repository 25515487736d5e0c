import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { formatReport } from '../../src/cli/report/format-report.ts';
import { fetchTold } from '../../src/cli/report/fetch-told.ts';
import { findings } from '../../src/cli/report/findings.ts';
import { freePort } from '../../src/cli/embedded/free-port.ts';
import { msg } from '../support/bytes.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { ask, askMetrics, askMirrors, askQueries, sample } from '../support/http.ts';
import { Mirrored } from '../support/mirrored.ts';
import { withClient, startTestPostgres } from '../support/postgres.ts';
import { childrenOf, skipWithoutProc } from '../support/processes.ts';
import { WireClient } from '../support/wire-client.ts';

const schema = `CREATE TABLE thing (id integer PRIMARY KEY, name text);
  INSERT INTO thing SELECT n, 'thing ' || n FROM generate_series(1, 1000) n`;

describe('The HTTP server', () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;
  let port: number;

  before(async () => {
    port = await freePort();
    mirrored = await Mirrored.start(
      cleanup,
      { source: await startTestPostgres(cleanup) },
      { schema, general: { http_port: port } },
    );
    await withClient(mirrored.url, async (client) => {
      for (let id = 1; id <= 50; id++) await client.query('SELECT name FROM thing WHERE id = $1', [id]);
      for (let id = 1; id <= 20; id++)
        await client.query(`/* secret */ SELECT * FROM thing WHERE name = 'thing ${id}'`);
      await client.query('SELECT 1/0').catch(() => undefined);
      await client.query('BEGIN');
      await client.query("UPDATE thing SET name = 'new' WHERE id = 7");
      await client.query('COMMIT');
    });
    await mirrored.drained();
    await mirrored.onMirror('DROP TABLE thing');
    await mirrored.query('SELECT count(*) FROM thing');
    await mirrored.drained();
  });

  it('tells of its mirrors as JSON', async () => {
    const [mirror, ...others] = await askMirrors(port);
    assert.deepEqual(others, []);
    assert.ok(mirror);
    assert.equal(mirror.source, 'app');
    assert.equal(mirror.destination, 'shadow');
    assert.equal(mirror.state, 'up');
    assert.equal(mirror.total, 73);
    assert.equal(mirror.mirrored, 73);
    assert.equal(mirror.replayed, 72);
    assert.equal(mirror.failed, 1);
    assert.deepEqual(mirror.errors, { '42P01': 1 });
    assert.equal(mirror.dropped.exposure, 0);
    assert.equal(mirror.queue_length, 0);
    assert.ok((mirror.latency_ms.source.p50 ?? 0) > 0 && (mirror.latency_ms.mirror.p95 ?? 0) > 0);
  });

  it('tells of each kind of query, without literals and comments', async () => {
    const queries = await askQueries(port);
    const byText = new Map(queries.map((query) => [query.query, query]));
    const byId = byText.get('SELECT name FROM thing WHERE id = $1');
    assert.ok(byId);
    assert.match(byId.fingerprint, /^[0-9a-f]{16}$/);
    assert.equal(byId.calls, 50);
    assert.ok(byId.samples >= 49, `${byId.samples} samples`);
    assert.equal(
      byId.histograms.source.reduce((sum, [, count]) => sum + count, 0),
      byId.samples,
    );
    assert.ok((byId.p95_ratio ?? 0) > 0);
    assert.equal(byText.get('SELECT * FROM thing WHERE name = $1')?.calls, 20);
    assert.deepEqual(byText.get('SELECT $1/$2')?.errors, { source: { '22012': 1 }, mirror: { '22012': 1 } });
    assert.deepEqual(byText.get('SELECT $1/$2')?.classes, {});
    assert.equal(byText.get('COMMIT')?.calls, 1);
    const broken = byText.get('SELECT count(*) FROM thing');
    assert.equal(broken?.error_new, 1);
    assert.deepEqual(broken?.errors, { source: {}, mirror: { '42P01': 1 } });
    assert.equal(broken?.examples.error_new?.[0]?.mirror, '42P01');
    assert.doesNotMatch(JSON.stringify(queries), /secret|thing 1/);
  });

  it('gives Prometheus its metrics', async () => {
    const metrics = await askMetrics(port);
    const mirror = { source: 'app', destination: 'shadow' };
    assert.equal(sample(metrics, 'pgmirror_mirror_transactions_total', { ...mirror, outcome: 'replayed' }), 72);
    assert.equal(sample(metrics, 'pgmirror_mirror_transactions_total', { ...mirror, outcome: 'failed' }), 1);
    assert.equal(sample(metrics, 'pgmirror_mirror_dropped_total', { ...mirror, reason: 'queue_full' }), 0);
    assert.equal(sample(metrics, 'pgmirror_mirror_errors_total', { ...mirror, sqlstate: '42P01' }), 1);
    assert.equal(sample(metrics, 'pgmirror_mirror_up', mirror), 1);
    assert.equal(sample(metrics, 'pgmirror_mirror_queue_length', mirror), 0);
    assert.equal(sample(metrics, 'pgmirror_mirror_queued_bytes', mirror), 0);
    assert.equal(sample(metrics, 'pgmirror_mirror_queue_bytes_limit'), 268_435_456);
    assert.equal(sample(metrics, 'pgmirror_mirror_lag_seconds', mirror), 0);
    assert.equal(sample(metrics, 'pgmirror_mirror_comparisons_total', { ...mirror, result: 'match' }), 0);
    assert.equal(sample(metrics, 'pgmirror_clients_waiting'), 0);
    assert.equal(sample(metrics, 'pgmirror_checkout_wait_seconds'), 0);
    assert.ok(sample(metrics, 'pgmirror_server_connections', { state: 'idle' }) >= 1);
    await mirrored.query('SELECT 1');
    await withClient(mirrored.url, async () => {
      await eventually(async () => sample(await askMetrics(port), 'pgmirror_client_connections') === 1);
    });
    for (const side of ['source', 'mirror']) {
      const count = sample(metrics, 'pgmirror_request_duration_seconds_count', { ...mirror, side });
      assert.ok(count >= 70, `${count} on the ${side}`);
      const [all, sum] = [
        sample(metrics, 'pgmirror_request_duration_seconds_bucket', { ...mirror, side, le: '+Inf' }),
        sample(metrics, 'pgmirror_request_duration_seconds_sum', { ...mirror, side }),
      ];
      assert.equal(all, count);
      assert.ok(sum > 0);
    }
  });

  it('is ready as long as there is a source, and tells of health', async () => {
    assert.equal((await ask(port, '/healthz')).status, 200);
    const { status, body } = await ask(port, '/readyz');
    assert.equal(status, 200, body);
    assert.deepEqual(JSON.parse(body), { ready: true, state: 'running', sources: { app: true }, refused: {} });
  });

  it('tells of hostile texts within bounds, without literals, as text that is no markup', async (t) => {
    const filler = Buffer.alloc(10_000_000, 'x');
    const texts = [
      Buffer.concat([Buffer.from('SELECT 1 AS megabytes /* '), filler, Buffer.from(' */')]),
      Buffer.concat([Buffer.from("SELECT 'hidden"), filler, Buffer.from("' AS megabytes")]),
      Buffer.from([...Buffer.from('SELECT "caf'), 0xe9, 0xff, ...Buffer.from(`" FROM thing WHERE name = 'hidden'`)]),
      Buffer.from(`SELECT "</script><script>alert(1)</script>|\u001b[2J" FROM thing WHERE name = 'hidden'`),
      Buffer.from(`SELECT '''hidden`),
    ];
    const login = {
      user: 'alice',
      database: 'app',
      password: 'alice-password',
      parameters: { client_encoding: 'LATIN1' },
    };
    const client = await WireClient.login({ host: mirrored.pgmirror.host, port: mirrored.pgmirror.port }, login);
    inReverse(t).after(async () => client.destroy());
    for (const text of texts) {
      client.send(msg('Q', text, Buffer.from([0])));
      await client.readUntil('Z');
    }
    await mirrored.drained();

    const { body } = await ask(port, '/queries');
    assert.ok(body.length < 100_000, `${body.length}`);
    assert.doesNotMatch(body, /hidden|xxxx/);
    const queries = await askQueries(port);
    const has = (part: string): boolean => queries.some(({ query }) => query.includes(part));
    assert.ok(has('SELECT $1 AS megabytes') || has('SELECT 1 AS megabytes'), 'told by its beginning');
    assert.ok(has('</script><script>'), 'as it is, in JSON');
    assert.ok(has('"caf\uFFFD\uFFFD"'), 'bytes that are no UTF-8');
    const found = findings(await fetchTold(`http://127.0.0.1:${port}/`), [], undefined);
    const told = { ...found, slower: queries, different: queries };
    for (const format of ['table', 'json', 'markdown', 'html'] as const) {
      const report = formatReport(told, format);
      assert.ok(report.includes('megabytes') && !report.includes('hidden'), format);
      // oxlint-disable-next-line no-control-regex -- that is the point
      if (format !== 'json') assert.doesNotMatch(report, /\u001b/, format);
      if (format === 'html') assert.doesNotMatch(report, /<script/);
    }
  });

  it('serves only GET and HEAD, only what there is, only by its own name', async () => {
    assert.equal((await ask(port, '/mirrors', { method: 'POST' })).status, 405);
    assert.equal((await ask(port, '/nothing')).status, 404);
    const head = await ask(port, '/mirrors', { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.body, '');
    assert.equal((await ask(port, '/mirrors', { headers: { Host: 'evil.example.com' } })).status, 403);
    assert.equal((await ask(port, '/mirrors', { headers: { Host: `localhost:${port}` } })).status, 200);
  });

  it('shows no text at all, or literals, only where log_statements says so', async () => {
    const fails = 'SELECT * FROM thing WHERE name = $$hidden$$';
    let last = '';
    const show = async (statements: string): Promise<string> => {
      const { port: own } = mirrored.pgmirror;
      const general = { ...mirrored.files.general, port: own, log_statements: statements };
      await mirrored.pgmirror.reload({ general });
      await mirrored.query(fails);
      await mirrored.drained();
      // Who asks again at once is given the same answer.
      last = await eventually(async () => {
        const failing = (await askQueries(port)).filter(({ error_new: errors, calls }) => errors > 0 && calls > 1);
        const shown = JSON.stringify(failing);
        return shown !== last && shown;
      });
      return last;
    };
    await mirrored.query(fails);
    assert.doesNotMatch(await show('none'), /thing|hidden/);
    const normalized = await show('fingerprint');
    assert.match(normalized, /FROM thing WHERE name = \$1/);
    assert.doesNotMatch(normalized, /hidden/);
    await mirrored.pgmirror.admin('RESET STATS'); // so many examples are kept, and no more
    await mirrored.query(fails);
    assert.match(await show('full'), /hidden/);
    assert.doesNotMatch(await show('fingerprint'), /hidden/);
    assert.doesNotMatch(mirrored.pgmirror.output(), /hidden/);
    assert.doesNotMatch((await ask(port, '/metrics')).body, /hidden|thing/);
  });

  it('answers during reloads', async () => {
    const paths = ['/metrics', '/mirrors', '/queries', '/readyz'];
    const reloads = Array.from({ length: 3 }, async () => mirrored.pgmirror.admin('RELOAD'));
    const answers = await Promise.all(paths.flatMap((path) => [ask(port, path), ask(port, path)]));
    await Promise.all(reloads);
    assert.deepEqual(
      answers.map(({ status }) => status),
      answers.map(() => 200),
    );
  });

  it('forgets queries at RESET STATS', async () => {
    await mirrored.pgmirror.admin('RESET STATS');
    await eventually(async () => (await askQueries(port)).length === 0);
    await mirrored.query('SELECT 2');
    await mirrored.drained();
    const queries = await eventually(async () => {
      const told = await askQueries(port);
      return told.length > 0 && told;
    });
    assert.deepEqual(
      queries.map(({ query, calls }) => [query, calls]),
      [['SELECT $1', 1]],
    );
  });

  it('tells what is known while the mirror process restarts', { skip: skipWithoutProc }, async () => {
    const known = await askQueries(port);
    assert.equal(known.length, 1);
    const [mirrorProcess] = childrenOf(mirrored.pgmirror.processId);
    assert.ok(mirrorProcess);
    process.kill(mirrorProcess, 'SIGSTOP'); // one that is killed may be there again before anybody has looked
    const down = await eventually(async () => (await askMirrors(port)).find(({ state }) => state === 'down'));
    assert.equal(down.reason, 'the mirror process does not answer');
    assert.ok((down.latency_ms.source.p50 ?? 0) > 0);
    assert.equal((await ask(port, '/metrics')).status, 200);
    process.kill(mirrorProcess, 'SIGKILL');
    await mirrored.whenMirroring();
    assert.equal((await askMirrors(port))[0]?.state, 'up');
  });
});
