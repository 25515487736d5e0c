import type { AuthType } from '../auth/verify-client.ts';
import type { ServerAddress } from '../net/server-socket.ts';

/**
 * What a pooler thread needs to know, as plain data that can be sent to a thread. Times in milliseconds, sizes in bytes.
 * The whole of it is replaced on reload.
 */
export interface PoolerOptions {
  readonly authType: AuthType;
  readonly users: readonly PoolerUser[];
  readonly databases: readonly PoolerDatabase[];
  readonly admin: { readonly names: readonly string[]; readonly user: string; readonly password: string | undefined };
  readonly limits: PoolerLimits;
  readonly logConnections: boolean;
}

export interface PoolerUser {
  readonly name: string;
  /** Databases it may connect to, and how it logs in to each. */
  readonly routes: readonly PoolerRoute[];
  readonly password: string | undefined;
  readonly passwordHash: string | undefined;
}

/** How long a client keeps its server connection: for a transaction, its session, or one request. */
export type PoolerMode = 'transaction' | 'session' | 'statement';

/** Where a user's connections to a database go. */
export interface PoolerRoute {
  readonly database: string;
  readonly serverUser: string;
  readonly serverPassword: string | undefined;
  readonly mode: PoolerMode;
  readonly poolSize: number;
  readonly minPoolSize: number;
  readonly pinnedPoolSize: number;
}

export interface PoolerDatabase {
  readonly name: string;
  readonly address: ServerAddress;
  readonly databaseName: string;
  /** `server_reset = "always"`. */
  readonly resetAlways: boolean;
  /** Settings for every server connection. */
  readonly parameters: Readonly<Record<string, string>>;
}

export interface PoolerLimits {
  readonly maxClientConnections: number;
  readonly maxLoginConnections: number;
  readonly clientLoginTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly checkoutTimeoutMs: number;
  /** Server connections; 0 is off. */
  readonly idleTimeoutMs: number;
  readonly serverLifetimeMs: number;
  readonly healthcheckMs: number;
  /** Connections of one database, all users together; 0: no limit. */
  readonly maxDbConnections: number;
  /** Clients; 0 is off. */
  readonly queryTimeoutMs: number;
  readonly clientIdleTimeoutMs: number;
  readonly clientIdleInTransactionTimeoutMs: number;
  readonly cancelOnDisconnect: boolean;
  readonly rollbackTimeoutMs: number;
  readonly maxMessageSize: number;
  readonly maxPipelineDepth: number;
  /** Whether named statements are followed from server to server. */
  readonly prepared: boolean;
  readonly preparedLimit: number;
  readonly preparedBytes: number;
}
