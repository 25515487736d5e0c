import type { ServerSocket } from '../net/server-socket.ts';
import type { RecordingDesk } from '../mirror/record/recording-desk.ts';
import type { PausedChoice } from './paused-databases.ts';
import type { Pooler } from './pooler.ts';
import type { NamedPool } from './pools.ts';
import type { ClientSession } from './client-session.ts';
import type { ReplicationSession } from './replication-session.ts';
import type { Server } from './session-link.ts';
import type { Replication } from './startup.ts';
import type { PoolStatistics } from '../pool/pool-statistics.ts';
import { monotonicNow } from '../util/clock.ts';

/** What a thread tells of itself. */
export interface ThreadSnapshot {
  readonly thread: number;
  readonly paused: PausedChoice;
  readonly pools: readonly PoolSnapshot[];
  /** By database, since the thread began: pools that are no more are in it. */
  readonly statistics: ReadonlyMap<string, PoolStatistics>;
  /** Clients that are logged in. */
  readonly clientCount: number;
  /** One by one, where that was asked for: of many, telling them takes time that all of them wait for. */
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
  readonly replication: Replication;
  /** Version and cipher suite; empty: in plain text. */
  readonly tls: string;
  /** Why it keeps its server connection. */
  readonly pins: readonly string[];
  /** Milliseconds for which it has waited for a server connection, 0: it does not. */
  readonly waits: number;
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
  readonly replication: Replication;
  readonly applicationName: string;
  readonly tls: string;
  /** Process id of the client that has it, 0: nobody. */
  readonly client: number;
}

/** What a thread tells of its pools, and with `connections` of each client and server connection, as plain data. */
export function snapshotOf(
  thread: number,
  pooler: Pooler,
  desk: RecordingDesk,
  { connections }: { readonly connections: boolean },
): ThreadSnapshot {
  const sessions = [...pooler.clients.sessions];
  const replications = [...pooler.clients.replications];
  const pools = [...pooler.pools.all()];
  const ofPool = Map.groupBy(sessions, (session) => session.options.pool);
  return {
    thread,
    paused: pooler.pools.paused,
    pools: pools.map((named) => poolSnapshot(named, ofPool.get(named.pool) ?? [])),
    statistics: pooler.pools.statistics,
    clientCount: sessions.length + replications.length,
    clients: connections ? [...sessions.map(clientSnapshot), ...replications.map(replicaSnapshot)] : [],
    servers: connections ? [...pools.flatMap(serversOf(sessions)), ...replications.map(walsenderSnapshot)] : [],
    errors: desk.errors.flatMap((counts, row) =>
      [...(counts ?? [])].map(([sqlstate, count]) => [row, sqlstate, count] as const),
    ),
  };
}

function poolSnapshot({ database, user, pool, mode }: NamedPool, mine: readonly ClientSession[]): PoolSnapshot {
  const servers = [...pool.connections];
  const cancelling = servers.filter((server) => server.cancels > 0).length;
  return {
    database,
    user,
    clientsActive: mine.filter((session) => session.state === 'active' || session.state === 'leaving').length,
    // Who is logging in, and waits for what a server says to that, has no session yet.
    clientsWaiting: Math.max(pool.waitingCount, mine.filter((session) => session.state === 'waiting').length),
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
  };
}

function serversOf(sessions: readonly ClientSession[]): (named: NamedPool) => ServerSnapshot[] {
  const users = new Map(sessions.map((session) => [session.link.server, session.options.processId]));
  return (named) => [...named.pool.connections].map((server) => serverSnapshot(named, server, users.get(server) ?? 0));
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
    replication: 'none',
    tls: options.client.encryption?.description ?? '',
    pins: link.pins,
    waits: session.waits,
  };
}

function replicaSnapshot(session: ReplicationSession): ClientSnapshot {
  const { options } = session;
  return {
    processId: options.processId,
    database: options.database,
    user: options.user,
    state: 'active',
    address: options.client.remoteAddress,
    port: options.client.remotePort,
    connectedAt: session.connectedAt,
    applicationName: options.applicationName,
    preparedStatements: 0,
    server: options.server.processId,
    replication: options.kind,
    tls: options.client.encryption?.description ?? '',
    pins: ['replication'],
    waits: 0,
  };
}

function walsenderSnapshot({ options, connectedAt }: ReplicationSession): ServerSnapshot {
  return {
    processId: options.server.processId,
    database: options.database,
    user: options.user,
    state: 'active',
    ...placeOf(options.server.socket),
    connectedAt,
    requests: 0,
    transactions: 0,
    preparedStatements: 0,
    replication: options.kind,
    applicationName: options.applicationName,
    tls: options.server.socket.encryption?.description ?? '',
    client: options.processId,
  };
}

function serverSnapshot(named: NamedPool, server: Server, client: number): ServerSnapshot {
  return {
    processId: server.processId,
    database: named.database,
    user: named.user,
    state: server.user === undefined ? 'idle' : 'active',
    ...placeOf(server.socket),
    connectedAt: Date.now() - (monotonicNow() - server.connectedAt),
    requests: server.requests,
    transactions: server.transactions,
    preparedStatements: server.state.prepared.size,
    replication: 'none',
    applicationName: server.state.applied.entries.get('application_name') ?? '',
    tls: server.socket.encryption?.description ?? '',
    client,
  };
}

/** The machine that a connection leads to, rather than the name by which it was found. */
function placeOf({ address }: ServerSocket): Pick<ServerSnapshot, 'host' | 'port'> {
  return { host: address.ip ?? address.host, port: address.port };
}
