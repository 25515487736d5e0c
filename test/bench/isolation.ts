import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';

import { eventually } from '../support/eventually.ts';
import { childrenOf, familyOf } from '../support/processes.ts';
import { benchArguments } from './stand/arguments.ts';
import { benchRun } from './stand/bench-run.ts';
import { CoreMeter } from './stand/core-shares.ts';
import { isolationTable, sharesTable, type Noticed } from './stand/isolation-report.ts';
import {
  mirrorConditions,
  mirrorRow,
  startConditioned,
  type Conditioned,
  type MirrorRow,
} from './stand/mirror-conditions.ts';
import { pgbenchMissing, quantile, runPgbench, type PgbenchResult } from './stand/pgbench.ts';
import { residentMemory } from './stand/processor-time.ts';
import { openServers, type Servers } from './stand/servers.ts';
import { shuffled } from './stand/shuffled.ts';
import { figure } from './stand/table.ts';
import { sharesBySessions, Yielding, yieldingTold } from './stand/yielding.ts';

/**
 * What clients of the source notice of a mirror in each kind of trouble: throughput at saturation, and latency at half
 * (`--rate`, percent) of what the source carries without a mirror. A pgmirror for each condition stands by from the
 * beginning and is warmed up once; they take turns, in another order each round, so that neither a process's first seconds
 * nor the machine's mood of a minute is taken for the mirror's doing. Not a test: it decides nothing. How to run it is in
 * docs/performance.md.
 */
const given = benchArguments({ seconds: 3, rounds: 7 });
const CLIENTS = 16;
/** How long a queue may take to empty before the next one's turn: longer than a request may take on a mirror (`timeout`). */
const DRAIN_MS = 40_000;

await benchRun(async (cleanup) => {
  const missing = pgbenchMissing();
  if (missing !== undefined) throw new Error(missing);
  const servers = await openServers(cleanup, { urls: given.urls, scale: given.smoke ? 1 : 10 });
  const chosen = mirrorConditions.filter(
    ({ name, mode }) => given.only.length === 0 || mode === undefined || given.only.includes(name),
  );
  const all: Conditioned[] = [];
  for (const condition of chosen) all.push(await startConditioned(cleanup, servers, condition));
  // What stands for other machines is to take from clients nothing of this one: that is not what pgmirror does to them.
  const standIns = all.flatMap(({ sink }) => (sink === undefined ? [] : [sink]));
  const yielding = await Yielding.start([...servers.processes.mirror, ...standIns]);
  cleanup.after(() => yielding.stop());
  console.log(`# ${servers.told}; -S simple, ${CLIENTS} clients, ratios to no mirror in the same round`);
  console.log(
    `# the mirror's PostgreSQL and what stands before it ${yieldingTold()}: production takes what it needs first`,
  );
  if (sharesBySessions())
    console.log('# kernel.sched_autogroup_enabled = 1: sessions share the processors, which blurs every latency here');
  for (const one of all) await saturate(one, 0.01);
  // One rate for all: latencies are compared under the same load.
  const { units, seconds } = await saturate(all[0]!, 0.01);
  const rate = Math.round(((units / seconds) * given.rate) / 100);
  const rounds: Noticed[][] = [];
  const until = performance.now() + given.minutes * 60_000;
  while (rounds.length < given.rounds && performance.now() < until) {
    rounds.push(await measureRound(servers, all, rate));
    const json = JSON.stringify({ told: servers.told, rate, rounds }, null, 1);
    if (given.json !== undefined) await writeFile(given.json, json);
  }
  console.log(isolationTable(chosen, rounds, given.rate));
  console.log(
    `\nAt ${given.rate} % of the capacity, percent of a core (context switches a second):\n\n${sharesTable(chosen, rounds)}`,
  );
});

/** A condition that cannot be measured is left out of the round, and said to be: the others are worth having. */
async function measureRound(servers: Servers, all: readonly Conditioned[], rate: number): Promise<Noticed[]> {
  const round: Noticed[] = [];
  for (const one of shuffled(all)) {
    try {
      const noticed = await measure(servers, one, rate);
      process.stderr.write(
        `${noticed.condition}: ${figure(noticed.perSecond, 0)}/s, p99 ${figure(noticed.p99, 2)} ms\n`,
      );
      round.push(noticed);
      await drained(one);
    } catch (error) {
      process.exitCode = 1;
      process.stderr.write(`${one.condition.name}: not measured: ${(error as Error).stack}\n`);
    }
  }
  return round;
}

async function measure({ processes }: Servers, one: Conditioned, rate: number): Promise<Noticed> {
  const { condition, pgmirror, address, sink } = one;
  const { seconds } = given;
  const meter = new CoreMeter({
    source: () => familyOf(...processes.source),
    pgbench: () => childrenOf(process.pid).filter((child) => commandOf(child) === 'pgbench'),
    pooler: () => [pgmirror.processId],
    'mirror process': () => childrenOf(pgmirror.processId),
    mirror: () => familyOf(...processes.mirror),
    'stand-in': () => (sink === undefined ? [] : [sink]),
  });
  const before = await mirrorRow(pgmirror);
  const atRate = await runPgbench(address, {
    ...{ seconds, sampling: 1, mark: (edge) => meter.mark(edge) },
    parameters: ['-S', '-c', String(CLIENTS), '-R', String(rate)],
  });
  const between = await mirrorRow(pgmirror);
  const full = await saturate(one, 0.1);
  const row = await mirrorRow(pgmirror);
  return {
    condition: condition.name,
    perSecond: full.units / full.seconds,
    p50: quantile(atRate.latencies, 0.5),
    p99: quantile(atRate.latencies, 0.99),
    errors: full.errors + atRate.errors,
    memory: residentMemory([pgmirror.processId], 'peak'),
    mirrorMemory: residentMemory(childrenOf(pgmirror.processId), 'peak'),
    mirrored: shareMirrored(row, between),
    mirroredAtRate: shareMirrored(between, before),
    state: String(row?.state ?? '–'),
    shares: meter.read(),
  };
}

async function saturate({ address }: Conditioned, sampling: number): Promise<PgbenchResult> {
  const parameters = ['-S', '-c', String(CLIENTS)];
  return runPgbench(address, { seconds: given.seconds, sampling, parameters, mark: () => undefined });
}

/** Waits until a mirror has caught up: what it replays late must not be in somebody else's turn. */
async function drained({ pgmirror }: Conditioned): Promise<void> {
  await eventually(async () => Number((await mirrorRow(pgmirror))?.queue_length ?? 0) === 0, {
    what: 'the queue to be empty',
    timeoutMs: DRAIN_MS,
  });
}

/** Of the transactions since an earlier row of the mirror. */
function shareMirrored(row: MirrorRow, before: MirrorRow): number {
  const since = (column: 'mirrored_count' | 'total_count'): number =>
    Number(row?.[column] ?? 0) - Number(before?.[column] ?? 0);
  return since('mirrored_count') / Math.max(1, since('total_count'));
}

function commandOf(processId: number): string {
  try {
    return readFileSync(`/proc/${processId}/comm`, 'latin1').trim();
  } catch {
    return ''; // it ended meanwhile
  }
}
