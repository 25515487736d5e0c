import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { Logger, makeWorkerUtils, run, runMigrations } from 'graphile-worker';
import { PgBoss } from 'pg-boss';

import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { query } from '../support/postgres.ts';
import { BothWays } from './both-ways.ts';

const WORKERS = 8;
const JOBS = 60;
const silent = new Logger(() => () => {});

describe('job queues', () => {
  const cleanup = inReverse({ after });
  let both: BothWays;

  before(async () => {
    both = await BothWays.start(cleanup);
  });

  it('graphile-worker: hears of jobs, locks them and does each once', async () => {
    const [, url] = both.urls;
    await runMigrations({ connectionString: url, logger: silent });
    const done: number[] = [];
    const runners = await Promise.all(
      Array.from({ length: WORKERS }, async () =>
        run({
          connectionString: url,
          logger: silent,
          concurrency: 2,
          noHandleSignals: true,
          pollInterval: 60_000, // what is done sooner was heard of by LISTEN
          taskList: {
            note: async (payload, { withPgClient, job }) => {
              const { number } = payload as { number: number };
              if (number % 10 === 0 && job.attempts === 1) throw new Error('the first attempt fails');
              const { rows } = await withPgClient(async (client) =>
                client.query<{ twice: number }>('SELECT $1::int * 2 AS twice', [number]),
              );
              done.push((rows[0]?.twice ?? 0) / 2);
            },
          },
        }),
      ),
    );
    const utils = await makeWorkerUtils({ connectionString: url, logger: silent });
    try {
      const added = Array.from({ length: JOBS }, async (_, number) =>
        utils.addJob('note', { number }, { queueName: `queue ${number % 5}` }),
      );
      await Promise.all(added);
      // What fails is put off by seconds; this is what the tests do not wait for.
      const hurry = `UPDATE graphile_worker._private_jobs SET run_at = now() WHERE attempts = 1; NOTIFY "jobs:insert", '{"count": 5}'`;
      await eventually(
        async () => {
          await utils.withPgClient(async (client) => client.query(hurry));
          return done.length >= JOBS;
        },
        { timeoutMs: 30_000, intervalMs: 200, what: 'the jobs' },
      );
    } finally {
      await utils.release();
      await Promise.all(runners.map(async (runner) => runner.stop()));
    }
    assert.deepEqual(
      done.toSorted((a, b) => a - b),
      Array.from({ length: JOBS }, (_, number) => number),
    );
    assert.deepEqual(await query(both.postgres.url('pooled'), 'SELECT * FROM graphile_worker._private_jobs'), []);
    await both.assertAtRest();
  });

  it('pg-boss: starts at several places at once, and does each job once', async () => {
    const [, url] = both.urls;
    const errors: unknown[] = [];
    const bosses = Array.from({ length: WORKERS }, () => new PgBoss({ connectionString: url, max: 2 }));
    const done: number[] = [];
    try {
      await Promise.all(
        bosses.map(async (boss) => {
          boss.on('error', (error) => errors.push(error));
          await boss.start();
        }),
      );
      const [first] = bosses;
      assert.ok(first !== undefined);
      await first.createQueue('note', { retryLimit: 2, retryDelay: 0 });
      await Promise.all(Array.from({ length: JOBS }, async (_, number) => first.send('note', { number })));
      const failed = new Set<number>();
      for (const boss of bosses) {
        await boss.work<{ number: number }>('note', { pollingIntervalSeconds: 0.5, batchSize: 1 }, async ([job]) => {
          const { number } = job?.data ?? { number: -1 };
          if (number % 10 === 0 && !failed.has(number)) {
            failed.add(number);
            throw new Error('the first attempt fails');
          }
          done.push(number);
          return Promise.resolve();
        });
      }
      await eventually(() => done.length >= JOBS, { timeoutMs: 30_000, what: 'the jobs' });
    } finally {
      await Promise.all(bosses.map(async (boss) => boss.stop({ graceful: true, timeout: 5_000 })));
    }
    assert.deepEqual(errors, []);
    assert.deepEqual(
      done.toSorted((a, b) => a - b),
      Array.from({ length: JOBS }, (_, number) => number),
    );
    await both.assertAtRest();
  });
});
