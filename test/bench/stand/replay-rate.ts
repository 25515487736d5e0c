import type { Cleanup } from '../../support/cleanup.ts';
import { eventually } from '../../support/eventually.ts';
import { WireClient } from '../../support/wire-client.ts';
import { MirrorChild, RecordFeeder, targetConfig } from '../../mirror/replay/mirror-child.ts';
import { SourceSession } from '../../mirror/replay/source-session.ts';
import { POOL_SIZE } from './contenders.ts';
import { threadTimes, usedBetween } from './processor-time.ts';
import { startScript } from './programs.ts';
import type { Servers } from './servers.ts';

const CLIENTS = 16;
/** So many are always on their way, which is less than waits for a mirror in the pooler's queues. */
const AHEAD = 2_000;
const BATCH = 400;

/** What the mirror process came to: transactions a second, and microseconds of processor time for each. */
export interface ReplayRate {
  readonly perSecond: number;
  readonly microseconds: number;
}

/** A recorded `pgbench -S`, sent to a mirror process as fast as it replays it on a server that answers at once. */
export async function replayRate(cleanup: Cleanup, servers: Servers, seconds: number): Promise<ReplayRate> {
  const { source, mirror } = servers;
  const sink = await startScript(cleanup, './sink.ts', [mirror.host, String(mirror.port)]);
  const child = await MirrorChild.start(cleanup, source);
  const destination = { ...mirror, host: '127.0.0.1', port: sink.port };
  await child.configure(targetConfig(destination, mirror.database, { poolSize: POOL_SIZE, maxLagMs: 600_000 }));
  const recording = await record(servers);
  const feeder = await RecordFeeder.connect(child.socketPath, cleanup);
  for (let client = 1; client <= CLIENTS; client++) feeder.writer.client(client, 'app', 'someone');
  let sent = 0;
  const feed = async (until: number): Promise<void> => {
    while (performance.now() < until) {
      for (let i = 0; i < BATCH; i++) feeder.transaction({ ...recording, client: 1 + (sent++ % CLIENTS) });
      feeder.flush();
      await eventually(() => sent - feeder.acknowledged.length < AHEAD, { intervalMs: 1, timeoutMs: 20_000 });
    }
  };
  await feed(performance.now() + 1_000);
  const processes = [child.child.pid ?? 0];
  const [start, before, done] = [performance.now(), threadTimes(processes), feeder.acknowledged.length];
  await feed(start + seconds * 1_000);
  const [took, after] = [performance.now() - start, threadTimes(processes)];
  const replayed = feeder.acknowledged.length - done;
  let used = 0;
  for (const { user, system } of usedBetween(before, after).values()) used += user + system;
  const dropped = (await feeder.finished(1, 60_000)).filter(({ reason }) => reason !== 0).length;
  if (dropped > 0) throw new Error(`${dropped} transactions were dropped`);
  return { perSecond: (replayed * 1_000) / took, microseconds: used / replayed };
}

async function record({ source }: Servers) {
  const { user, password, database } = source;
  const wire = await WireClient.login(source, { user, password, database });
  const session = new SourceSession(wire);
  await session.queries('SELECT abalance FROM pgbench_accounts WHERE aid = 48213;');
  await wire.end();
  const [recording] = session.transactions;
  if (recording === undefined) throw new Error('nothing was recorded');
  return recording;
}
