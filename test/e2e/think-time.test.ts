import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { Mirrored } from '../support/mirrored.ts';
import { databaseEntry } from '../support/pgmirror.ts';
import { createDatabase, query, withClient } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

const thinkMs = 50;
const sleepMs = 100;
const rounds = 3;
/** A busy machine makes single runs longer, or has them begin late, which shortens pauses: it is tried again for so long. */
const patience = { timeoutMs: 60_000 };

const schema = 'CREATE TABLE stamp (run integer, at timestamptz DEFAULT clock_timestamp())';

describe('The time between a transaction’s requests', () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;
  let hurried: string;
  let runs = 0;

  before(async () => {
    const source = await startWatchedPostgres(cleanup);
    mirrored = await Mirrored.start(cleanup, { source }, { schema });
    const database = await createDatabase(source, 'hurried');
    hurried = source.url(database);
    await query(hurried, schema);
    await mirrored.pgmirror.reload({
      databases: [...(mirrored.files.databases ?? []), databaseEntry('hurried', source, database)],
      mirroring: [...(mirrored.files.mirroring ?? []), { source_db: 'app', destination_db: 'hurried', timing: 'none' }],
    });
    await mirrored.whenMirroring('hurried');
  });

  /** Runs a transaction that thinks and sleeps, and waits until both mirrors have it. */
  async function run(): Promise<void> {
    runs += 1;
    await withClient(mirrored.url, async (client) => {
      await client.query('BEGIN');
      await client.query(`INSERT INTO stamp VALUES (${runs})`);
      for (let round = 0; round < rounds; round += 1) {
        await client.query(`SELECT pg_sleep(${sleepMs / 1000})`);
        await delay(thinkMs);
      }
      await client.query(`INSERT INTO stamp VALUES (${runs})`);
      await client.query('COMMIT');
    });
    await mirrored.drained();
    await mirrored.drained({ destination: 'hurried' });
  }

  it('is kept on the mirror, without the time that the source took to answer', async () => {
    const expected = rounds * (thinkMs + sleepMs);
    const counted = expected + rounds * sleepMs; // were the source's time slept, too
    await eventually(async () => {
      await run();
      const realistic = await durations(mirrored.mirrorUrl);
      assert.equal(realistic.length, runs);
      const kept = realistic.filter((duration) => duration > expected - 40 && duration < (expected + counted) / 2);
      assert.notEqual(kept.length, 0, JSON.stringify({ source: await durations(mirrored.sourceUrl), realistic }));
      return true;
    }, patience);
  });

  it('is left out with timing = "none"', async () => {
    await eventually(async () => {
      await run();
      const none = await durations(hurried);
      assert.equal(none.length, runs);
      for (const duration of none) assert.ok(duration >= rounds * sleepMs, JSON.stringify(none));
      assert.ok(Math.min(...none) < rounds * (sleepMs + thinkMs / 2), JSON.stringify(none));
      return true;
    }, patience);
  });
});

/** Milliseconds from the first statement of each run to its last. */
async function durations(url: string): Promise<number[]> {
  const sql = `SELECT extract(epoch FROM max(at) - min(at))::float8 * 1000 AS ms FROM stamp GROUP BY run ORDER BY run`;
  return (await query<{ ms: number }>(url, sql)).map(({ ms }) => Math.round(ms));
}
