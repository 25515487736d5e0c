import type { CancelKey } from '../protocol/cancel-key.ts';
import type { TransactionRecorder } from '../mirror/record/transaction-recorder.ts';
import type { ClientSocket } from '../net/client-socket.ts';
import type { Pool } from '../pool/pool.ts';
import type { ParameterSet } from '../session/parameter-set.ts';
import type { ServerSession } from '../session/server-session.ts';
import type { StatementRegistry } from '../session/statement-names.ts';
import type { OutputAssembly } from './output-assembly.ts';
import type { PoolerMode } from './pooler-options.ts';

/** What a client's session is made with, when its login is over. */
export interface ClientSessionOptions extends CancelKey {
  readonly client: ClientSocket;
  readonly database: string;
  readonly user: string;
  readonly pool: Pool<ServerSession>;
  readonly mode: PoolerMode;
  readonly registry: StatementRegistry;
  readonly assembly: OutputAssembly;
  readonly recorder: TransactionRecorder | undefined;
  readonly settings: ParameterSet;
  /** What else the client asked for in its login: settings that its servers have anyway. */
  readonly restated: ParameterSet;
  readonly reported: ParameterSet;
  readonly limits: SessionLimits;
  readonly absentName: string;
  /** The client creates, drops or alters a database: nobody should be connected to it needlessly. */
  readonly onDatabases: () => void;
  /** The session is over and holds nothing any more. */
  readonly onClosed: (reason: string) => void;
}

/** What bounds a session; times in milliseconds, sizes in bytes. */
export interface SessionLimits {
  /** 0 is off, here and below. */
  readonly queryTimeoutMs: number;
  readonly clientIdleTimeoutMs: number;
  readonly clientIdleInTransactionTimeoutMs: number;
  readonly cancelOnDisconnect: boolean;
  readonly prepared: boolean;
  readonly preparedBytes: number;
  readonly maxMessageSize: number;
  readonly maxPipelineDepth: number;
  readonly preparedLimit: number;
  readonly rollbackTimeoutMs: number;
  readonly cancelTimeoutMs: number;
}
