import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import type { GeneralConfig } from '../../config/general-schema.ts';
import type { MirroringConfig } from '../../config/mirroring-schema.ts';
import { tlsConnectOptions } from '../../net/server-tls.ts';
import type { CheckedLogin } from './logins.ts';

/** Extensions with which statements reach other servers, or run later on their own. */
const REACHING_OUT = [
  'dblink',
  'http',
  'mysql_fdw',
  'oracle_fdw',
  'pg_cron',
  'pg_net',
  'plproxy',
  'postgres_fdw',
  'tds_fdw',
];

/** Why a destination must not be mirrored to, one reason a line; none: it may. Rejects where it cannot be found out. */
export async function mirrorObjections(
  source: CheckedLogin,
  mirror: CheckedLogin,
  mirroring: Pick<MirroringConfig, 'level' | 'allow_side_effects'>,
  general: GeneralConfig,
): Promise<string[]> {
  return await withClient(source, general, async (onSource) =>
    withClient(mirror, general, async (onMirror) => {
      if (await isSameDatabase(onSource, onMirror)) return ['it is the same database as the source'];
      const objections = await recoveryObjections(onMirror, mirroring.level);
      return mirroring.allow_side_effects ? objections : [...objections, ...(await sideEffects(onMirror))];
    }),
  );
}

/**
 * Proof by a lock: what is held on the source in an open transaction cannot be had on the same database, by whatever
 * address, pooler or tunnel it is reached.
 */
async function isSameDatabase(source: Client, mirror: Client): Promise<boolean> {
  const key = randomBytes(8).readBigInt64BE().toString();
  await source.query('BEGIN');
  try {
    await source.query('SELECT pg_catalog.pg_advisory_xact_lock($1::bigint)', [key]);
    await mirror.query('BEGIN');
    const { rows } = await mirror.query<{ free: boolean }>(
      'SELECT pg_catalog.pg_try_advisory_xact_lock($1::bigint) AS free',
      [key],
    );
    await mirror.query('ROLLBACK');
    return rows[0]?.free !== true;
  } finally {
    await source.query('ROLLBACK');
  }
}

async function recoveryObjections(mirror: Client, level: MirroringConfig['level']): Promise<string[]> {
  const { rows } = await mirror.query<{ recovering: boolean }>('SELECT pg_catalog.pg_is_in_recovery() AS recovering');
  return rows[0]?.recovering === true && level !== 'read' ? ['it is in recovery, and level is not "read"'] : [];
}

/** What lets a replayed statement act outside the mirror, or others write to it. */
async function sideEffects(mirror: Client): Promise<string[]> {
  const { rows } = await mirror.query<{ reason: string }>(
    `SELECT 'subscription ' || subname AS reason FROM pg_catalog.pg_subscription
       WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
     UNION ALL SELECT 'foreign server ' || srvname FROM pg_catalog.pg_foreign_server
     UNION ALL SELECT 'extension ' || extname FROM pg_catalog.pg_extension WHERE extname = ANY ($1)
     ORDER BY reason`,
    [REACHING_OUT],
  );
  return rows.map(({ reason }) => `it has ${reason}, and allow_side_effects is false`);
}

async function withClient<Result>(
  { database, credentials, tls }: CheckedLogin,
  { connect_timeout: timeout }: GeneralConfig,
  use: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({
    host: database.host,
    port: database.port,
    database: database.database_name,
    user: credentials.user,
    // Without one, pg would look in the environment and in a file.
    password: credentials.password ?? '',
    ssl: tls === undefined ? false : tlsConnectOptions(tls, database.host),
    application_name: 'pgmirror check',
    connectionTimeoutMillis: timeout,
    query_timeout: timeout,
  });
  // A connection that is lost between queries speaks up here; the next query rejects in any case.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await use(client);
  } finally {
    await client.end();
  }
}
