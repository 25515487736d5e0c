import { randomBytes } from 'node:crypto';

import { Client } from 'pg';

import { startPostgres, type RunningPostgres } from '../embedded-postgres.ts';
import { PgmirrorProcess } from './pgmirror-process.ts';
import { forgottenIndex, shopSchema } from './schema.ts';

const database = 'shop';

/** All that the demo runs on: two servers with the same shop, and pgmirror before the first of them. */
export interface Stage {
  readonly source: RunningPostgres;
  readonly mirror: RunningPostgres;
  readonly pgmirror: PgmirrorProcess;
  /** The application's DATABASE_URL: pgmirror's. */
  readonly applicationUrl: string;
  readonly adminUrl: string;
  /** The page, the metrics and the JSON. */
  readonly httpUrl: string;
  /** The shop's database on each server, past pgmirror. */
  readonly sourceUrl: string;
  readonly mirrorUrl: string;
}

/**
 * Builds it. What has been started is handed to `started` at once, so that whatever happens next it can be stopped;
 * `say` is told of each step, and `signal` ends the building between two of them.
 */
export async function buildStage(
  started: (stop: () => Promise<void>) => void,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<Stage> {
  say('starting two PostgreSQL servers');
  const launch = async (): Promise<RunningPostgres> => {
    const server = await startPostgres();
    started(async () => server.stop());
    return server;
  };
  // Both are waited for even if one fails: the other is running by then, and has to be stopped.
  const outcomes = await Promise.allSettled([launch(), launch()]);
  const [source, mirror] = outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
  if (source === undefined || mirror === undefined) throw new Error('two servers were asked for');
  signal.throwIfAborted();

  say(`PostgreSQL ${source.version}: source on port ${source.port}, mirror on port ${mirror.port}; loading the shop`);
  const password = randomBytes(9).toString('hex');
  await Promise.all([loadShop(source, password), loadShop(mirror, password, `DROP INDEX ${forgottenIndex}`)]);
  signal.throwIfAborted();

  const adminPassword = randomBytes(9).toString('hex');
  const entry = ({ host, port }: RunningPostgres) => ({ host, port, database_name: database });
  const pgmirror = await PgmirrorProcess.start({
    admin: { password: adminPassword },
    databases: [
      { name: database, ...entry(source) },
      { name: 'shop_mirror', ...entry(mirror), user: 'shop', password },
    ],
    mirroring: [{ source_db: database, destination_db: 'shop_mirror', exposure: 1, compare: true }],
    users: [{ name: 'shop', database, password }],
  });
  started(async () => pgmirror.stop());
  const httpUrl = `http://127.0.0.1:${pgmirror.httpPort}/`;
  say(`pgmirror on port ${pgmirror.port}, exposure 1.0, answers compared; the mirror lacks one index`);
  say(`what it sees, live: ${httpUrl}`);

  const url = (user: string, secret: string, port: number, name: string): string =>
    `postgres://${user}:${secret}@127.0.0.1:${port}/${name}`;
  return {
    source,
    mirror,
    pgmirror,
    applicationUrl: url('shop', password, pgmirror.port, database),
    httpUrl,
    adminUrl: url('admin', adminPassword, pgmirror.port, 'pgmirror'),
    sourceUrl: source.url(database),
    mirrorUrl: mirror.url(database),
  };
}

/** A user of its own that may no more than its database, and in it the shop. */
async function loadShop(server: RunningPostgres, password: string, ...more: readonly string[]): Promise<void> {
  await run(server.url('postgres'), `CREATE ROLE shop LOGIN PASSWORD '${password}'`, 'CREATE DATABASE shop OWNER shop');
  const url = new URL(server.url(database));
  url.username = 'shop';
  url.password = password;
  await run(url.href, shopSchema, ...more);
}

async function run(url: string, ...statements: readonly string[]): Promise<void> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {}); // the query that runs reports it
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}
