import { spawnSync } from 'node:child_process';

import { startPostgres } from '../../../src/cli/embedded-postgres.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { query } from '../../support/postgres.ts';
import { runProgram } from '../../support/programs.ts';
import type { Address } from './contender.ts';

/** The two servers of a benchmark. */
export interface Servers {
  readonly source: Address;
  readonly mirror: Address;
  /** The postmasters of those that were started here. */
  readonly processes: { readonly source: readonly number[]; readonly mirror: readonly number[] };
  /** For the first lines of a report. */
  readonly told: string;
}

/** The address that a URL names. */
export function addressOf(url: string): Address {
  const { hostname, port, pathname, username, password } = new URL(url);
  return {
    host: hostname,
    port: port === '' ? 5432 : Number(port),
    database: decodeURIComponent(pathname.slice(1)),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
  };
}

/** The URL that names an address. */
export function urlOf({ host, port, database, user, password }: Address): string {
  return `postgres://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}:${port}/${database}`;
}

/** Uses the servers at two URLs, or starts two of our own; both have pgbench's tables then, `scale` large, and a table for COPY. */
export async function openServers(
  cleanup: Cleanup,
  options: { readonly urls: readonly string[]; readonly scale: number },
): Promise<Servers> {
  const [sourceUrl, mirrorUrl] = options.urls;
  const processes: { source: number[]; mirror: number[] } = { source: [], mirror: [] };
  const source = sourceUrl === undefined ? await startOwn(cleanup, processes.source) : addressOf(sourceUrl);
  const mirror = mirrorUrl === undefined ? await startOwn(cleanup, processes.mirror) : addressOf(mirrorUrl);
  for (const address of [source, mirror]) await fill(address, options.scale);
  const [row] = await query<{ server_version: string }>(urlOf(source), 'SHOW server_version');
  const where = sourceUrl === undefined ? 'started here' : `at ${source.host}:${source.port}`;
  const told = `PostgreSQL ${row?.server_version}, ${where}; pgbench scale ${options.scale}`;
  return { source, mirror, processes, told };
}

async function startOwn(cleanup: Cleanup, processes: number[]): Promise<Address> {
  const server = await startPostgres({
    settings: { max_connections: '1500', shared_buffers: '256MB', max_wal_size: '4GB', checkpoint_timeout: '1h' },
  });
  cleanup.after(async () => server.stop());
  processes.push(server.processId);
  return addressOf(server.url('postgres'));
}

async function fill(address: Address, scale: number): Promise<void> {
  const { host, port, user, database, password } = address;
  const parameters = ['-h', host, '-p', String(port), '-U', user, '-i', '-q', '-s', String(scale), database];
  const { status, stderr } = await runProgram('pgbench', parameters, {
    timeoutMs: 120_000,
    env: { PGPASSWORD: password },
  });
  if (status !== 0) throw new Error(`pgbench cannot make its tables: ${stderr}`);
  await query(
    urlOf(address),
    'DROP TABLE IF EXISTS bench_copy; CREATE UNLOGGED TABLE bench_copy (id int, filler text)',
  );
}

/** A user that may run what refuses to run as root; nothing where this process is not root. */
export function unprivileged(): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(spawnSync('id', [flag, 'nobody']).stdout.toString()));
  return uid === undefined || gid === undefined ? {} : { uid, gid };
}
