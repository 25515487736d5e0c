import type { Socket } from 'node:net';
import { ClientSocket } from '../../src/net/client-socket.ts';
import type { Pool } from '../../src/pool/pool.ts';
import { noStatistics } from '../../src/pool/pool-statistics.ts';
import { ClientSession } from '../../src/pooler/client-session.ts';
import { OutputAssembly } from '../../src/pooler/output-assembly.ts';
import type { SessionLimits } from '../../src/pooler/session-options.ts';
import type { Server } from '../../src/pooler/session-link.ts';
import { ParameterSet } from '../../src/session/parameter-set.ts';
import type { ServerSession } from '../../src/session/server-session.ts';
import { StatementRegistry } from '../../src/session/statement-names.ts';
import type { Cleanup } from '../support/cleanup.ts';
import { MessageSocket } from '../support/message-socket.ts';
import { clientPair, openBackend } from './relay-bench.ts';
import type { Backend } from './relay-bench.ts';

const LIMITS: SessionLimits = {
  queryTimeoutMs: 0,
  clientIdleTimeoutMs: 0,
  clientIdleInTransactionTimeoutMs: 0,
  cancelOnDisconnect: false,
  prepared: true,
  preparedBytes: 1_000_000,
  maxMessageSize: 0x4000_0000,
  maxPipelineDepth: 100,
  preparedLimit: 100,
  rollbackTimeoutMs: 10_000,
  cancelTimeoutMs: 10_000,
};

/** A client's session on a pool of one server connection; a test plays the client and the server by hand. */
export interface SessionBench {
  readonly session: ClientSession;
  readonly client: MessageSocket;
  readonly backend: Backend;
  /** pgmirror's end of the client's connection. */
  readonly near: Socket;
}

/** Has a client log in, of which pgmirror knows that it sends and receives, and no more. */
export async function openSession(cleanup: Cleanup, limits: Partial<SessionLimits> = {}): Promise<SessionBench> {
  const backend = await openBackend(cleanup);
  const { near, far } = await clientPair(cleanup);
  const pool = {
    statistics: noStatistics(),
    connections: new Set<Server>(),
    options: { resetAlways: false, login: { user: 'anna' } },
    checkout: () => backend.server,
    leave: () => undefined,
    pin: () => true,
    release: (server: Server) => server.setUser(undefined),
  } as unknown as Pool<ServerSession>;
  const session = new ClientSession({
    client: new ClientSocket(near),
    processId: 1,
    secretKey: 'oooo',
    database: 'shop',
    user: 'anna',
    pool,
    mode: 'transaction',
    registry: new StatementRegistry('pm_'),
    assembly: new OutputAssembly(),
    recorder: undefined,
    settings: ParameterSet.empty,
    restated: ParameterSet.empty,
    reported: backend.server.state.reported,
    limits: { ...LIMITS, ...limits },
    absentName: 'pm_absent',
    onDatabases: () => undefined,
    onClosed: () => undefined,
  });
  session.start(Buffer.alloc(0));
  return { session, client: new MessageSocket(far), backend, near };
}
