import { Client } from 'pg';
import type { Config } from '../../config/config.ts';
import { printable } from './words.ts';

const TIMEOUT_MS = 20_000;

interface PlanLine {
  readonly side: string;
  readonly database: string;
  readonly plan: string;
}

/** For a terminal: what a plan names was named by whoever sent the query. */
export function plansText(rows: readonly PlanLine[]): string {
  const sides = Map.groupBy(rows, ({ side, database }) => `${side} ${database}`);
  return [...sides]
    .map(([title, lines]) => `${printable(title)}\n${lines.map(({ plan }) => `  ${printable(plan)}\n`).join('')}`)
    .join('\n');
}

/** The plans of a query on both sides, through the admin database. Rejects with what that answered. */
export async function explainOverAdmin(config: Config, password: string, fingerprint: string): Promise<string> {
  const { host, port } = config.general;
  const client = new Client({
    host: host === '0.0.0.0' || host === '::' ? 'localhost' : host,
    port,
    database: config.admin.name,
    user: config.admin.user,
    password,
    // The password is proved by SCRAM, and never sent: whose certificate it is does not matter here.
    ssl: config.general.tls_certificate === undefined ? false : { rejectUnauthorized: false },
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<PlanLine>(`EXPLAIN ${fingerprint}`);
    return plansText(rows);
  } finally {
    await client.end();
  }
}
