import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { findProgram } from '../../support/programs.ts';
import type { Address } from './contender.ts';

/** How pgbench is run. */
export interface PgbenchOptions {
  /** Besides address, duration and log. */
  readonly parameters: readonly string[];
  /** What counts; a second of warming up and the logins come before. */
  readonly seconds: number;
  /** Share of the transactions whose latency is noted. */
  readonly sampling: number;
  /** Called when what counts begins, and when it is over. */
  readonly mark: (edge: 'start' | 'end') => void;
}

/** What came of it; times in milliseconds. */
export interface PgbenchResult {
  /** Transactions. */
  readonly units: number;
  readonly seconds: number;
  /** Of the sampled transactions, in ascending order. */
  readonly latencies: readonly number[];
  /** Transactions that failed, and clients that were given up. */
  readonly errors: number;
  readonly said: string;
}

const progressLine = /^progress: ([\d.]+) s, ([\d.]+) tps/;

/** Says, in a word, why there can be no benchmark, or nothing. */
export function pgbenchMissing(): string | undefined {
  if (findProgram('pgbench') !== undefined) return undefined;
  return 'pgbench is not installed: it comes with PostgreSQL (Debian: apt-get install postgresql-contrib)';
}

/** Runs pgbench to its end. Rejects when it cannot be started or takes more than twice its time and ten seconds. */
export async function runPgbench(address: Address, options: PgbenchOptions): Promise<PgbenchResult> {
  const folder = await mkdtemp(join(tmpdir(), 'pgmirror-bench-'));
  try {
    return await measured(address, options, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measured(address: Address, options: PgbenchOptions, folder: string): Promise<PgbenchResult> {
  const { host, port, user, password, database } = address;
  const { parameters, seconds, sampling, mark } = options;
  // The logins are within the time that it is given, and a second of warming up.
  const clients = Number(parameters[parameters.indexOf('-c') + 1]);
  const duration = Math.max(seconds + 1, 3) + Math.ceil(clients / 250);
  const child = spawn(
    findProgram('pgbench') ?? 'pgbench',
    [
      ...['-h', host, '-p', String(port), '-U', user],
      ...['-n', '-P', '1', '-T', String(duration), ...parameters],
      ...['--log', `--log-prefix=${join(folder, 'log')}`, ...(sampling < 1 ? [`--sampling-rate=${sampling}`] : [])],
      database,
    ],
    {
      env: { ...process.env, PGPASSWORD: password, PGSSLMODE: 'disable', PGGSSENCMODE: 'disable' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: duration * 2_000 + 60_000,
      killSignal: 'SIGKILL',
    },
  );
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  const progress: { readonly at: number; readonly rate: number; readonly clock: number }[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    const [, at, rate] = progressLine.exec(line) ?? [];
    if (at === undefined) {
      said += `${line}\n`;
      return;
    }
    if (progress.length === 0 && Number(rate) === 0) return;
    progress.push({ at: Number(at), rate: Number(rate), clock: Date.now() });
    if (progress.length === 1) mark('start');
    else mark('end');
  });
  await once(child, 'close');
  const [first] = progress;
  const last = progress.at(-1);
  if (first === undefined || last === undefined || first === last) throw new Error(`pgbench did not run: ${said}`);
  let units = 0;
  progress.forEach(({ at, rate }, index) => {
    const before = progress[index - 1];
    if (before !== undefined) units += rate * (at - before.at);
  });
  const failed = Number(/number of failed transactions: (\d+)/.exec(said)?.[1] ?? 0);
  const abandoned = said.match(/client \d+ (aborted|script \d+ aborted)/g)?.length ?? 0;
  return {
    units,
    seconds: last.at - first.at,
    latencies: await readLatencies(folder, first.clock),
    errors: failed + abandoned,
    said,
  };
}

/** Lines are: client, transaction, microseconds, script, seconds and microseconds of the clock, and the lag under a rate. */
async function readLatencies(folder: string, from: number): Promise<number[]> {
  const latencies: number[] = [];
  for (const file of await readdir(folder)) {
    for (const line of (await readFile(join(folder, file), 'latin1')).split('\n')) {
      const words = line.split(' ');
      if (words.length < 6 || Number(words[4]) * 1_000 + Number(words[5]) / 1_000 < from) continue;
      const microseconds = Number(words[2]);
      if (Number.isFinite(microseconds)) latencies.push(microseconds / 1_000);
    }
  }
  return latencies.sort((a, b) => a - b);
}

/** The value below which a share of the sorted values lies. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
