import type { ConnectionOptions } from 'node:tls';
import type { Plan, Plans } from '../admin/admin-host.ts';
import type { Config } from '../config/config.ts';
import type { DatabaseConfig } from '../config/database-schema.ts';
import { findUser, mirrorCredentials, ownCredentials, unattendedCredentials } from '../config/server-login.ts';
import type { ServerCredentials } from '../config/server-login.ts';
import type { QueryReport } from '../mirror/report/query-report.ts';
import { tlsConnectOptions } from '../net/server-tls.ts';
import { splitStatements } from '../session/statement-text.ts';

/** Plans are asked for no more often than this: each is a connection to production. */
const PAUSE_MS = 1_000;
const TIMEOUT_MS = 5_000;
/** The version of PostgreSQL that first had EXPLAIN (GENERIC_PLAN). */
const GENERIC_PLAN_SINCE = 16;
/** First words of what has a plan. */
const PLANNED: ReadonlySet<string> = new Set([
  'select',
  'insert',
  'update',
  'delete',
  'merge',
  'values',
  'with',
  'table',
]);

/**
 * Plans of a query on both sides, on demand: `EXPLAIN (GENERIC_PLAN)` of its normalized text, which plans and never runs it, in
 * a transaction that is read-only besides. One at a time, and not many.
 */
export class QueryPlans {
  readonly #config: () => Config;
  #running = false;
  #notBefore = -Infinity;

  constructor(config: () => Config) {
    this.#config = config;
  }

  async of(fingerprint: string, queries: readonly QueryReport[]): Promise<Plans> {
    const rows = queries.filter((query) => query.fingerprint === fingerprint);
    const [first] = rows;
    if (first === undefined) return { code: '42704', refusal: `no query has the fingerprint "${fingerprint}"` };
    const reason = whyNot(first.query);
    if (reason !== undefined) return { code: '0A000', refusal: reason };
    const now = performance.now();
    if (this.#running || now < this.#notBefore) {
      return { code: '53400', refusal: 'plans are asked for one at a time, and once a second: try again' };
    }
    this.#running = true;
    try {
      return { plans: await this.#plans(first.query, rows) };
    } finally {
      this.#running = false;
      this.#notBefore = performance.now() + PAUSE_MS;
    }
  }

  async #plans(text: string, rows: readonly QueryReport[]): Promise<Plan[]> {
    const config = this.#config();
    const sources = [...new Set(rows.map(({ source }) => source))].map((name) => ({ side: 'source', name }) as const);
    const mirrors = rows.map(({ destination, source }) => ({ side: 'mirror', name: destination, source }) as const);
    return Promise.all(
      [...sources, ...mirrors].map(async (place) => {
        const database = config.databases.find(({ name }) => name === place.name);
        const source = place.side === 'mirror' ? place.source : place.name;
        const login = database && loginTo(config, place.side, source, database);
        const lines =
          database === undefined || login === undefined
            ? ['nobody is known to log in as']
            : await explained(config, database, login, text);
        return { side: place.side, database: place.name, lines };
      }),
    );
  }
}

/** The first login that is possible. */
function loginTo(
  config: Config,
  side: 'source' | 'mirror',
  source: string,
  database: DatabaseConfig,
): ServerCredentials | undefined {
  if (side === 'source') return unattendedCredentials(config, database);
  const ofUsers = config.users
    .filter(({ name }) => findUser(config.users, name, source) !== undefined)
    .map(({ name }) => mirrorCredentials(config, name, database));
  return [...ofUsers, ownCredentials(database)].find((login) => login?.verifierOnly === false);
}

async function explained(
  config: Config,
  database: DatabaseConfig,
  login: ServerCredentials,
  text: string,
): Promise<string[]> {
  const { servers: tls } = config.tls;
  if (tls.verify === 'disabled') return explain(database, login, text, false);
  const encrypted = tlsConnectOptions(tls, database.host);
  try {
    return await explain(database, login, text, encrypted);
  } catch (error) {
    // As libpq with `prefer`: where the server has no TLS, without.
    if (tls.verify !== 'prefer' || !(error instanceof Error) || !/does not support SSL/.test(error.message)) {
      return [`no plan: ${error instanceof Error ? error.message : String(error)}`];
    }
  }
  return explain(database, login, text, false);
}

/** Rejects where no connection can be made. */
async function explain(
  database: DatabaseConfig,
  login: ServerCredentials,
  text: string,
  ssl: ConnectionOptions | false,
): Promise<string[]> {
  // Loaded when first needed: hardly any run of pgmirror explains a query.
  const { Client, DatabaseError } = await import('pg');
  const client = new Client({
    host: database.host,
    port: database.port,
    database: database.database_name,
    user: login.user,
    // Without one, pg would look in the environment and in a file.
    password: login.password ?? '',
    // A socket directory has no TLS.
    ssl: database.host.startsWith('/') ? false : ssl,
    application_name: 'pgmirror explain',
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
    statement_timeout: TIMEOUT_MS,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows: versions } = await client.query<{ server_version_num: string }>('SHOW server_version_num');
    const version = Math.floor(Number(versions[0]?.server_version_num) / 10_000);
    if (version < GENERIC_PLAN_SINCE) {
      return [`no plan: needs PostgreSQL ${GENERIC_PLAN_SINCE} (GENERIC_PLAN), this is ${version}`];
    }
    await client.query('BEGIN READ ONLY');
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN (GENERIC_PLAN) ${text}`);
    return rows.map((row) => row['QUERY PLAN']);
  } catch (error) {
    // An ErrorResponse, which has an SQLSTATE, is an answer.
    if (ssl !== false && !(error instanceof DatabaseError)) throw error;
    return [`no plan: ${error instanceof Error ? error.message : String(error)}`];
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Why a normalized text cannot be explained. */
function whyNot(text: string): string | undefined {
  if (text === '') return 'the text of queries is not kept: log_statements is "none"';
  if (text.endsWith('…')) return 'the text of this query is too long to be kept';
  const statements = splitStatements(text);
  if (statements.length !== 1) return 'this is not one statement';
  return PLANNED.has(statements[0]?.words[0] ?? '') ? undefined : 'this statement has no plan';
}
