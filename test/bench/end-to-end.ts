import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';

import type { Cleanup } from '../support/cleanup.ts';
import { benchArguments } from './stand/arguments.ts';
import { benchRun } from './stand/bench-run.ts';
import type { Contender } from './stand/contender.ts';
import { entrants, POOL_SIZE } from './stand/contenders.ts';
import { loads, type Load } from './stand/loads.ts';
import { measure, type Measurement } from './stand/measure.ts';
import { pgbenchMissing } from './stand/pgbench.ts';
import { findPgbouncer } from './stand/programs.ts';
import { openServers, type Servers } from './stand/servers.ts';
import { summarize, total, type Summary } from './stand/summary.ts';
import { figure, table } from './stand/table.ts';

/**
 * Every way from a client to the source under every load, in turn, again and again: medians, and ratios within a round.
 * Not a test: it decides nothing. How to run it is in docs/performance.md.
 */
const given = benchArguments({ seconds: 4, rounds: 5 });
/** Loads, where they are chosen, that each contender carries for some seconds before anything counts. */
const WARMING = ['select-16', 'prepared-16'];
const WARMING_SECONDS = 3;
const endsAt = performance.now() + given.minutes * 60_000;

await benchRun(async (cleanup) => {
  const missing = pgbenchMissing();
  if (missing !== undefined) throw new Error(missing);
  const servers = await openServers(cleanup, { urls: given.urls, scale: given.smoke ? 1 : 10 });
  const chosen = choose(loads, given.smoke ? ['select-16'] : []);
  const contenders = await startContenders(cleanup, servers);
  print([`# ${servers.told}`, `# ${cpus().length} processors, Node.js ${process.version}, pools of ${POOL_SIZE}`]);
  printNotes(chosen);
  if (!given.smoke) await warmUp(contenders, chosen);
  const rounds: Measurement[][] = [];
  for (let round = 0; round < given.rounds && performance.now() < endsAt; round++)
    rounds.push(await measureRound(contenders, chosen, round));
  const summaries = summarize(rounds);
  for (const load of chosen) printLoad(load, summaries);
  if (given.json !== undefined)
    await writeFile(given.json, JSON.stringify({ told: servers.told, summaries, rounds }, null, 1));
});

async function startContenders(cleanup: Cleanup, servers: Servers): Promise<Contender[]> {
  const contenders: Contender[] = [];
  const all = entrants(servers);
  for (const entrant of choose(all, given.smoke ? ['pgbouncer', 'bare', 'exposure-1'] : [])) {
    const contender = await entrant.start(cleanup);
    if (typeof contender === 'string') print([`# without ${entrant.name}: ${contender}`]);
    else contenders.push(contender);
    print([`# ${entrant.name}: ${entrant.what}`]);
  }
  return contenders;
}

/**
 * What is compiled while it runs is slow at first, and the more of it there is, the longer: above all where threads share
 * the work, and each compiles all of it.
 */
async function warmUp(contenders: readonly Contender[], chosen: readonly Load[]): Promise<void> {
  for (const load of chosen.filter(({ name }) => WARMING.includes(name)))
    for (const contender of contenders)
      await measure(contender, load, WARMING_SECONDS * (contender.threads ?? 1)).catch(failed);
}

/** Each round begins with another contender, so that nobody always comes behind the same one. */
async function measureRound(
  contenders: readonly Contender[],
  chosen: readonly Load[],
  round: number,
): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  const first = round % contenders.length;
  for (const load of chosen) {
    for (const contender of [...contenders.slice(first), ...contenders.slice(0, first)]) {
      if (performance.now() > endsAt) return measurements;
      const measurement = await measure(contender, load, given.seconds).catch(failed);
      if (measurement === undefined) continue;
      measurements.push(measurement);
      const { perSecond, processor } = measurement;
      const told = `${figure(perSecond, 0)}/s, ${figure(total(processor))} µs`;
      process.stderr.write(`round ${round + 1} ${load.name} ${contender.name}: ${told}\n`);
    }
  }
  return measurements;
}

/** What could not be measured once is left out of its round. */
function failed(error: Error): undefined {
  process.stderr.write(`not measured: ${error.message}\n`);
}

/** Those of the names given by --only; otherwise `usual`, and all where that is empty. */
function choose<T extends { readonly name: string }>(all: readonly T[], usual: readonly string[]): readonly T[] {
  const named = all.filter(({ name }) => given.only.includes(name));
  if (named.length > 0) return named;
  return usual.length > 0 ? all.filter(({ name }) => usual.includes(name)) : all;
}

function printNotes(chosen: readonly Load[]): void {
  const pgbouncer = findPgbouncer();
  if (pgbouncer === undefined || pgbouncer.prepares || !chosen.some(({ prepared }) => prepared)) return;
  const why = 'cannot prepare statements in transaction mode (1.21 can): prepared loads run in session mode there';
  print([`# PgBouncer ${pgbouncer.version} ${why}`]);
}

function printLoad(load: Load, summaries: readonly Summary[]): void {
  const unit = load.unit === 'MB' ? 'MB' : 'tx';
  const head = [`${load.name}: ${load.what}`, `${unit}/s`, '÷ direct', '÷ PgBouncer', 'p50 ms', 'p99 ms'];
  head.push(
    '÷ direct',
    '÷ PgBouncer',
    `CPU µs/${unit}`,
    'user',
    'system',
    '÷ PgBouncer',
    '÷ bare',
    'mirror µs',
    'MiB',
    'mirror MiB',
    'errors',
  );
  const rows = summaries.filter((summary) => summary.load === load.name).map(summaryRow);
  print(['', table(head, rows), '', ...threadLines(load, summaries)]);
}

function summaryRow(summary: Summary): string[] {
  const { processor, mirrorProcessor } = summary;
  return [
    summary.contender,
    figure(summary.perSecond, summary.perSecond < 100 ? 1 : 0),
    figure(summary.throughputToDirect, 2),
    figure(summary.throughputToPgbouncer, 2),
    figure(summary.p50, 2),
    figure(summary.p99, 2),
    figure(summary.p99ToDirect, 2),
    figure(summary.p99ToPgbouncer, 2),
    figure(total(processor)),
    figure(processor.user),
    figure(processor.system),
    figure(summary.processorToPgbouncer, 2),
    figure(summary.processorToBare, 2),
    figure(total(mirrorProcessor)),
    figure(summary.memory / 2 ** 20, 0),
    figure(summary.mirrorMemory / 2 ** 20, 0),
    String(summary.errors),
  ];
}

/** Where several threads did something: who used what, and the mirror process. */
function threadLines(load: Load, summaries: readonly Summary[]): string[] {
  return summaries
    .filter((summary) => summary.load === load.name)
    .flatMap(({ contender, threads, mirrorProcessor }) => {
      const busy = Object.entries({ ...threads, 'mirror process': mirrorProcessor }).filter(
        ([, time]) => total(time) >= 0.05,
      );
      if (busy.length < 2) return [];
      const told = busy.map(([name, time]) => `${name} ${figure(time.user)} + ${figure(time.system)}`);
      return [`${contender}, threads, user + system: ${told.join(', ')}`];
    });
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}
