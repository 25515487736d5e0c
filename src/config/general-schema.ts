import * as z from 'zod';
import {
  bytes,
  flag,
  integer,
  milliseconds,
  millisecondsOr,
  oneOf,
  port,
  share,
  text,
  type Resolved,
} from './schema-parts.ts';

const MAX_COUNT = 1_000_000;
const MEBIBYTE = 1_048_576;

/** How long a client keeps a server connection: for a transaction, for its session, or for a statement. */
export function poolerMode() {
  return oneOf(['transaction', 'session', 'statement']);
}

/** What is undone on a server connection that is handed back: what was seen to change, or everything. */
export function serverReset() {
  return oneOf(['needed', 'always']);
}

/** `[general]`. */
export const generalSchema = z.strictObject({
  /** Address where clients connect. */
  host: text().default('127.0.0.1'),
  port: port().default(6432),
  /** Directory of a unix socket besides, named `.s.PGSQL.<port>`. */
  unix_socket_dir: text().optional(),
  /** Pooler threads. */
  workers: integer(1, 256).default(1),
  /** Let another process listen on the same port. */
  reuse_port: flag().default(false),

  pooler_mode: poolerMode().default('transaction'),
  /** Server connections for each database and user. */
  default_pool_size: integer(1, MAX_COUNT).default(10),
  min_pool_size: integer(0, MAX_COUNT).default(0),
  /** Connections that pinned clients hold outside a transaction, for each database and user, besides the pool. */
  pinned_pool_size: integer(0, MAX_COUNT).default(50),
  /** Server connections of one database, all users together. */
  max_db_connections: integer(0, MAX_COUNT, { zero: 'no limit' }).default(0),
  server_reset: serverReset().default('needed'),

  max_client_connections: integer(1, MAX_COUNT).default(1000),
  /** Sockets that have not logged in yet. */
  max_login_connections: integer(1, MAX_COUNT).default(200),
  /** Failed logins from one address. */
  login_failures_per_minute: integer(0, MAX_COUNT, { zero: 'no limit' }).default(60),

  auth_type: oneOf(['scram', 'md5', 'plain', 'trust']).default('scram'),
  /** Who looks up users that users.toml lacks, and with which query. */
  auth_user: text().optional(),
  auth_query: text().optional(),

  /** TLS towards clients: PEM files. */
  tls_certificate: text().optional(),
  tls_private_key: text().optional(),
  tls_client_required: flag().default(false),
  tls_client_ca_certificate: text().optional(),
  /** TLS towards servers, as libpq's sslmode. */
  tls_verify: oneOf(['disabled', 'prefer', 'require', 'verify_ca', 'verify_full']).default('prefer'),
  tls_server_ca_certificate: text().optional(),
  tls_server_certificate: text().optional(),
  tls_server_private_key: text().optional(),

  /** Connecting to a server and logging in. */
  connect_timeout: milliseconds().default(5000),
  /** Waiting for a server connection. */
  checkout_timeout: milliseconds().default(5000),
  /** From a client's accepted socket to the end of its login. */
  client_login_timeout: milliseconds().default(15_000),
  query_timeout: millisecondsOr('off').default(0),
  client_idle_timeout: millisecondsOr('off').default(0),
  client_idle_in_transaction_timeout: millisecondsOr('off').default(0),
  /** A server connection that nobody used for this long is closed. */
  idle_timeout: millisecondsOr('off').default(60_000),
  server_lifetime: millisecondsOr('off').default(86_400_000),
  /** For the ROLLBACK of a transaction that its client left open. */
  rollback_timeout: milliseconds().default(5000),
  healthcheck_interval: millisecondsOr('off').default(30_000),
  /** Cancel an autocommit statement whose client vanished (a write may be lost) instead of letting it end. */
  cancel_on_disconnect: flag().default(false),
  /** How long clients may go on after a signal to stop. */
  shutdown_timeout: millisecondsOr('at once').default(60_000),

  prepared_statements: flag().default(true),
  /** Statements kept on each server connection. */
  prepared_statements_limit: integer(1, MAX_COUNT).default(200),
  /** Texts of the statements that one client may hold. */
  prepared_statements_bytes: bytes(1, 1024 * MEBIBYTE).default(16 * MEBIBYTE),
  /** Longest message of a client; PostgreSQL's own bound is the greatest possible (MaxAllocSize, memutils.h). */
  max_message_size: bytes(1024, 1024 * MEBIBYTE).default(1024 * MEBIBYTE),
  /** Requests of one client in flight. */
  max_pipeline_depth: integer(1, MAX_COUNT).default(100_000),

  /** Transactions for each client and mirror. */
  mirror_queue: integer(1, MAX_COUNT).default(128),
  /** Everything recorded and not yet finished. */
  mirror_queue_bytes: bytes(1, Number.MAX_SAFE_INTEGER).default(256 * MEBIBYTE),
  /** Share of transactions that are mirrored, where [[mirroring]] does not say. */
  mirror_exposure: share().default(1),

  /** Metrics, JSON, dashboard and health; off without a port. */
  http_host: text().default('127.0.0.1'),
  http_port: port().optional(),
  log_level: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
  log_connections: flag().default(true),
  /** What of a statement's text may appear in logs, report and page. */
  log_statements: oneOf(['none', 'fingerprint', 'full']).default('fingerprint'),
  /** Fingerprints that are kept one by one; the rest are summed as one. */
  report_queries: integer(1, MAX_COUNT).default(500),
});

/** `[general]` with its defaults; a key without default is undefined where it is not given. */
export type GeneralConfig = Resolved<typeof generalSchema>;
