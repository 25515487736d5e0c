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

/** Where a user's connections to a database go. */
export interface PoolerRoute {
  readonly database: string;
  readonly serverUser: string;
  readonly serverPassword: string | undefined;
  readonly poolSize: number;
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
  readonly idleTimeoutMs: number;
  readonly rollbackTimeoutMs: number;
  readonly maxMessageSize: number;
  readonly maxPipelineDepth: number;
  readonly preparedLimit: number;
}
