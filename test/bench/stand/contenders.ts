import type { TomlTable } from 'smol-toml';

import type { Cleanup } from '../../support/cleanup.ts';
import { eventually } from '../../support/eventually.ts';
import { Pgmirror } from '../../support/pgmirror.ts';
import { query } from '../../support/postgres.ts';
import { childrenOf } from '../../support/processes.ts';
import type { Address, Contender } from './contender.ts';
import { findHaproxy, findPgbouncer, startHaproxy, startPgbouncer, startScript, type Listening } from './programs.ts';
import { urlOf, type Servers } from './servers.ts';

/** The same for every pooler. */
export const POOL_SIZE = 20;

/** A contender that can be chosen by name, or why it cannot be had. */
export interface Entrant {
  readonly name: string;
  /** What it is, for the table's key. */
  readonly what: string;
  /** The contender, or why there is none. */
  readonly start: (cleanup: Cleanup) => Promise<Contender | string> | Contender;
}

/** What is particular to one pgmirror. */
interface PgmirrorSetup {
  readonly general?: TomlTable;
  readonly mirroring?: TomlTable;
  /** What answers what is replayed: something that does so at once, or a real PostgreSQL. */
  readonly mirror?: 'sink' | 'server';
}

/** All contenders, in the order in which they stand in the table. */
export function entrants(servers: Servers): Entrant[] {
  const { source } = servers;
  const pgbouncer = findPgbouncer();
  const haproxy = findHaproxy();
  const pgmirror = (name: string, what: string, options: PgmirrorSetup): Entrant => {
    return { name, what, start: async (cleanup) => startPgmirror(cleanup, name, servers, options) };
  };
  const bareRelay = (name: string, what: string, threads: number): Entrant => {
    const parameters = [source.host, String(source.port), String(threads)];
    const start = async (cleanup: Cleanup): Promise<Contender> => {
      return { ...passing(name, await startScript(cleanup, './bare-relay.ts', parameters), source), threads };
    };
    return { name, what, start };
  };
  const sink = { mirror: 'sink' } as const;
  const server = { mirror: 'server' } as const;
  return [
    { name: 'direct', what: 'no proxy', start: () => direct(source) },
    {
      name: 'pgbouncer',
      what: `PgBouncer ${pgbouncer?.version ?? ''}, transaction mode`,
      start: async (cleanup) => {
        if (pgbouncer === undefined) return 'PgBouncer is not installed';
        const listening = await startPgbouncer(cleanup, pgbouncer, source, POOL_SIZE);
        return pgbouncerContender(listening, source, pgbouncer.prepares);
      },
    },
    {
      name: 'haproxy',
      what: 'HAProxy, TCP mode, one thread',
      start: async (cleanup) => {
        if (haproxy === undefined) return 'HAProxy is not installed';
        return passing('haproxy', await startHaproxy(cleanup, haproxy, source), source);
      },
    },
    bareRelay('bare', 'a bare relay in Node: what the runtime costs', 1),
    bareRelay('bare-2', 'the same in two threads', 2),
    pgmirror('off', 'pgmirror without a mirror', {}),
    pgmirror('exposure-0', 'a mirror at exposure 0', { ...sink, mirroring: { exposure: 0 } }),
    pgmirror('exposure-0.1', 'exposure 0.1, a mirror that answers at once', { ...sink, mirroring: { exposure: 0.1 } }),
    pgmirror('exposure-1', 'exposure 1.0, a mirror that answers at once', { ...sink, mirroring: { exposure: 1 } }),
    pgmirror('real-1', 'exposure 1.0, a real PostgreSQL', { ...server, mirroring: { exposure: 1 } }),
    pgmirror('compare', 'the same, answers compared', { ...server, mirroring: { exposure: 1, compare: true } }),
    pgmirror('workers-2', 'two pooler threads, no mirror', { general: { workers: 2 } }),
    pgmirror('workers-2-exposure-1', 'two pooler threads, exposure 1.0, a mirror that answers at once', {
      ...sink,
      general: { workers: 2 },
      mirroring: { exposure: 1 },
    }),
  ];
}

/** A server in pgmirror's configuration, without its name. */
export function entryOf({ host, port, database, user, password }: Address): TomlTable {
  return { host, port, database_name: database, user, password };
}

const nothing = (): readonly number[] => [];
const atOnce = async (): Promise<void> => {};

function direct(source: Address): Contender {
  return { name: 'direct', address: () => source, processes: nothing, mirrorProcesses: nothing, settle: atOnce };
}

function passing(name: string, { port, process: { pid = 0 } }: Listening, source: Address): Contender {
  const address = { ...source, host: '127.0.0.1', port };
  return { name, address: () => address, processes: () => [pid], mirrorProcesses: nothing, settle: atOnce };
}

function pgbouncerContender(listening: Listening, source: Address, prepares: boolean): Contender {
  const name = (prepared = false): string => (prepared && !prepares ? 'bench_session' : 'bench');
  return {
    ...passing('pgbouncer', listening, source),
    address: ({ prepared }) => ({ ...source, host: '127.0.0.1', port: listening.port, database: name(prepared) }),
  };
}

/** pgmirror with the source as `bench` and, where it has one, a mirror. */
async function startPgmirror(
  cleanup: Cleanup,
  name: string,
  servers: Servers,
  options: PgmirrorSetup,
): Promise<Contender | string> {
  const { source, mirror } = servers;
  const destination = options.mirror === 'sink' ? await startSink(cleanup, mirror) : mirror;
  const mirrors = options.mirroring === undefined ? [] : [{ name: 'mirror', ...entryOf(destination) }];
  const pgmirror = await Pgmirror.start(cleanup, {
    general: {
      ...{ default_pool_size: POOL_SIZE, max_client_connections: 12_000, log_connections: false },
      ...{ max_login_connections: 2_000, client_login_timeout: 60_000, tls_verify: 'disabled' },
      ...options.general,
    },
    databases: [{ name: 'bench', ...entryOf(source) }, ...mirrors],
    mirroring: mirrors.map(() => ({ source_db: 'bench', destination_db: 'mirror', ...options.mirroring })),
    users: [{ name: source.user, database: 'bench', password: source.password }],
  });
  const address = { ...source, host: '127.0.0.1', port: pgmirror.port, database: 'bench' };
  await query(urlOf(address), 'SELECT 1');
  const idle = pgmirror.log.lines.find((line) => JSON.stringify(line).includes('.compare'));
  if (idle !== undefined) return `this pgmirror does not compare answers: ${idle.msg}`;
  return {
    name,
    threads: Number(options.general?.workers ?? 1),
    address: () => address,
    processes: () => [pgmirror.processId],
    mirrorProcesses: () => childrenOf(pgmirror.processId),
    settle: async () => {
      const rest = async (): Promise<boolean> =>
        (await pgmirror.admin('SHOW MIRRORS')).every(({ queue_length }) => Number(queue_length) === 0);
      await eventually(rest, { timeoutMs: 120_000, intervalMs: 100, what: 'the mirror to finish' });
    },
  };
}

/** A mirror that answers what is replayed at once, and leaves the rest to a server. */
async function startSink(cleanup: Cleanup, server: Address): Promise<Address> {
  const { port } = await startScript(cleanup, './sink.ts', [server.host, String(server.port)]);
  return { ...server, host: '127.0.0.1', port };
}
