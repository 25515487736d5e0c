import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { ClientLoad } from '../support/client-load.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { Mirrored, type MirrorCounts } from '../support/mirrored.ts';
import type { RunningPostgres } from '../support/postgres.ts';
import { childrenOf, familyOf, isAlive, residentBytes, skipWithoutProc } from '../support/processes.ts';
import { startWatchedPair } from '../support/watched-postgres.ts';

const mebibyte = 1_048_576;
const queueBytes = mebibyte;
/** What memory may grow by, beyond what is queued. */
const allowance = 64 * mebibyte;

/** Some kilobytes for each transaction, so that memory would grow if it were not bounded. */
const payload = 'x'.repeat(8_000);

describe('A mirror that is gone', { skip: skipWithoutProc }, () => {
  const cleanup = inReverse({ after });
  let source: RunningPostgres;
  let mirror: RunningPostgres;

  before(async () => {
    [source, mirror] = await startWatchedPair(cleanup);
  });

  async function start(test: Cleanup): Promise<{ mirrored: Mirrored; load: ClientLoad }> {
    const mirrored = await Mirrored.start(
      test,
      { source, mirror },
      {
        schema: 'CREATE TABLE load (id integer PRIMARY KEY, payload text)',
        general: { mirror_queue_bytes: queueBytes, mirror_queue: 1_000, connect_timeout: 1_000 },
        mirroring: { timeout: 2_000 },
      },
    );
    const load = ClientLoad.start(test, mirrored.url, {
      clients: 4,
      transaction: async (client, number) => client.query('INSERT INTO load VALUES ($1, $2)', [number, payload]),
    });
    await load.advance(500); // buffers and caches are filled, code is compiled
    return { mirrored, load };
  }

  it('because its database hangs and is then killed costs clients nothing, and mirroring resumes', async (t) => {
    const test = inReverse(t);
    const { mirrored, load } = await start(test);
    const memory = new MemoryWatch(mirrored.pgmirror.processId);
    const stopped = familyOf(mirror.processId);
    for (const id of stopped) process.kill(id, 'SIGSTOP');
    test.after(async () => mirror.restart());

    await load.advance(2_000);
    await until(mirrored, ({ reasons }) => (reasons.queue_full ?? 0) + (reasons.bytes_full ?? 0) > 0);
    await memory.assertBounded(mirrored);
    await until(mirrored, ({ state, reasons }) => state === 'down' && (reasons.mirror_down ?? 0) > 0);

    for (const id of stopped) process.kill(id, 'SIGKILL');
    await load.advance(500);
    await until(mirrored, ({ state }) => state === 'down');
    await memory.assertBounded(mirrored);

    await mirror.restart();
    await resumes(mirrored, load);
    await finish(mirrored, load);
  });

  it('because its process hangs and is then killed costs clients nothing, and mirroring resumes', async (t) => {
    const { mirrored, load } = await start(inReverse(t));
    const { pgmirror } = mirrored;
    const memory = new MemoryWatch(pgmirror.processId);
    const [mirrorProcess = 0] = childrenOf(pgmirror.processId);
    process.kill(mirrorProcess, 'SIGSTOP');

    await load.advance(2_000);
    await until(mirrored, ({ reasons }) => (reasons.queue_full ?? 0) + (reasons.bytes_full ?? 0) > 0);
    await memory.assertBounded(mirrored);

    if (isAlive(mirrorProcess)) process.kill(mirrorProcess, 'SIGKILL'); // unless pgmirror itself has lost patience
    await until(mirrored, ({ reasons }) => (reasons.lost ?? 0) > 0);
    await load.advance(500);
    await resumes(mirrored, load);
    assert.notEqual(childrenOf(pgmirror.processId)[0], mirrorProcess);
    await memory.assertBounded(mirrored);
    await finish(mirrored, load);
  });
});

/** Compares the memory of pgmirror's processes with what it was. */
class MemoryWatch {
  readonly #processId: number;
  readonly #before: readonly number[];

  constructor(processId: number) {
    this.#processId = processId;
    this.#before = this.#now();
  }

  async assertBounded(mirrored: Mirrored): Promise<void> {
    const { queuedBytes } = await mirrored.counts();
    assert.ok(queuedBytes <= queueBytes, `queued_bytes is ${queuedBytes}`);
    for (const [index, bytes] of this.#now().entries()) {
      const grown = bytes - (this.#before[index] ?? 0);
      const which = index === 0 ? 'pooler' : 'mirror process';
      assert.ok(grown < allowance + queueBytes, `the ${which} has grown by ${Math.round(grown / mebibyte)} MiB`);
    }
  }

  /** The pooler's, then the mirror process's, if it is there. */
  #now(): number[] {
    return familyOf(this.#processId).map(residentBytes);
  }
}

async function until(mirrored: Mirrored, fits: (counts: MirrorCounts) => boolean): Promise<void> {
  await eventually(
    async () => {
      const counts = await mirrored.counts();
      if (!fits(counts)) throw new Error(JSON.stringify(counts));
      return true;
    },
    { timeoutMs: 30_000, intervalMs: 100 },
  );
}

async function resumes(mirrored: Mirrored, load: ClientLoad): Promise<void> {
  const earlier = (await mirrored.counts()).mirrored;
  await until(mirrored, ({ state, mirrored: now }) => state === 'up' && now > earlier + 100);
  await load.advance(100);
}

async function finish(mirrored: Mirrored, load: ClientLoad): Promise<void> {
  await load.stop();
  assert.deepEqual(load.errors, []);
  // Nobody waited until the mirror was given up; a busy machine is no reason to fail.
  assert.ok(load.slowestMs < 4_000, `one transaction took ${Math.round(load.slowestMs)} ms`);
  const { total } = await mirrored.drained();
  assert.ok(total >= load.done);
}
