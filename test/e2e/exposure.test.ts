import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { ClientLoad } from '../support/client-load.ts';
import { inReverse } from '../support/cleanup.ts';
import { Mirrored } from '../support/mirrored.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

const transactions = 10_000;

describe('Exposure', () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;

  before(async () => {
    mirrored = await Mirrored.start(
      cleanup,
      { source: await startWatchedPostgres(cleanup) },
      {
        schema: 'CREATE TABLE load (id integer PRIMARY KEY)',
        general: { mirror_exposure: 0.5, mirror_queue: transactions },
        mirroring: { max_lag: 600_000 },
      },
    );
  });

  it('of 0.5 mirrors half of the transactions, and the counters add up at every moment', async (t) => {
    const load = ClientLoad.start(inReverse(t), mirrored.url, { clients: 8, limit: transactions });
    let samples = 0;
    let last = 0;
    while (load.isRunning) {
      const { total } = await mirrored.counts(); // checks that they add up
      assert.ok(total >= last, `total went from ${last} to ${total}`);
      last = total;
      samples += 1;
    }
    await load.finished();
    assert.deepEqual(load.errors, []);
    assert.ok(samples >= 10, `${samples} samples`);

    const counts = await mirrored.drained();
    assert.equal(counts.total, load.done);
    assert.equal(load.done, transactions);
    assert.deepEqual(counts.reasons, { exposure: counts.dropped });
    const share = counts.mirrored / counts.total;
    assert.ok(Math.abs(share - 0.5) <= 0.02, `mirrored a share of ${share}`);
    assert.equal(counts.errors, 0);

    const [row] = await mirrored.onMirror('SELECT count(*)::int AS count FROM load');
    assert.deepEqual(row, { count: counts.mirrored });
    const [sourceRow] = await mirrored.onSource('SELECT count(*)::int AS count FROM load');
    assert.deepEqual(sourceRow, { count: transactions });
  });
});
