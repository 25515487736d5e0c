import type { Config } from '../config/config.ts';
import type { DatabaseConfig } from '../config/database-schema.ts';
import { findUser, sourceCredentials } from '../config/server-login.ts';
import type { UserConfig } from '../config/user-schema.ts';
import type { PoolerDatabase, PoolerLimits, PoolerOptions, PoolerRoute, PoolerUser } from '../pooler/pooler-options.ts';

/** Under these names the admin database answers: PgBouncer's own, too, for the tools that were made for it. */
function adminNames(config: Config): readonly string[] {
  return config.admin.password === undefined ? [] : [config.admin.name, 'pgbouncer'];
}

/** The configuration as a pooler needs it. */
export function poolerOptions(config: Config): PoolerOptions {
  return {
    authType: config.general.auth_type,
    users: poolerUsers(config),
    databases: config.databases.map((database) => poolerDatabase(config, database)),
    admin: { names: adminNames(config), user: config.admin.user, password: config.admin.password },
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

function poolerDatabase(config: Config, database: DatabaseConfig): PoolerDatabase {
  return {
    name: database.name,
    address: { host: database.host, port: database.port },
    databaseName: database.database_name,
    resetAlways: (database.server_reset ?? config.general.server_reset) === 'always',
    parameters: serverParameters(database),
  };
}

/** One entry for each user name: what several entries of it give together. */
function poolerUsers(config: Config): PoolerUser[] {
  const names = new Set(config.users.map((user) => user.name));
  return [...names].map((name) => {
    const routes: PoolerRoute[] = [];
    let first: UserConfig | undefined;
    for (const database of config.databases) {
      const user = findUser(config.users, name, database.name);
      if (user === undefined) continue;
      first ??= user;
      routes.push(poolerRoute(config, user, database));
    }
    return { name, routes, password: first?.password, passwordHash: first?.password_hash };
  });
}

function poolerRoute(config: Config, user: UserConfig, database: DatabaseConfig): PoolerRoute {
  const credentials = sourceCredentials(user, database);
  return {
    database: database.name,
    serverUser: credentials.user,
    serverPassword: credentials.password,
    mode: user.pooler_mode ?? database.pooler_mode ?? config.general.pooler_mode,
    minPoolSize: user.min_pool_size ?? database.min_pool_size ?? config.general.min_pool_size,
    poolSize: user.pool_size ?? database.pool_size ?? config.general.default_pool_size,
    pinnedPoolSize: database.pinned_pool_size ?? config.general.pinned_pool_size,
  };
}

function poolerLimits({ general }: Config): PoolerLimits {
  return {
    maxClientConnections: general.max_client_connections,
    maxLoginConnections: general.max_login_connections,
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
