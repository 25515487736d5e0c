import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';

import type { Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { Pgmirror } from '../support/pgmirror.ts';
import { query } from '../support/postgres.ts';
import { childrenOf, familyOf } from '../support/processes.ts';
import { benchArguments } from './stand/arguments.ts';
import { benchRun, scoped } from './stand/bench-run.ts';
import { entryOf, POOL_SIZE } from './stand/contenders.ts';
import { CoreMeter, type CoreShare } from './stand/core-shares.ts';
import { pgbenchMissing, quantile, runPgbench } from './stand/pgbench.ts';
import { residentMemory } from './stand/processor-time.ts';
import { startScript } from './stand/programs.ts';
import { openServers, urlOf, type Servers } from './stand/servers.ts';
import { median } from './stand/summary.ts';
import { figure, table } from './stand/table.ts';
import { sharesBySessions, Yielding, yieldingTold } from './stand/yielding.ts';

/**
 * What clients of the source notice of a mirror in each kind of trouble: throughput at saturation, and latency at half
 * (`--rate`, percent) of what the source carries without a mirror. Not a test: it decides nothing. How to run it is in docs/performance.md.
 */
const given = benchArguments({ seconds: 6, rounds: 3 });
const CLIENTS = 16;

/** A mirror, and what happens to it once the first transaction has reached it. */
interface Condition {
  readonly name: string;
  readonly what: string;
  /** How `stand/sink.ts` stands before the mirror; `undefined`: there is no mirror. */
  readonly mode?: string;
  readonly trouble?: NodeJS.Signals;
  /** Nothing can be seen to reach it. */
  readonly unreachable?: true;
}

const conditions: readonly Condition[] = [
  { name: 'off', what: 'no mirror' },
  { name: 'healthy', what: 'a mirror as fast as the source', mode: '0' },
  { name: 'stopped', what: 'stopped with SIGSTOP', mode: '0', trouble: 'SIGSTOP' },
  { name: 'killed', what: 'killed', mode: '0', trouble: 'SIGKILL' },
  { name: 'slow', what: 'ten times slower: each answer 3 ms later', mode: '3' },
  { name: 'garbage', what: 'answers with random bytes', mode: 'garbage', unreachable: true },
  { name: 'silent', what: 'accepts connections and never answers', mode: 'silent', unreachable: true },
  { name: 'huge', what: 'sends 1 GB for an answer', mode: 'huge', unreachable: true },
  { name: 'off again', what: 'no mirror, once more: what the ratios vary by anyway' },
];

/** What clients noticed under one condition, in one round; latencies in milliseconds, memory in bytes. */
interface Noticed {
  readonly condition: string;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
  readonly memory: number;
  readonly mirrorMemory: number;
  /** Share of the transactions that were replayed, and what became of the mirror. */
  readonly mirrored: number;
  /** The same at half of the capacity. */
  readonly mirroredAtHalf: number;
  readonly state: string;
  /** Who took the processors at half of the capacity. */
  readonly shares: Readonly<Record<string, CoreShare>>;
}

await benchRun(async (cleanup) => {
  const missing = pgbenchMissing();
  if (missing !== undefined) throw new Error(missing);
  const servers = await openServers(cleanup, { urls: given.urls, scale: given.smoke ? 1 : 10 });
  const chosen = conditions.filter(
    ({ name, mode }) => given.only.length === 0 || mode === undefined || given.only.includes(name),
  );
  // What stands for other machines is to take from clients nothing of this one: that is not what pgmirror does to them.
  const yielding = await Yielding.start(servers.processes.mirror);
  cleanup.after(() => yielding.stop());
  console.log(`# ${servers.told}; -S simple, ${CLIENTS} clients, ratios to no mirror in the same round`);
  console.log(
    `# the mirror's PostgreSQL and what stands before it ${yieldingTold()}: production takes what it needs first`,
  );
  if (sharesBySessions())
    console.log('# kernel.sched_autogroup_enabled = 1: sessions share the processors, which blurs every latency here');
  // One rate for all: latencies are compared under the same load.
  const { perSecond: capacity } = await measureOnce(servers, chosen[0]!, undefined);
  const rounds: Noticed[][] = [];
  while (rounds.length < given.rounds) {
    rounds.push(await measureRound(servers, chosen, capacity));
    const all = JSON.stringify({ told: servers.told, capacity, rounds }, null, 1);
    if (given.json !== undefined) await writeFile(given.json, all);
  }
  console.log(report(chosen, rounds));
  console.log(
    `\nAt ${given.rate} % of the capacity, percent of a core (context switches a second):\n\n${sharesReport(chosen, rounds)}`,
  );
});

/** A condition that cannot be measured is left out of the round, and said to be: the others are worth having. */
async function measureRound(servers: Servers, chosen: readonly Condition[], capacity: number): Promise<Noticed[]> {
  const round: Noticed[] = [];
  for (const condition of chosen) {
    try {
      round.push(await measureOnce(servers, condition, capacity));
    } catch (error) {
      if (round.length === 0) throw error;
      process.exitCode = 1;
      process.stderr.write(`${condition.name}: not measured: ${(error as Error).stack}\n`);
    }
  }
  return round;
}

async function measureOnce(servers: Servers, condition: Condition, capacity: number | undefined): Promise<Noticed> {
  const noticed = await scoped(async (cleanup) => measureCondition(cleanup, servers, condition, capacity));
  process.stderr.write(`${condition.name}: ${figure(noticed.perSecond, 0)}/s, p99 ${figure(noticed.p99, 2)} ms\n`);
  return noticed;
}

/** `capacity`: what the source carries without a mirror, where that is known. */
async function measureCondition(
  cleanup: Cleanup,
  servers: Servers,
  condition: Condition,
  capacity: number | undefined,
): Promise<Noticed> {
  const { source, processes } = servers;
  const { pgmirror, sink } = await start(cleanup, servers, condition);
  const address = { ...source, host: '127.0.0.1', port: pgmirror.port, database: 'bench' };
  await query(urlOf(address), 'SELECT 1');
  if (condition.mode !== undefined && condition.unreachable !== true) {
    await eventually(async () => {
      await query(urlOf(address), 'SELECT count(*) FROM pgbench_branches');
      return Number((await mirrorRow(pgmirror))?.mirrored_count) > 0;
    });
  }
  if (condition.trouble !== undefined) sink?.kill(condition.trouble);
  const { seconds } = given;
  const parameters = ['-S', '-c', String(CLIENTS)];
  const full = await runPgbench(address, { seconds, sampling: 0.1, parameters, mark: () => undefined });
  const perSecond = full.units / full.seconds;
  const rate = Math.round(((capacity ?? perSecond) * given.rate) / 100);
  const meter = new CoreMeter({
    source: () => processes.source.flatMap(familyOf),
    pgbench: () => childrenOf(process.pid).filter((child) => commandOf(child) === 'pgbench'),
    pooler: () => [pgmirror.processId],
    'mirror process': () => childrenOf(pgmirror.processId),
    mirror: () => processes.mirror.flatMap(familyOf),
    'stand-in': () => (sink?.pid === undefined ? [] : [sink.pid]),
  });
  const before = await mirrorRow(pgmirror);
  const half = await runPgbench(address, {
    ...{ seconds, sampling: 1, mark: (edge) => meter.mark(edge) },
    parameters: [...parameters, '-R', String(rate)],
  });
  const row = await mirrorRow(pgmirror);
  return {
    condition: condition.name,
    perSecond,
    p50: quantile(half.latencies, 0.5),
    p99: quantile(half.latencies, 0.99),
    errors: full.errors + half.errors,
    memory: residentMemory([pgmirror.processId], 'peak'),
    mirrorMemory: residentMemory(childrenOf(pgmirror.processId), 'peak'),
    mirrored: shareMirrored(row),
    mirroredAtHalf: shareMirrored(row, before),
    state: String(row?.state ?? '–'),
    shares: meter.read(),
  };
}

/** Of the transactions since an earlier row of the mirror. */
function shareMirrored(row: MirrorRow, before?: MirrorRow): number {
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

async function start(
  cleanup: Cleanup,
  { source, mirror }: Servers,
  { mode }: Condition,
): Promise<{ readonly pgmirror: Pgmirror; readonly sink: ChildProcess | undefined }> {
  const sink =
    mode === undefined ? undefined : await startScript(cleanup, './sink.ts', [mirror.host, String(mirror.port), mode]);
  if (sink?.process.pid !== undefined) {
    const yielding = await Yielding.start([sink.process.pid]);
    cleanup.after(() => yielding.stop());
  }
  const destination = { ...mirror, host: '127.0.0.1', port: sink?.port ?? 0 };
  const mirrors = sink === undefined ? [] : [{ name: 'mirror', ...entryOf(destination) }];
  const pgmirror = await Pgmirror.start(cleanup, {
    general: { default_pool_size: POOL_SIZE, log_connections: false, tls_verify: 'disabled' },
    databases: [{ name: 'bench', ...entryOf(source) }, ...mirrors],
    mirroring: mirrors.map(() => ({ source_db: 'bench', destination_db: 'mirror' })),
    users: [{ name: source.user, database: 'bench', password: source.password }],
  });
  return { pgmirror, sink: sink?.process };
}

type MirrorRow = Awaited<ReturnType<Pgmirror['admin']>>[number] | undefined;

async function mirrorRow(pgmirror: Pgmirror): Promise<MirrorRow> {
  const rows = await pgmirror.admin('SHOW MIRRORS');
  return rows.find(({ total_count }) => Number(total_count) > 0) ?? rows[0];
}

function report(chosen: readonly Condition[], rounds: readonly (readonly Noticed[])[]): string {
  const head = ['mirror', 'tx/s', '÷ off', 'p50 ms', '÷ off', 'p99 ms', '÷ off', 'errors'];
  head.push('peak MiB', 'mirror process MiB', 'replayed', `at ${given.rate} %`, 'state');
  const rows = chosen.map(({ name, what }) => {
    const pairs = rounds.flatMap((round) => {
      const found = round.find(({ condition }) => condition === name);
      return found === undefined ? [] : [{ found, off: round[0]! }];
    });
    const mine = pairs.map(({ found }) => found);
    const of = (value: (noticed: Noticed) => number): number => median(mine.map(value));
    const toOff = (value: (noticed: Noticed) => number): number =>
      median(pairs.map(({ found, off }) => value(found) / value(off)));
    const both = (value: (noticed: Noticed) => number, decimals: number): string[] => [
      figure(of(value), decimals),
      figure(toOff(value), 2),
    ];
    return [
      `${name}: ${what}`,
      ...both(({ perSecond }) => perSecond, 0),
      ...both(({ p50 }) => p50, 2),
      ...both(({ p99 }) => p99, 2),
      String(mine.reduce((sum, { errors }) => sum + errors, 0)),
      figure(of(({ memory }) => memory) / 2 ** 20, 0),
      figure(of(({ mirrorMemory }) => mirrorMemory) / 2 ** 20, 0),
      `${figure(100 * of(({ mirrored }) => mirrored), 0)} %`,
      `${figure(100 * of(({ mirroredAtHalf }) => mirroredAtHalf), 0)} %`,
      mine.at(-1)?.state ?? '–',
    ];
  });
  return table(head, rows);
}

function sharesReport(chosen: readonly Condition[], rounds: readonly (readonly Noticed[])[]): string {
  const roles = Object.keys(rounds[0]?.[0]?.shares ?? {});
  const rows = chosen.map(({ name }) => {
    const mine = rounds.flat().filter(({ condition }) => condition === name);
    const of = (role: string, value: (share: CoreShare) => number): string =>
      figure(median(mine.flatMap(({ shares }) => (shares[role] === undefined ? [] : [value(shares[role])]))), 0);
    const cell = (role: string): string => {
      const switches = of(role, (share) => share.switches);
      return `${of(role, ({ core }) => 100 * core)}${switches === '0' ? '' : ` (${switches})`}`;
    };
    return [name, ...roles.map(cell)];
  });
  return table(['mirror', ...roles], rows);
}
