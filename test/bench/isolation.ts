import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';

import type { Cleanup } from '../support/cleanup.ts';
import { childrenOf, familyOf } from '../support/processes.ts';
import { benchArguments } from './stand/arguments.ts';
import { benchRun, scoped } from './stand/bench-run.ts';
import { CoreMeter } from './stand/core-shares.ts';
import { isolationTable, sharesTable, type Felt, type Noticed } from './stand/isolation-report.ts';
import {
  addMirror,
  mirrorConditions,
  mirrorRow,
  startMirrored,
  type MirrorCondition,
  type Mirrored,
  type MirrorRow,
} from './stand/mirror-conditions.ts';
import { pgbenchMissing, quantile, runPgbench, type PgbenchResult } from './stand/pgbench.ts';
import { forgetPeak, residentMemory } from './stand/processor-time.ts';
import { openServers } from './stand/servers.ts';
import { shuffled } from './stand/shuffled.ts';
import { figure } from './stand/table.ts';
import { sharesBySessions, Yielding, yieldingTold } from './stand/yielding.ts';

/**
 * What clients of the source notice of a mirror in each kind of trouble: throughput at saturation, and latency at half
 * (`--rate`, percent) of what the source carries without a mirror. One pgmirror serves throughout; a reload adds the
 * mirror for a turn and removes it, and each turn is measured against one without a mirror right before or behind it: two
 * processes that do the same differ by some percent for as long as they live, and two minutes of a machine, too. Not a
 * test: it decides nothing. How to run it is in docs/performance.md.
 */
const given = benchArguments({ seconds: 3, rounds: 5 });
const CLIENTS = 16;
/** How often the same is measured at most while others disturb it by more than this share of a core. */
const ATTEMPTS = 3;
const DISTURBED = 0.05;

await benchRun(async (cleanup) => {
  const missing = pgbenchMissing();
  if (missing !== undefined) throw new Error(missing);
  const servers = await openServers(cleanup, { urls: given.urls, scale: given.smoke ? 1 : 10 });
  const chosen = mirrorConditions.filter(({ name }) => given.only.length === 0 || given.only.includes(name));
  const mirrored = await startMirrored(cleanup, servers);
  // What stands for another machine is to take from clients nothing of this one: that is not what pgmirror does to them.
  const yielding = await Yielding.start(servers.processes.mirror);
  cleanup.after(() => yielding.stop());
  console.log(`# ${servers.told}; -S simple, ${CLIENTS} clients, ratios to the same process without a mirror`);
  console.log(
    `# the mirror's PostgreSQL and what stands before it ${yieldingTold()}: production takes what it needs first`,
  );
  if (sharesBySessions())
    console.log('# kernel.sched_autogroup_enabled = 1: sessions share the processors, which blurs every latency here');
  for (let warmUp = 0; warmUp < 2; warmUp++) await saturate(mirrored, 0.01);
  // One rate for all: latencies are compared under the same load.
  const { units, seconds } = await saturate(mirrored, 0.01);
  const rate = Math.round(((units / seconds) * given.rate) / 100);
  const rounds: Noticed[][] = [];
  const until = performance.now() + given.minutes * 60_000;
  while (rounds.length < given.rounds && performance.now() < until) {
    rounds.push(await measureRound(mirrored, chosen, rate));
    const json = JSON.stringify({ told: servers.told, rate, rounds }, null, 1);
    if (given.json !== undefined) await writeFile(given.json, json);
  }
  console.log(isolationTable(chosen, rounds, given.rate));
  console.log(
    `\nAt ${given.rate} % of the capacity, percent of a core (context switches a second):\n\n${sharesTable(chosen, rounds)}`,
  );
});

/** A condition that cannot be measured is left out of the round, and said to be: the others are worth having. */
async function measureRound(
  mirrored: Mirrored,
  conditions: readonly MirrorCondition[],
  rate: number,
): Promise<Noticed[]> {
  const round: Noticed[] = [];
  for (const condition of shuffled(conditions)) {
    try {
      const noticed = await measurePair(mirrored, condition, rate);
      const { without } = noticed;
      process.stderr.write(
        `${condition.name}: ${figure(noticed.perSecond, 0)}/s, p99 ${figure(noticed.p99, 2)} ms; ` +
          `without a mirror ${figure(without.perSecond, 0)}/s, ${figure(without.p99, 2)} ms\n`,
      );
      round.push(noticed);
    } catch (error) {
      process.exitCode = 1;
      process.stderr.write(`${condition.name}: not measured: ${(error as Error).stack}\n`);
    }
  }
  return round;
}

/** With and without the mirror, in either order. */
async function measurePair(mirrored: Mirrored, condition: MirrorCondition, rate: number): Promise<Noticed> {
  let without: Felt | undefined;
  let found: Omit<Noticed, 'without'> | undefined;
  for (const half of shuffled(['with', 'without'] as const)) {
    if (half === 'with') found = await scoped(async (cleanup) => measureMirror(cleanup, mirrored, condition, rate));
    else without = (await undisturbed(async () => feel(mirrored, rate))).felt;
  }
  return { ...found!, without: without! };
}

async function measureMirror(
  cleanup: Cleanup,
  mirrored: Mirrored,
  condition: MirrorCondition,
  rate: number,
): Promise<Omit<Noticed, 'without'>> {
  const { processId } = mirrored.pgmirror;
  const use = async (): Promise<unknown> => saturate(mirrored, 0.01);
  const added = condition.mode === undefined ? undefined : await addMirror(cleanup, mirrored, condition, use);
  forgetPeak(processId);
  const { felt, rows, shares } = await undisturbed(async () => feel(mirrored, rate, added?.standIn));
  return {
    condition: condition.name,
    ...felt,
    memory: residentMemory([processId], 'peak'),
    mirrorMemory: residentMemory(childrenOf(processId), 'peak'),
    mirrored: shareMirrored(rows[2], rows[1]),
    mirroredAtRate: shareMirrored(rows[1], rows[0]),
    state: String(rows[2]?.state ?? '–'),
    shares,
  };
}

interface Feeling {
  readonly felt: Felt;
  /** The mirror's before, between and behind the two loads. */
  readonly rows: readonly MirrorRow[];
  /** Who took the processors at the rate. */
  readonly shares: Noticed['shares'];
}

/** What clients feel at the moment: first at the rate, then at saturation. */
async function feel(mirrored: Mirrored, rate: number, standIn?: number): Promise<Feeling> {
  const { address, pgmirror, servers } = mirrored;
  const { source, mirror } = servers.processes;
  const meter = new CoreMeter({
    source: () => familyOf(...source),
    pgbench: () => childrenOf(process.pid).filter((child) => commandOf(child) === 'pgbench'),
    pooler: () => [pgmirror.processId],
    'mirror process': () => childrenOf(pgmirror.processId),
    mirror: () => familyOf(...mirror),
    'stand-in': () => (standIn === undefined ? [] : [standIn]),
  });
  const rows = [await mirrorRow(pgmirror)];
  const atRate = await runPgbench(address, {
    ...{ seconds: given.seconds, sampling: 1, mark: (edge) => meter.mark(edge) },
    parameters: ['-S', '-c', String(CLIENTS), '-R', String(rate)],
  });
  rows.push(await mirrorRow(pgmirror));
  const full = await saturate(mirrored, 0.1);
  rows.push(await mirrorRow(pgmirror));
  const felt = {
    perSecond: full.units / full.seconds,
    p50: quantile(atRate.latencies, 0.5),
    p99: quantile(atRate.latencies, 0.99),
    errors: full.errors + atRate.errors,
  };
  return { felt, rows, shares: meter.read() };
}

/**
 * Measured again, a few times at most, while other virtual machines or other programs take a part of the processors: what
 * they do to latency is many times what is looked for. The least disturbed one counts, and everybody's errors.
 */
async function undisturbed(measure: () => Promise<Feeling>): Promise<Feeling> {
  let best = await measure();
  let { errors } = best.felt;
  for (let again = 1; again < ATTEMPTS && disturbance(best) > DISTURBED; again++) {
    const next = await measure();
    errors += next.felt.errors;
    if (disturbance(next) < disturbance(best)) best = next;
  }
  return { ...best, felt: { ...best.felt, errors } };
}

/** Share of a core. */
function disturbance({ shares }: Feeling): number {
  return (shares.stolen?.core ?? 0) + Math.max(0, shares.others?.core ?? 0);
}

async function saturate({ address }: Mirrored, sampling: number): Promise<PgbenchResult> {
  const parameters = ['-S', '-c', String(CLIENTS)];
  return runPgbench(address, { seconds: given.seconds, sampling, parameters, mark: () => undefined });
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
