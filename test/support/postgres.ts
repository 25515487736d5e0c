import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { Client, type QueryResultRow } from 'pg';

import { startPostgres, type PostgresOptions, type RunningPostgres } from '../../src/cli/embedded-postgres.ts';
import type { Cleanup } from './cleanup.ts';

export type { RunningPostgres };

/** Starts a PostgreSQL (the embedded one, unless `binaries` names another) and stops it when the test or file is over. */
export async function startTestPostgres(cleanup: Cleanup, options: PostgresOptions = {}): Promise<RunningPostgres> {
  const server = await startPostgres(options);
  cleanup.after(async () => server.stop());
  return server;
}

/** The programs' folder of the newest PostgreSQL that the machine's packages installed, for tests against another version. */
export function machinePostgres(root = '/usr/lib/postgresql'): string | undefined {
  if (!existsSync(root)) return undefined;
  const versions = readdirSync(root).toSorted((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(root, version, 'bin')).find((bin) => existsSync(join(bin, 'initdb')));
}

/** Creates a database with a name of its own, empty or a copy of another, and returns that name. It goes with its server. */
export async function createDatabase(
  server: RunningPostgres,
  prefix = 'test',
  template = 'template1',
): Promise<string> {
  const name = `${prefix}_${randomBytes(4).toString('hex')}`;
  await query(server.url('postgres'), `CREATE DATABASE ${name} TEMPLATE ${template}`);
  return name;
}

/** Runs one query on a connection of its own and returns its rows. */
export async function query<Row extends QueryResultRow = QueryResultRow>(
  url: string,
  sql: string,
  values?: readonly unknown[],
): Promise<Row[]> {
  return withClient(url, async (client) => (await client.query<Row>(sql, values && [...values])).rows);
}

/** Lends a connected `pg` client, and ends it afterwards. */
export async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on('error', () => {}); // what it breaks off is also an error of the query that runs
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
