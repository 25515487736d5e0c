import { after, before, describe, it } from 'node:test';

import * as fc from 'fast-check';

import { inReverse } from '../support/cleanup.ts';
import { LeakWatch } from '../support/leaks.ts';
import { startTestPostgres, type RunningPostgres } from '../support/postgres.ts';
import { Comparison } from './wire/comparison.ts';
import { sequence } from './wire/operations.ts';
import { RandomSequences } from './wire/random-sequences.ts';

/** Sequences in all, and the seconds after which it is enough: both can be set for a longer search. */
const runs = Number(process.env.WIRE_RUNS ?? 6_000);
const seconds = Number(process.env.WIRE_SECONDS ?? 50);
/** `WIRE_SEED` and `WIRE_PATH`, as a failure prints them, repeat one. */
const repeat = {
  ...(process.env.WIRE_SEED === undefined ? {} : { seed: Number(process.env.WIRE_SEED) }),
  ...(process.env.WIRE_PATH === undefined ? {} : { path: process.env.WIRE_PATH, endOnFailure: true }),
};

const configurations = [
  { name: 'a pool of one', share: 0.5, general: { default_pool_size: 1 } },
  {
    name: 'room for one prepared statement',
    share: 0.1,
    general: { default_pool_size: 1, prepared_statements_limit: 1 },
  },
  { name: 'a pool of four', share: 0.2, general: { default_pool_size: 4 } },
  { name: 'two workers', share: 0.2, general: { default_pool_size: 4, workers: 2 } },
];

const splits = fc.array(fc.nat(600), { maxLength: 4 });

describe('pgmirror answers any sequence of messages as PostgreSQL does', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    const leaks = new LeakWatch();
    cleanup.after(async () => leaks.assertNone());
    server = await startTestPostgres(cleanup);
  });

  for (const { name, share, general } of configurations) {
    it(`with ${name}`, { timeout: 600_000 }, async (t) => {
      const undo = inReverse(t);
      const start = async (): Promise<Comparison> =>
        Comparison.start(undo, server, { ...general, pinned_pool_size: 1_000, checkout_timeout: 2_000 });
      const sequences = new RandomSequences(start);
      let done = 0;
      const property = fc.asyncProperty(sequence, splits, fc.boolean(), async (operations, at, fresh) => {
        done += 1;
        await sequences.compare(operations, at, fresh);
      });
      const limits = { numRuns: Math.ceil(runs * share), interruptAfterTimeLimit: seconds * share * 1_000 };
      const startedAt = performance.now();
      try {
        await fc.assert(property, { ...limits, ...repeat });
      } finally {
        await sequences.close();
        const rate = done / ((performance.now() - startedAt) / 1_000);
        t.diagnostic(`${done} sequences, ${Math.round(rate)} a second`);
      }
    });
  }
});
