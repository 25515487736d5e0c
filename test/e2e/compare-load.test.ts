import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { ClientLoad } from '../support/client-load.ts';
import { inReverse } from '../support/cleanup.ts';
import { askMirrors } from '../support/http.ts';
import { startTestPostgres, type RunningPostgres } from '../support/postgres.ts';
import { judged, startCompared } from './compare/compared.ts';
import { isLong } from './compare/long-form.ts';
import { seed, workloads, workloadSchema } from './compare/workloads.ts';

const transactions = Number(process.env.PGMIRROR_COMPARE_TRANSACTIONS ?? 1000);
/** Share of the answers to judge of those that were not ambiguous: a busy mirror does more in another order. */
const judgedShare = isLong ? 0.83 : 0.5;

describe('Answers compared under load', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    server = await startTestPostgres(cleanup);
  });

  for (const exposure of [1, 0.3]) {
    for (const [name, transaction] of Object.entries(workloads)) {
      if (exposure < 1 && name !== 'concurrent writes' && !isLong) continue;
      it(`are never called other than they are under ${name} at exposure ${exposure}`, async (t) => {
        const test = inReverse(t);
        const compared = await startCompared(test, server, { schema: workloadSchema, mirroring: { exposure } });
        const { mirrored, port } = compared;
        const load = ClientLoad.start(test, mirrored.url, { clients: 8, limit: transactions, transaction });
        await load.finished(600_000);
        assert.deepEqual(load.errors, []);
        const queries = await judged(compared, 600_000);
        const [mirror] = await askMirrors(port);
        const { match = 0, mismatch = 0, unverified = 0, ambiguous = 0 } = mirror?.comparison ?? {};
        const share = (match + mismatch) / (match + mismatch + unverified);
        t.diagnostic(
          `seed ${seed}, ${match + mismatch + unverified + ambiguous} requests, ${(100 * share).toFixed(1)} % of those judged that were not ambiguous: ${JSON.stringify(mirror?.comparison)}`,
        );
        const wrong = queries.filter((one) => one.mismatch > 0 || one.error_new > 0);
        assert.deepEqual(
          wrong.map((one) => [one.query, one.classes, one.examples]),
          [],
        );
        assert.equal(mismatch, 0);
        if (exposure === 1) assert.ok(share >= judgedShare, `judged: ${share}`);
      });
    }
  }
});
