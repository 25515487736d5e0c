import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { runProgram } from '../../support/programs.ts';
import type { Address, LoadNeeds } from './contender.ts';
import { runPgbench } from './pgbench.ts';

/** How long, and who wants to know when what counts begins and ends. */
export interface LoadTime {
  readonly seconds: number;
  readonly mark: (edge: 'start' | 'end') => void;
  /** A folder for its files. */
  readonly folder: string;
}

/** What a load came to. */
export interface LoadResult {
  /** Transactions, or megabytes. */
  readonly units: number;
  readonly seconds: number;
  /** In milliseconds, ascending; empty where single ones are not measured. */
  readonly latencies: readonly number[];
  readonly errors: number;
}

/** Something to be carried, again and again. */
export interface Load extends LoadNeeds {
  readonly name: string;
  readonly what: string;
  readonly unit: 'transaction' | 'MB';
  run(address: Address, time: LoadTime): Promise<LoadResult>;
}

const COPY_MEGABYTES = 8;
const COPIES_AT_ONCE = 8;

/** All loads by name. */
export const loads: readonly Load[] = [
  pgbenchLoad('select-1', '-S simple, 1 client', ['-S', '-c', '1']),
  pgbenchLoad('select-16', '-S simple, 16 clients', ['-S', '-c', '16']),
  pgbenchLoad('select-64', '-S simple, 64 clients', ['-S', '-c', '64']),
  pgbenchLoad('select-100', '-S simple, 100 clients', ['-S', '-c', '100']),
  pgbenchLoad('select-1000', '-S simple, 1000 clients', ['-S', '-c', '1000']),
  pgbenchLoad('extended-16', '-S extended, 16 clients', ['-S', '-c', '16', '-M', 'extended']),
  { ...pgbenchLoad('prepared-16', '-S prepared, 16 clients', ['-S', '-c', '16', '-M', 'prepared']), prepared: true },
  { ...pgbenchLoad('prepared-100', '-S prepared, 100 clients', ['-S', '-c', '100', '-M', 'prepared']), prepared: true },
  pgbenchLoad('tpcb-16', 'TPC-B simple, 16 clients', ['-c', '16']),
  pgbenchLoad('churn', '-S, a new connection for each transaction, 8 clients', ['-S', '-C', '-c', '8']),
  {
    name: 'rows-1mb',
    what: 'answers of 1 MB, 4 clients',
    unit: 'transaction',
    run: async (address, time) => {
      const script = join(time.folder, 'rows.sql');
      await writeFile(script, "SELECT repeat('x', 1000) FROM generate_series(1, 1024);\n");
      return runPgbench(address, { ...time, sampling: 1, parameters: ['-c', '4', '-f', script] });
    },
  },
  copyLoad('copy-out', `COPY TO STDOUT, ${COPY_MEGABYTES} MB each`, () => {
    const rows = `SELECT g, repeat('x', 1016) FROM generate_series(1, ${COPY_MEGABYTES * 1024}) AS g`;
    return [`COPY (${rows}) TO STDOUT;`];
  }),
  copyLoad('copy-in', `COPY FROM STDIN, ${COPY_MEGABYTES} MB each`, (file) => [
    `\\copy bench_copy from '${file}'`,
    'TRUNCATE bench_copy;',
  ]),
];

function pgbenchLoad(name: string, what: string, parameters: readonly string[]): Load {
  // A line is written for each; tens of thousands a second would be a load of their own.
  const sampling = parameters.includes('-S') && !parameters.includes('-C') ? 0.2 : 1;
  return {
    name,
    what,
    unit: 'transaction',
    run: async (address, time) => runPgbench(address, { ...time, sampling, parameters }),
  };
}

/** psql with a script of several COPYs, again and again until the time is over. */
function copyLoad(name: string, what: string, commands: (file: string) => readonly string[]): Load {
  return { name, what, unit: 'MB', run: async (address, time) => runCopies(address, time, commands) };
}

async function runCopies(
  address: Address,
  { seconds, mark, folder }: LoadTime,
  commands: (file: string) => readonly string[],
): Promise<LoadResult> {
  const data = join(folder, 'copy.txt');
  await writeFile(data, `1\t${'x'.repeat(1_021)}\n`.repeat(COPY_MEGABYTES * 1_024));
  const script = join(folder, 'copy.sql');
  const once = commands(data).join('\n');
  await writeFile(script, `${once}\n`.repeat(COPIES_AT_ONCE));
  const { host, port, user, database, password } = address;
  const parameters = ['-X', '-q', '-h', host, '-p', String(port), '-U', user, '-d', database, '-f', script];
  const env = { PGPASSWORD: password, PGSSLMODE: 'disable', PGOPTIONS: '' };
  const start = performance.now();
  let units = 0;
  let errors = 0;
  mark('start');
  while (performance.now() - start < seconds * 1_000) {
    const { status, stderr } = await runProgram('psql', [...parameters, '-o', '/dev/null'], { env });
    if (status !== 0 || stderr !== '') errors++;
    units += COPIES_AT_ONCE * COPY_MEGABYTES;
  }
  mark('end');
  return { units, seconds: (performance.now() - start) / 1_000, latencies: [], errors };
}
