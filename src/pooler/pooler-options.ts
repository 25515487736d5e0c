import type { AuthType } from '../auth/verify-client.ts';
import type { ServerAddress } from '../net/server-socket.ts';
import type { ServerTlsOptions } from '../net/server-tls.ts';
import type { ClientTlsOptions } from '../net/tls-acceptor.ts';

/**
 * What a pooler thread needs to know, as plain data that can be sent to a thread. Times in milliseconds, sizes in bytes.
 * The whole of it is replaced on reload.
 */
export interface PoolerOptions {
  readonly authType: AuthType;
  /** TLS towards clients, if there is any. */
  readonly tls: ClientTlsOptions | undefined;
  /** Nobody logs in over TCP without. */
  readonly tlsRequired: boolean;
  readonly users: readonly PoolerUser[];
  readonly databases: readonly PoolerDatabase[];
  readonly admin: {
    readonly names: readonly string[];
    readonly user: string;
    /** Of its password, for either way of asking: a SCRAM verifier and an MD5 hash. */
    readonly hashes: { readonly scram: string; readonly md5: string } | undefined;
  };
  readonly limits: PoolerLimits;
  readonly logConnections: boolean;
}

export interface PoolerUser {
  readonly name: string;
  /** Databases it may connect to, and how it logs in to each. */
  readonly routes: readonly PoolerRoute[];
}

/** How long a client keeps its server connection: for a transaction, its session, or one request. */
export type PoolerMode = 'transaction' | 'session' | 'statement';

/** Where a user's connections to a database go. */
export interface PoolerRoute {
  readonly database: string;
  /** What clients log in with: one of the two, or neither with `trust`. */
  readonly password: string | undefined;
  readonly passwordHash: string | undefined;
  readonly serverUser: string;
  readonly serverPassword: string | undefined;
  readonly mode: PoolerMode;
  readonly poolSize: number;
  readonly minPoolSize: number;
  readonly pinnedPoolSize: number;
}

/** How the users of a database are looked up that are not configured. */
export interface UserLookupOptions {
  /** As whom to ask. */
  readonly user: string;
  readonly password: string | undefined;
  /** One parameter, the name; a row of name and stored password. */
  readonly query: string;
  readonly timeoutMs: number;
  /** The way of everybody who is found. Without a `serverUser`, each is the same on the server. */
  readonly route: Omit<PoolerRoute, 'serverUser'> & { readonly serverUser: string | undefined };
}

export interface PoolerDatabase {
  readonly name: string;
  readonly address: ServerAddress;
  /** TLS towards its server. */
  readonly tls: ServerTlsOptions;
  /** `undefined`: only configured users are known. */
  readonly userLookup: UserLookupOptions | undefined;
  readonly databaseName: string;
  /** `server_reset = "always"`. */
  readonly resetAlways: boolean;
  /** Settings for every server connection. */
  readonly parameters: Readonly<Record<string, string>>;
}

export interface PoolerLimits {
  readonly maxClientConnections: number;
  readonly maxLoginConnections: number;
  /** From one address; 0: no limit. */
  readonly loginFailuresPerMinute: number;
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
