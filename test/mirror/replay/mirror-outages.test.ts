import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import type { RunningPostgres } from '../../../src/cli/embedded-postgres.ts';
import { Outcome } from '../../../src/mirror/record/record-stream.ts';
import { inReverse } from '../../support/cleanup.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { eventually } from '../../support/eventually.ts';
import { MeddlingProxy } from '../../support/meddling-proxy.ts';
import { createDatabase, query as run } from '../../support/postgres.ts';
import { startWatchedPostgres } from '../../support/watched-postgres.ts';
import { simple } from '../recordings.ts';
import { MirrorChild, RecordFeeder, targetConfig } from './mirror-child.ts';
import type { MirrorTargetConfig } from '../../../src/mirror/replay/mirror-process-messages.ts';

const cleanup = inReverse({ after });
const clients = 3;
const running = `SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT pg_sleep(60)%'`;

let source: RunningPostgres;
let server: RunningPostgres;

before(async () => {
  [source, server] = [await startWatchedPostgres(cleanup), await startWatchedPostgres(cleanup)];
});

/** A mirror behind a proxy, on which each of several clients runs something long. */
async function busy(
  test: Cleanup,
  changes: Partial<MirrorTargetConfig> = {},
): Promise<{ mirror: MirrorChild; proxy: MeddlingProxy; records: RecordFeeder; url: string }> {
  const mirror = await MirrorChild.start(test, source);
  const proxy = await MeddlingProxy.start(test, server);
  const database = await createDatabase(server);
  const url = server.url(database);
  const { user, password } = server;
  await mirror.configure(targetConfig({ host: proxy.host, port: proxy.port, user, password }, database, changes));
  const records = await RecordFeeder.connect(mirror.socketPath, test);
  for (let client = 1; client <= clients; client++) {
    records.writer.client(client, 'app', 'someone');
    records.transaction({
      ...simple(`SELECT pg_sleep(60), ${'a'.repeat(client)} FROM (VALUES (1)) v(${'a'.repeat(client)})`),
      client,
    });
  }
  records.flush();
  await eventually(async () => (await run(url, running)).length === clients);
  return { mirror, proxy, records, url };
}

/** What is reported once all of them were judged. */
async function classesOf(mirror: MirrorChild): Promise<readonly object[]> {
  return (await mirror.queriesAfter(clients)).map(({ classes }) => classes);
}

it('a mirror whose connections all end at once is no finding about what ran there', async (t) => {
  const { mirror, proxy, records } = await busy(inReverse(t));
  proxy.cut();
  assert.deepEqual(
    await records.outcomes(),
    Array.from({ length: clients }, () => Outcome.Failed),
  );
  assert.deepEqual(
    await classesOf(mirror),
    Array.from({ length: clients }, () => ({ ambiguous: 1 })),
  );
});

it('nor is one that is not there any more, and not even takes a cancel', async (t) => {
  const { mirror, proxy, records } = await busy(inReverse(t), { timeoutMs: 5_000 });
  proxy.stall();
  assert.deepEqual(
    await records.outcomes(),
    Array.from({ length: clients }, () => Outcome.TimedOut),
  );
  assert.deepEqual(
    await classesOf(mirror),
    Array.from({ length: clients }, () => ({ ambiguous: 1 })),
  );
});

it('but a query whose crash takes the other connections along is', async (t) => {
  const { mirror, records, url } = await busy(inReverse(t));
  const [crashing] = await run<{ pid: number }>(url, `${running} AND query LIKE '%, aa FROM%'`);
  process.kill(crashing!.pid, 'SIGKILL');
  assert.deepEqual(
    await records.outcomes(),
    Array.from({ length: clients }, () => Outcome.Failed),
  );
  assert.deepEqual(await classesOf(mirror), [{ ambiguous: 1 }, { error_new: 1 }, { ambiguous: 1 }]);
});
