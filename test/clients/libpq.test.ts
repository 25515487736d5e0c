import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { inReverse } from '../support/cleanup.ts';
import { runProgram } from '../support/programs.ts';
import { BothWays, SESSIONS } from './both-ways.ts';

const script = fileURLToPath(new URL('libpq.py', import.meta.url));
const python = ['python3', '/usr/bin/python3'].find(
  (name) => spawnSync(name, ['-c', 'import psycopg; psycopg.Pipeline']).status === 0,
);

describe('libpq', { skip: python === undefined ? 'python3-psycopg is not installed' : false }, () => {
  const cleanup = inReverse({ after });
  let both: BothWays;

  before(async () => {
    both = await BothWays.start(cleanup);
    await both.prepare('CREATE TABLE piped (session int, n int); CREATE TABLE copied (session int, id int, line text)');
  });

  it('pipelines, copies and scrolls as on PostgreSQL itself', async () => {
    const [direct, pooled] = await Promise.all(
      both.urls.map(async (url) => {
        const { stdout, stderr, status } = await runProgram(python ?? '', [script, url, String(SESSIONS)]);
        assert.equal(status, 0, stderr);
        return JSON.parse(stdout) as unknown[];
      }),
    );
    for (const session of direct ?? []) assert.ok(Array.isArray(session), String(session));
    assert.deepEqual(pooled, direct);
    await both.assertAtRest();
  });
});
