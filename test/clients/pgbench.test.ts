import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { inReverse } from '../support/cleanup.ts';
import { query } from '../support/postgres.ts';
import { runProgram, skipWithout } from '../support/programs.ts';
import { BothWays, SESSIONS } from './both-ways.ts';

const TRANSACTIONS = 200;

const pipelined = `
\\set aid random(1, 100000)
\\startpipeline
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, :aid, 1, now());
COMMIT;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
SELECT count(*) FROM pgbench_branches;
\\endpipeline
SELECT bbalance FROM pgbench_branches WHERE bid = 1 \\gset
\\startpipeline
SELECT :bbalance::int + :client_id::int;
SELECT 1;
\\endpipeline
`;

describe('pgbench', { skip: skipWithout('pgbench') }, () => {
  const cleanup = inReverse({ after });
  let both: BothWays;
  let folder: string;

  before(async () => {
    both = await BothWays.start(cleanup);
    folder = mkdtempSync(join(tmpdir(), 'pgbench-'));
    cleanup.after(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'pipelined.sql'), pipelined);
    await bench('-i', '-q', '-s', '1');
  });

  async function bench(...parameters: string[]): Promise<string> {
    const { stdout, stderr, status } = await runProgram('pgbench', [...parameters, both.urls[1]]);
    assert.equal(status, 0, stderr);
    return stdout;
  }

  const history = async (): Promise<number> => {
    const [row] = await query<{ count: string }>(both.postgres.url('pooled'), 'SELECT count(*) FROM pgbench_history');
    return Number(row?.count);
  };

  // A thread for each client: where two share one, pgbench waits for the one's Parse while the other has the server connection.
  const load = ['-n', '-c', String(SESSIONS), '-j', String(SESSIONS), '-t', String(TRANSACTIONS)];
  const processed = new RegExp(`actually processed: ${SESSIONS * TRANSACTIONS}/${SESSIONS * TRANSACTIONS}\\n`);

  for (const protocol of ['simple', 'extended', 'prepared']) {
    it(`loses nothing in the ${protocol} protocol`, async () => {
      const earlier = await history();
      const said = await bench('-M', protocol, ...load);
      assert.match(said, processed);
      assert.match(said, /number of failed transactions: 0 /);
      assert.equal((await history()) - earlier, SESSIONS * TRANSACTIONS);
      await both.assertAtRest();
    });
  }

  for (const protocol of ['extended', 'prepared']) {
    it(`loses nothing in pipelines of the ${protocol} protocol`, async () => {
      const earlier = await history();
      const said = await bench('-M', protocol, '-f', join(folder, 'pipelined.sql'), ...load);
      assert.match(said, processed);
      assert.equal((await history()) - earlier, SESSIONS * TRANSACTIONS);
      await both.assertAtRest();
    });
  }

  it('connects anew for each transaction', async () => {
    const said = await bench('-S', '-C', '-n', '-c', String(SESSIONS), '-t', '20');
    assert.match(said, new RegExp(`actually processed: ${SESSIONS * 20}/${SESSIONS * 20}\\n`));
    await both.assertAtRest();
  });
});
