import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import type { Cleanup } from '../support/cleanup.ts';
import { Pgmirror, type PgmirrorOptions } from '../support/pgmirror.ts';
import { query } from '../support/postgres.ts';
import { runProgram } from '../support/programs.ts';
import { benchArguments } from './stand/arguments.ts';
import { benchRun, scoped } from './stand/bench-run.ts';
import type { Address } from './stand/contender.ts';
import { entryOf, POOL_SIZE } from './stand/contenders.ts';
import { pgbenchMissing, quantile, runPgbench, type PgbenchResult } from './stand/pgbench.ts';
import { threadTimes, usedBetween } from './stand/processor-time.ts';
import { findPgbouncer, startPgbouncer, startScript } from './stand/programs.ts';
import { replayRate } from './stand/replay-rate.ts';
import { openServers, urlOf, type Servers } from './stand/servers.ts';
import { median } from './stand/summary.ts';
import { figure, table } from './stand/table.ts';

/**
 * What is a figure of its own, and no load under which to compare contenders: how soon pgmirror is there, how many can log
 * in, latency below saturation, how late a pooler thread's event loop is, and whether the mirror process keeps up. Not a
 * test: it decides nothing. How to run it is in docs/performance.md.
 */
const given = benchArguments({ seconds: 4, rounds: 3 });

/** A client that tries without a pause takes one of the processors that pgmirror starts on. */
const RETRY_MS = 5;

/** One thing that is measured: figures by name, each the median over the rounds. */
interface Part {
  readonly name: string;
  readonly measure: (cleanup: Cleanup, servers: Servers) => Promise<Record<string, number>>;
}

const parts: readonly Part[] = [
  { name: 'start-up', measure: startUp },
  { name: 'logins', measure: logins },
  { name: 'half-capacity', measure: halfCapacity },
  { name: 'loop-delay', measure: loopDelay },
  { name: 'replay', measure: replay },
];

await benchRun(async (cleanup) => {
  const missing = pgbenchMissing();
  if (missing !== undefined) throw new Error(missing);
  const servers = await openServers(cleanup, { urls: given.urls, scale: given.smoke ? 1 : 10 });
  console.log(`# ${servers.told}; medians of ${given.rounds} rounds`);
  const rounds: Record<string, number>[] = [];
  for (let round = 0; round < given.rounds; round++) {
    const figures: Record<string, number> = {};
    for (const { name, measure } of parts) {
      if (given.only.length > 0 && !given.only.includes(name)) continue;
      Object.assign(figures, await scoped(async (scope) => measure(scope, servers)));
      process.stderr.write(`round ${round + 1}: ${name}\n`);
    }
    rounds.push(figures);
  }
  const names = Object.keys(rounds[0] ?? {});
  const rows = names.map((name) => {
    const values = rounds.map((figures) => figures[name] ?? Number.NaN);
    return [name, ...[median(values), Math.min(...values), Math.max(...values)].map((value) => figure(value, 2))];
  });
  console.log(table(['what', 'median', 'lowest', 'highest'], rows));
  if (given.json !== undefined) await writeFile(given.json, JSON.stringify({ told: servers.told, rounds }, null, 1));
});

/** From the sources, and where `npm run build` was run, from what it made. */
async function startUp(cleanup: Cleanup, servers: Servers): Promise<Record<string, number>> {
  const fromSources = await scoped(async (scope) => firstAnswer(scope, servers, undefined));
  const figures = { 'start-up (from TypeScript) to the first answer, ms': fromSources };
  const built = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
  if (!existsSync(built)) return figures;
  return { ...figures, 'start-up (as built) to the first answer, ms': await firstAnswer(cleanup, servers, built) };
}

/** Milliseconds from the start of the process to the answer of a first query, of a client that tries again and again. */
async function firstAnswer(cleanup: Cleanup, servers: Servers, mainFile: string | undefined): Promise<number> {
  const { url } = await startPgmirror(cleanup, servers, { mirrored: true, launch: true, process: { mainFile } });
  // It was spawned a moment ago.
  const start = performance.now();
  for (;;) {
    const rows = await query(url, 'SELECT 1').catch((error: NodeJS.ErrnoException) => {
      // Its port is bound, and perhaps not listened on yet.
      if (error.code !== 'ECONNREFUSED' && error.code !== 'ECONNRESET') throw error;
    });
    if (rows !== undefined) return performance.now() - start;
    await delay(RETRY_MS);
  }
}

async function logins(cleanup: Cleanup, servers: Servers): Promise<Record<string, number>> {
  const { address, processId } = await startPgmirror(cleanup, servers);
  const ours = await loginRate(address, processId);
  const figures = { 'SCRAM logins/s': ours.perSecond, 'CPU µs a login': ours.microseconds };
  const bouncer = await startBouncer(cleanup, servers);
  if (bouncer === undefined) return figures;
  const theirs = await loginRate(bouncer.address, bouncer.processId);
  return {
    ...figures,
    'SCRAM logins/s, PgBouncer': theirs.perSecond,
    'CPU µs a login, PgBouncer': theirs.microseconds,
  };
}

async function loginRate(address: Address, processId: number) {
  const { host, port, user, password, database } = address;
  await query(urlOf(address), 'SELECT 1');
  const script = fileURLToPath(new URL('./stand/login-load.ts', import.meta.url));
  const parameters = [script, host, String(port), user, password, database, String(given.seconds)];
  const before = threadTimes([processId]);
  const { status, stdout, stderr } = await runProgram(process.execPath, parameters);
  if (status !== 0) throw new Error(`logins failed: ${stderr}`);
  const { logins: count, seconds } = JSON.parse(stdout) as { logins: number; seconds: number };
  return { perSecond: count / seconds, microseconds: usedSince(before, processId) / count };
}

/** `-S` of a hundred clients, at half of what pgmirror carries, through both poolers. */
async function halfCapacity(cleanup: Cleanup, servers: Servers): Promise<Record<string, number>> {
  const { address } = await startPgmirror(cleanup, servers);
  const bouncer = await startBouncer(cleanup, servers);
  const full = await selects(address, 100);
  const rate = full.units / full.seconds / 2;
  const ours = await selects(address, 100, rate);
  const p99 = quantile(ours.latencies, 0.99);
  const figures = { 'half the capacity, tx/s': rate, 'p99 at it, 100 clients, ms': p99 };
  if (bouncer === undefined) return figures;
  const theirs = quantile((await selects(bouncer.address, 100, rate)).latencies, 0.99);
  return { ...figures, 'the same, PgBouncer': theirs, 'the same, ÷ PgBouncer': p99 / theirs };
}

/** Beside a mirror that answers at once, with everything recorded: at half of what it carries so, and at all of it. */
async function loopDelay(cleanup: Cleanup, servers: Servers): Promise<Record<string, number>> {
  const folder = await mkdtemp(join(tmpdir(), 'pgmirror-bench-'));
  cleanup.after(async () => rm(folder, { recursive: true, force: true }));
  const { address } = await startPgmirror(cleanup, servers, {
    mirrored: true,
    process: {
      nodeFlags: ['--import', new URL('./stand/loop-delay.ts', import.meta.url).href],
      env: { PGMIRROR_LOOP_DELAYS: folder },
    },
  });
  const full = await selects(address, 16);
  const atAll = await latestDelay(folder);
  await selects(address, 16, full.units / full.seconds / 2);
  const atHalf = await latestDelay(folder);
  return { 'event loop late by, p99, half the capacity, ms': atHalf, 'the same, saturated': atAll };
}

/** Of the last second, of the thread that was latest. */
async function latestDelay(folder: string): Promise<number> {
  const files = await readdir(folder);
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  return Math.max(...texts.map((text) => (JSON.parse(text) as { p99: number }).p99));
}

/** What a pooler thread needs to take a transaction in, and the mirror process to replay it. */
async function replay(cleanup: Cleanup, servers: Servers): Promise<Record<string, number>> {
  const { address, processId } = await startPgmirror(cleanup, servers, { mirrored: true });
  let before = threadTimes([processId]);
  let used = 0;
  const taken = await selects(address, 16, undefined, (edge) => {
    if (edge === 'start') before = threadTimes([processId]);
    used = usedSince(before, processId);
  });
  const intake = used / taken.units;
  const { perSecond, microseconds } = await scoped(async (scope) => replayRate(scope, servers, given.seconds));
  return {
    'pooler, recording: CPU µs/tx': intake,
    'mirror process: CPU µs/tx': microseconds,
    'replayed/s on a core, ÷ taken in': intake / microseconds,
    'replayed/s, seen': perSecond,
  };
}

async function selects(
  address: Address,
  clients: number,
  rate?: number,
  mark: (edge: 'start' | 'end') => void = () => undefined,
): Promise<PgbenchResult> {
  const limit = rate === undefined ? [] : ['-R', String(Math.round(rate))];
  const parameters = ['-S', '-c', String(clients), ...limit];
  return runPgbench(address, { seconds: given.seconds, sampling: rate === undefined ? 0.1 : 1, parameters, mark });
}

function usedSince(before: ReturnType<typeof threadTimes>, processId: number): number {
  let used = 0;
  for (const { user, system } of usedBetween(before, threadTimes([processId])).values()) used += user + system;
  return used;
}

async function startBouncer(cleanup: Cleanup, { source }: Servers) {
  const installed = findPgbouncer();
  if (installed === undefined) return undefined;
  const { port, process } = await startPgbouncer(cleanup, installed, source, POOL_SIZE);
  return { address: { ...source, host: '127.0.0.1', port, database: 'bench' }, processId: process.pid ?? 0 };
}

/** `launch`: it is not waited for. */
async function startPgmirror(
  cleanup: Cleanup,
  { source, mirror }: Servers,
  options: { readonly mirrored?: boolean; readonly launch?: boolean; readonly process?: PgmirrorOptions } = {},
) {
  const sink = options.mirrored && (await startScript(cleanup, './sink.ts', [mirror.host, String(mirror.port)]));
  const mirrors = sink ? [{ name: 'mirror', ...entryOf({ ...mirror, host: '127.0.0.1', port: sink.port }) }] : [];
  const files = {
    general: { default_pool_size: POOL_SIZE, log_connections: false, tls_verify: 'disabled' },
    databases: [{ name: 'bench', ...entryOf(source) }, ...mirrors],
    mirroring: mirrors.map(() => ({ source_db: 'bench', destination_db: 'mirror' })),
    users: [{ name: source.user, database: 'bench', password: source.password }],
  };
  const pgmirror = options.launch
    ? await Pgmirror.launch(cleanup, files, options.process)
    : await Pgmirror.start(cleanup, files, options.process);
  const { port, processId } = pgmirror;
  const address = { ...source, host: '127.0.0.1', port, database: 'bench' };
  return { address, url: urlOf(address), processId };
}
