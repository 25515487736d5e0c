import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { inReverse } from '../support/cleanup.ts';
import { Mirrored } from '../support/mirrored.ts';
import { runProgram, skipWithout } from '../support/programs.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

const clients = 8;
const transactions = 20_000;

/** All of a table's rows in few bytes; `history` without the time of each row. As a multiset: md5 of the sorted rows. */
const fingerprints = [
  'SELECT count(*), md5(string_agg(a::text, chr(10) ORDER BY aid)) FROM pgbench_accounts a',
  'SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY tid)) FROM pgbench_tellers t',
  'SELECT count(*), md5(string_agg(b::text, chr(10) ORDER BY bid)) FROM pgbench_branches b',
  `SELECT count(*), md5(string_agg(h::text, chr(10) ORDER BY h::text)) FROM (SELECT tid, bid, aid, delta FROM pgbench_history) h`,
];

describe('pgbench', { skip: skipWithout('pgbench') }, () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;

  before(async () => {
    const source = await startWatchedPostgres(cleanup);
    const options = { general: { mirror_queue: transactions }, mirroring: { max_lag: 600_000 } };
    mirrored = await Mirrored.start(cleanup, { source }, options);
  });

  it('leaves the same rows on the mirror as on the source, drops nothing and sees no error', async () => {
    const env = { PGPASSWORD: 'alice-password' };
    const { port, host } = mirrored.pgmirror;
    const connection = ['-h', host, '-p', String(port), '-U', 'alice'];

    const filled = await runProgram('pgbench', ['-i', '-I', 'dtGp', '-s', '4', '-q', ...connection, 'app'], { env });
    assert.equal(filled.status, 0, filled.stderr);
    const initialized = await mirrored.drained({ timeoutMs: 60_000 });
    assert.deepEqual(initialized.reasons, {});

    const load = ['-M', 'prepared', '-n', '-c', String(clients), '-j', '2', '-t', String(transactions / clients)];
    const run = await runProgram('pgbench', [...load, ...connection, 'app'], { env, timeoutMs: 120_000 });
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stdout, new RegExp(`number of transactions actually processed: ${transactions}/${transactions}`));
    assert.match(run.stdout, /number of failed transactions: 0 /);

    const counts = await mirrored.drained({ timeoutMs: 120_000 });
    assert.deepEqual(counts.reasons, {});
    assert.equal(counts.errors, 0);
    assert.equal(counts.mirrored, counts.total);
    assert.ok(counts.mirrored - initialized.mirrored >= transactions, 'fewer than pgbench ran'); // it prepares, too

    for (const sql of fingerprints) assert.deepEqual(await mirrored.onMirror(sql), await mirrored.onSource(sql), sql);
    const [{ count } = { count: '' }] = await mirrored.onMirror('SELECT count(*) FROM pgbench_history');
    assert.equal(Number(count), transactions);
  });
});
