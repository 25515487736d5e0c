import type { RecordingDesk } from '../mirror/record/recording-desk.ts';
import type { Pooler } from './pooler.ts';
import type { NamedPool } from './pools.ts';
import type { ClientSession } from './client-session.ts';
import type { Server } from './session-link.ts';
import type { PoolStatistics } from '../pool/pool-statistics.ts';
import { monotonicNow } from '../util/clock.ts';

/** What a thread tells of itself. */
export interface ThreadSnapshot {
  readonly thread: number;
  readonly pools: readonly PoolSnapshot[];
  readonly clients: readonly ClientSnapshot[];
  readonly servers: readonly ServerSnapshot[];
  /** Requests that erred on a mirror and not on the source: counter row, SQLSTATE, how many. */
  readonly errors: readonly (readonly [row: number, sqlstate: string, count: number])[];
}

export interface PoolSnapshot {
  readonly database: string;
  readonly user: string;
  readonly clientsActive: number;
  readonly clientsWaiting: number;
  readonly clientsIdle: number;
  readonly serversActive: number;
  readonly serversIdle: number;
  readonly serversLogin: number;
  readonly serversCancelling: number;
  /** Milliseconds. */
  readonly longestWait: number;
  readonly mode: string;
  readonly size: number;
  readonly minSize: number;
  readonly pinned: number;
  readonly paused: boolean;
  readonly statistics: PoolStatistics;
}

export interface ClientSnapshot {
  readonly processId: number;
  readonly database: string;
  readonly user: string;
  readonly state: string;
  readonly address: string;
  readonly port: number;
  /** Milliseconds of the Unix epoch. */
  readonly connectedAt: number;
  readonly applicationName: string;
  readonly preparedStatements: number;
  /** Process id of the server connection it has, 0 without one. */
  readonly server: number;
}

export interface ServerSnapshot {
  readonly processId: number;
  readonly database: string;
  readonly user: string;
  readonly state: 'active' | 'idle';
  readonly host: string;
  readonly port: number;
  /** Milliseconds of the Unix epoch. */
  readonly connectedAt: number;
  readonly requests: number;
  readonly transactions: number;
  readonly preparedStatements: number;
}

/** What a thread tells of its pools, clients and server connections, as plain data. */
export function snapshotOf(thread: number, pooler: Pooler, desk: RecordingDesk): ThreadSnapshot {
  const sessions = [...pooler.sessions];
  const pools = [...pooler.pools];
  return {
    thread,
    pools: pools.map((named) => poolSnapshot(named, sessions)),
    clients: sessions.map(clientSnapshot),
    servers: pools.flatMap((named) => [...named.pool.connections].map((server) => serverSnapshot(named, server))),
    errors: desk.errors.flatMap((counts, row) =>
      [...(counts ?? [])].map(([sqlstate, count]) => [row, sqlstate, count] as const),
    ),
  };
}

function poolSnapshot({ database, user, pool, mode }: NamedPool, sessions: readonly ClientSession[]): PoolSnapshot {
  const mine = sessions.filter((session) => session.options.pool === pool);
  const servers = [...pool.connections];
  const cancelling = servers.filter((server) => server.cancels > 0).length;
  return {
    database,
    user,
    clientsActive: mine.filter((session) => session.state === 'active' || session.state === 'leaving').length,
    clientsWaiting: mine.filter((session) => session.state === 'waiting').length,
    clientsIdle: mine.filter((session) => session.state === 'idle').length,
    serversActive: servers.length - pool.idleCount,
    serversIdle: pool.idleCount,
    serversLogin: pool.connecting,
    serversCancelling: cancelling,
    longestWait: pool.longestWait,
    mode,
    size: pool.options.size,
    minSize: pool.options.minSize,
    pinned: servers.filter((server) => server.pinned).length,
    paused: pool.paused,
    statistics: { ...pool.statistics },
  };
}

function clientSnapshot(session: ClientSession): ClientSnapshot {
  const { options, link } = session;
  return {
    processId: options.processId,
    database: options.database,
    user: options.user,
    state: session.state,
    address: options.client.remoteAddress,
    port: options.client.remotePort,
    connectedAt: session.connectedAt,
    applicationName: link.settings.entries.get('application_name') ?? '',
    preparedStatements: link.statements.size,
    server: link.server?.processId ?? 0,
  };
}

function serverSnapshot(named: NamedPool, server: Server): ServerSnapshot {
  const { address } = named.pool.options.login;
  return {
    processId: server.processId,
    database: named.database,
    user: named.user,
    state: server.user === undefined ? 'idle' : 'active',
    host: address.host,
    port: address.port,
    connectedAt: Date.now() - (monotonicNow() - server.connectedAt),
    requests: server.requests,
    transactions: server.transactions,
    preparedStatements: server.state.prepared.size,
  };
}
