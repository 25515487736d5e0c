import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { ClientLoad } from '../support/client-load.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { inspectable, Inspector } from '../support/inspector.ts';
import { Mirrored } from '../support/mirrored.ts';
import type { RunningPostgres } from '../support/postgres.ts';
import { isAlive } from '../support/processes.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

/** Ends a mirror process: by its inspector, which is opened where it is needed, or otherwise. */
type End = (inspect: () => Promise<Inspector>, id: number) => unknown;

const throws = `throw new Error('provoked')`;
const rejects = `void Promise.reject(new Error('provoked'))`;
const hangs = `for (;;);`;
/** Its accepted connections are the pooler threads' streams. */
const breaksRecordStreams = `for (const one of process._getActiveHandles()) if (one.server && one.destroy) one.destroy()`;
const runsOutOfMemory = `const all = []; for (;;) all.push(new Array(1_000_000).fill(0.5))`;

// One that hangs is waited for, which takes longer than all else here.
describe('The mirror process', { concurrency: 2 }, () => {
  const cleanup = inReverse({ after });
  let source: RunningPostgres;

  before(async () => {
    source = await startWatchedPostgres(cleanup);
  });

  async function start(test: Cleanup): Promise<Mirrored> {
    return Mirrored.start(
      test,
      { source },
      {
        schema: 'CREATE TABLE load (id integer PRIMARY KEY)',
        general: { mirror_queue_bytes: 1_048_576 },
        process: { env: inspectable },
      },
    );
  }

  /** Ends it, and sees that clients go on meanwhile, and that another mirrors what they do. */
  async function isStartedAgain(test: Cleanup, mirrored: Mirrored, end: End): Promise<void> {
    const { pgmirror } = mirrored;
    const load = ClientLoad.start(test, mirrored.url, {
      pauseMs: 2,
      transaction: async (client) => client.query('SELECT count(*) FROM load'),
    });
    await load.advance(50);
    const failing = mirrorProcessOf(mirrored);
    const from = pgmirror.log.lines.length;

    await end(async () => Inspector.open(test, pgmirror, failing), failing);

    // One that hangs is given the time for which others had the processors.
    await pgmirror.waitForLog((line) => line.msg === 'mirror process ended', { from, timeoutMs: 90_000 });
    await pgmirror.waitForLog((line) => line.msg === 'mirror process started', { from, timeoutMs: 30_000 });
    await eventually(() => !isAlive(failing));
    await load.advance(50);
    const { mirrored: soFar } = await mirrored.counts();
    await eventually(async () => (await mirrored.counts()).mirrored > soFar + 20, { timeoutMs: 20_000 });
    await load.stop();
    assert.deepEqual(load.errors, []);
    assert.equal((await mirrored.drained()).errors, 0);
  }

  it('is started again, and clients notice nothing, when it hangs', async (t) => {
    const test = inReverse(t);
    await isStartedAgain(test, await start(test), async (inspect) => (await inspect()).run(hangs));
  });

  describe('is started again, and clients notice nothing,', { concurrency: false }, () => {
    let mirrored: Mirrored;
    const shared = inReverse({ after });

    before(async () => {
      mirrored = await start(shared);
    });

    const failures: readonly (readonly [what: string, end: End])[] = [
      ['when it throws', async (inspect) => (await inspect()).run(throws)],
      ['when it leaves a rejection unhandled', async (inspect) => (await inspect()).run(rejects)],
      ['when it runs out of memory', async (inspect) => (await inspect()).run(runsOutOfMemory)],
      ['when it is killed', (_, id) => process.kill(id, 'SIGKILL')],
    ];

    for (const [what, end] of failures) {
      it(what, async (t) => isStartedAgain(inReverse(t), mirrored, end));
    }
  });

  it('is sent transactions again when a record stream breaks and it lives', async (t) => {
    const test = inReverse(t);
    const mirrored = await start(test);
    const { pgmirror } = mirrored;
    const load = ClientLoad.start(test, mirrored.url, {
      pauseMs: 2,
      transaction: async (client) => client.query('SELECT count(*) FROM load'),
    });
    await load.advance(50);
    const from = pgmirror.log.lines.length;

    await (await Inspector.open(test, pgmirror, mirrorProcessOf(mirrored))).run(breaksRecordStreams);

    await eventually(async () => ((await mirrored.counts()).reasons.mirror_down ?? 0) > 0, { timeoutMs: 20_000 });
    const { mirrored: soFar } = await mirrored.counts();
    await eventually(async () => (await mirrored.counts()).mirrored > soFar + 20, { timeoutMs: 20_000 });
    await load.stop();
    assert.deepEqual(load.errors, []);
    assert.equal((await mirrored.drained()).errors, 0);
    assert.ok(!pgmirror.log.lines.slice(from).some((line) => line.msg === 'mirror process ended'));
  });

  for (const how of ['idle', 'hung'] as const) {
    it(`ends with its parent when that is killed, also when it is ${how}`, async (t) => {
      const test = inReverse(t);
      const mirrored = await start(test);
      const { pgmirror } = mirrored;
      const mirrorProcess = mirrorProcessOf(mirrored);
      if (how === 'hung') {
        await (await Inspector.open(test, pgmirror, mirrorProcess)).run(hangs);
        await eventually(async () => (await mirrored.counts()).reason === 'the mirror process does not answer');
      }
      assert.ok(isAlive(mirrorProcess));

      pgmirror.kill('SIGKILL');

      await eventually(() => !isAlive(mirrorProcess), { timeoutMs: 15_000, what: 'the mirror process to end' });
      assert.equal(await pgmirror.exited, 'SIGKILL');
    });
  }
});

/** The process that was started last. */
function mirrorProcessOf({ pgmirror }: Mirrored): number {
  const id = pgmirror.log.lines.findLast((line) => line.msg === 'mirror process started')?.processId;
  assert.ok(typeof id === 'number');
  return id;
}
