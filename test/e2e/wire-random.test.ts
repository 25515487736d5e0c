import { after, before, describe, it } from 'node:test';

import * as fc from 'fast-check';

import { inReverse } from '../support/cleanup.ts';
import type { RunningPostgres } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { Comparison } from './wire/comparison.ts';
import { sequence } from './wire/operations.ts';
import { RandomSequences } from './wire/random-sequences.ts';

/** Sequences in all; `WIRE_SECONDS` ends a longer search after so long. */
const runs = Number(process.env.WIRE_RUNS ?? 5_000);
const seconds = Number(process.env.WIRE_SECONDS ?? Infinity);
/** `WIRE_SEED` makes another search; with `WIRE_PATH`, as a failure prints them, it repeats one sequence. */
const seed = Number(process.env.WIRE_SEED ?? 20_261);
const path = process.env.WIRE_PATH;

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

// One configuration waits for answers where another works.
describe('pgmirror answers any sequence of messages as PostgreSQL does', { concurrency: 2 }, () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
  });

  for (const [index, { name, share, general }] of configurations.entries()) {
    it(`with ${name}`, { timeout: 600_000 + runs * 20 }, async (t) => {
      const undo = inReverse(t);
      const startOne = async (): Promise<Comparison> =>
        Comparison.start(undo, server, { ...general, pinned_pool_size: 1_000, checkout_timeout: 2_000 });
      const sequences = new RandomSequences(startOne);
      let done = 0;
      const property = fc.asyncProperty(sequence, fc.boolean(), async (messages, fresh) => {
        done += 1;
        await sequences.compare(messages, fresh);
      });
      const limit = seconds === Infinity ? {} : { interruptAfterTimeLimit: seconds * share * 1_000 };
      // Each configuration has sequences of its own, unless one is repeated.
      const start = path === undefined ? { seed: seed + index } : { seed, path, endOnFailure: true };
      const startedAt = performance.now();
      try {
        await fc.assert(property, { numRuns: Math.ceil(runs * share), ...limit, ...start });
      } finally {
        await sequences.close();
        const rate = done / ((performance.now() - startedAt) / 1_000);
        t.diagnostic(`${done} sequences, ${Math.round(rate)} a second`);
      }
    });
  }
});
