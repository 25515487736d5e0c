import type { Config } from '../config/config.ts';
import type { DatabaseConfig } from '../config/database-schema.ts';
import { findUser, lookupCredentials, sourceCredentials } from '../config/server-login.ts';
import type { UserConfig } from '../config/user-schema.ts';
import type {
  PoolerDatabase,
  PoolerLimits,
  PoolerOptions,
  PoolerRoute,
  PoolerUser,
  UserLookupOptions,
} from '../pooler/pooler-options.ts';

/** Under these names the admin database answers: PgBouncer's own, too, for the tools that were made for it. */
function adminNames(config: Config): readonly string[] {
  return config.admin.hashes === undefined ? [] : [config.admin.name, 'pgbouncer'];
}

/** The configuration as a pooler needs it. */
export function poolerOptions(config: Config): PoolerOptions {
  return {
    authType: config.general.auth_type,
    tls: config.tls.clients,
    tlsRequired: config.general.tls_client_required,
    users: poolerUsers(config),
    databases: config.databases.map((database) => poolerDatabase(config, database)),
    admin: { names: adminNames(config), user: config.admin.user, hashes: config.admin.hashes },
    limits: poolerLimits(config),
    logConnections: config.general.log_connections,
  };
}

/** Settings for the connections of a database, `statement_timeout` among them. */
export function serverParameters(database: DatabaseConfig): Record<string, string> {
  const parameters: Record<string, string> = { ...database.parameters };
  if (database.statement_timeout !== undefined) parameters.statement_timeout = String(database.statement_timeout);
  return parameters;
}

/** Whether `server_reset = "always"` holds for the connections of a database. */
export function resetsAlways({ general }: Config, { server_reset: own }: DatabaseConfig): boolean {
  return (own ?? general.server_reset) === 'always';
}

function poolerDatabase(config: Config, database: DatabaseConfig): PoolerDatabase {
  return {
    name: database.name,
    address: { host: database.host, port: database.port },
    tls: config.tls.servers,
    userLookup: userLookup(config, database),
    databaseName: database.database_name,
    resetAlways: resetsAlways(config, database),
    parameters: serverParameters(database),
  };
}

/** One entry for each user name: what several entries of it give together. */
function poolerUsers(config: Config): PoolerUser[] {
  const names = new Set(config.users.map((user) => user.name));
  return [...names].map((name) => {
    const routes = config.databases.flatMap((database) => {
      const user = findUser(config.users, name, database.name);
      return user === undefined ? [] : [poolerRoute(config, user, database)];
    });
    return { name, routes };
  });
}

/**
 * What PgBouncer asks by default since CVE-2025-2291: passwords that have expired and roles that may not log in are as
 * good as none. Every name is qualified.
 */
const AUTH_QUERY = `SELECT rolname,
  CASE WHEN rolvaliduntil OPERATOR(pg_catalog.<) pg_catalog.now() THEN NULL ELSE rolpassword END
FROM pg_catalog.pg_authid WHERE rolname OPERATOR(pg_catalog.=) $1::pg_catalog.text AND rolcanlogin`;

function userLookup(config: Config, database: DatabaseConfig): UserLookupOptions | undefined {
  const { auth_query: query = AUTH_QUERY, connect_timeout: timeoutMs } = config.general;
  const credentials = lookupCredentials(config, database);
  if (credentials === undefined) return undefined;
  return {
    user: credentials.user,
    password: credentials.password,
    query,
    timeoutMs,
    route: {
      database: database.name,
      password: undefined,
      passwordHash: undefined,
      serverUser: database.user,
      serverPassword: database.user === undefined ? undefined : database.password,
      ...poolSizes(config, undefined, database),
    },
  };
}

function poolerRoute(config: Config, user: UserConfig, database: DatabaseConfig): PoolerRoute {
  const credentials = sourceCredentials(user, database);
  return {
    database: database.name,
    serverUser: credentials.user,
    serverPassword: credentials.password,
    password: user.password,
    passwordHash: user.password_hash,
    ...poolSizes(config, user, database),
  };
}

function poolSizes(config: Config, user: UserConfig | undefined, database: DatabaseConfig) {
  return {
    mode: user?.pooler_mode ?? database.pooler_mode ?? config.general.pooler_mode,
    minPoolSize: user?.min_pool_size ?? database.min_pool_size ?? config.general.min_pool_size,
    poolSize: user?.pool_size ?? database.pool_size ?? config.general.default_pool_size,
    pinnedPoolSize: database.pinned_pool_size ?? config.general.pinned_pool_size,
  };
}

function poolerLimits({ general }: Config): PoolerLimits {
  return {
    maxClientConnections: general.max_client_connections,
    maxLoginConnections: general.max_login_connections,
    loginFailuresPerMinute: general.login_failures_per_minute,
    clientLoginTimeoutMs: general.client_login_timeout,
    connectTimeoutMs: general.connect_timeout,
    checkoutTimeoutMs: general.checkout_timeout,
    idleTimeoutMs: general.idle_timeout,
    serverLifetimeMs: general.server_lifetime,
    healthcheckMs: general.healthcheck_interval,
    maxDbConnections: general.max_db_connections,
    queryTimeoutMs: general.query_timeout,
    clientIdleTimeoutMs: general.client_idle_timeout,
    clientIdleInTransactionTimeoutMs: general.client_idle_in_transaction_timeout,
    cancelOnDisconnect: general.cancel_on_disconnect,
    rollbackTimeoutMs: general.rollback_timeout,
    maxMessageSize: general.max_message_size,
    maxPipelineDepth: general.max_pipeline_depth,
    prepared: general.prepared_statements,
    preparedBytes: general.prepared_statements_bytes,
    preparedLimit: general.prepared_statements_limit,
  };
}
