import type { QueryReport } from '../mirror/report/query-report.ts';
import type { AdminAnswer, AdminColumn } from './admin-answer.ts';
import type { AdminHost } from './admin-host.ts';

const columns = [
  { name: 'source', type: 'text' },
  { name: 'destination', type: 'text' },
  { name: 'fingerprint', type: 'text' },
  { name: 'query', type: 'text' },
  { name: 'calls', type: 'int8' },
  { name: 'source_p50_ms', type: 'float8' },
  { name: 'source_p95_ms', type: 'float8' },
  { name: 'source_p99_ms', type: 'float8' },
  { name: 'mirror_p50_ms', type: 'float8' },
  { name: 'mirror_p95_ms', type: 'float8' },
  { name: 'mirror_p99_ms', type: 'float8' },
  { name: 'p95_ratio', type: 'float8' },
  { name: 'time_lost_ms', type: 'float8' },
  { name: 'source_errors', type: 'int8' },
  { name: 'mirror_errors', type: 'int8' },
  { name: 'error_new', type: 'int8' },
  { name: 'mismatch', type: 'int8' },
  { name: 'verified', type: 'float8' },
] as const satisfies readonly (AdminColumn & { readonly name: keyof QueryReport })[];

/** SHOW QUERIES: one row for each kind of query on each mirror, the most time lost first. */
export async function showQueries(host: AdminHost): Promise<AdminAnswer> {
  const queries = (await host.queries()).toSorted((a, b) => b.time_lost_ms - a.time_lost_ms);
  const rows = queries.map((query) => columns.map(({ name }) => query[name]));
  return { kind: 'rows', tag: 'SHOW', columns, rows };
}
