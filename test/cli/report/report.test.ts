import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { mainFile } from '../../support/main-file.ts';
import { runProgram } from '../../support/programs.ts';
import { mirror, query, slower } from './told.ts';

/** Something that answers as pgmirror does, or not. */
async function serve(t: TestContext, answers: Readonly<Record<string, string>>): Promise<string> {
  const server = createServer((request, response) => {
    const answer = answers[request.url ?? ''];
    response.writeHead(answer === undefined ? 404 : 200).end(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function pgmirror(...queries: readonly ReturnType<typeof query>[]): Record<string, string> {
  return { '/mirrors': JSON.stringify({ mirrors: [mirror()] }), '/queries': JSON.stringify({ queries }) };
}

async function report(...words: readonly string[]) {
  return runProgram(process.execPath, [mainFile, 'report', ...words]);
}

describe('pgmirror report', () => {
  it('ends with status 0 when no condition is met, and 3 when one is', async (t) => {
    const url = await serve(t, pgmirror(query(slower), query({ error_new: 2 })));
    const fine = await report('--url', url, '--fail-on', 'p95_ratio>20', '--fail-on', 'mismatch>0');
    assert.equal(fine.status, 0, fine.stderr);
    assert.match(fine.stdout, /slower on the mirror/);
    const met = await report('--url', `${url}/`, '--fail-on', 'p95_ratio>1.2', '--fail-on', 'error_new>0');
    assert.equal(met.status, 3);
    assert.match(met.stderr, /^pgmirror: p95_ratio>1\.2 is met by 1{16} on shadow: SELECT/m);
    assert.match(met.stderr, /^pgmirror: error_new>0 is met by 0123456789abcdef on shadow: SELECT/m);
    assert.match(met.stdout, /slower on the mirror/);
  });

  it('tells which query met a condition without what would control a terminal', async (t) => {
    const url = await serve(t, pgmirror(query({ error_new: 2, query: 'SELECT 1 AS "\u001b]0;owned\u0007"' })));
    const { stderr } = await report('--url', url, '--fail-on', 'error_new>0');
    assert.match(stderr, /is met by 0123456789abcdef on shadow: SELECT 1 AS " \]0;owned "\n$/);
  });

  it('says so where there is nothing that could meet a condition', async (t) => {
    const url = await serve(t, pgmirror(query({ calls: 9 })));
    const words = ['--url', url, '--fail-on', 'error_new>0'];
    const fewCalls = await report(...words, '--min-calls', '10');
    assert.equal(fewCalls.status, 0);
    assert.match(fewCalls.stderr, /^pgmirror: no condition can be met: No query ran often enough\.\n$/);
    assert.equal((await report(...words)).stderr, '');
  });

  it('ends with status 1 and one line where nobody listens, or somebody else does', async (t) => {
    const nobody = await report('--url', 'http://127.0.0.1:1/');
    assert.equal(nobody.status, 1);
    assert.match(nobody.stderr, /^pgmirror: cannot read http:\/\/127\.0\.0\.1:1\/(mirrors|queries): .*\n$/);
    for (const answers of [{}, { '/mirrors': 'hello', '/queries': '{"queries":7}' }]) {
      const other = await report('--url', await serve(t, answers));
      assert.equal(other.status, 1);
      assert.equal(other.stderr.trimEnd().split('\n').length, 1, other.stderr);
    }
  });

  it('ends with status 2 where neither --url nor the configuration says where to ask', async () => {
    const { status, stderr } = await report('--config', '/nonexistent.toml');
    assert.equal(status, 2);
    assert.match(stderr, /nonexistent\.toml/);
  });
});
