import { noStatistics } from '../pool/pool-statistics.ts';
import type { PoolStatistics } from '../pool/pool-statistics.ts';
import type { AdminAnswer, AdminColumn, AdminValue } from './admin-answer.ts';
import type { AdminHost } from './admin-host.ts';

/** PgBouncer's names of what is counted: in totals, in averages a second (times: for each), and how it is read. */
const measures: readonly {
  readonly total: string;
  readonly average: string;
  /** In STATS_TOTALS and STATS_AVERAGES, where it is called otherwise there. */
  readonly bare?: string;
  readonly of: (statistics: PoolStatistics) => number;
  /** An average time is one for each of these, not for each second. */
  readonly per?: (statistics: PoolStatistics) => number;
}[] = [
  { total: 'server_assignment_count', average: 'server_assignment_count', of: (s) => s.assignments },
  { total: 'xact_count', average: 'xact_count', of: (s) => s.transactions },
  { total: 'query_count', average: 'query_count', of: (s) => s.requests },
  { total: 'received', average: 'recv', bare: 'bytes_received', of: (s) => s.received },
  { total: 'sent', average: 'sent', bare: 'bytes_sent', of: (s) => s.sent },
  { total: 'xact_time', average: 'xact_time', of: (s) => s.transactionTime * 1000, per: (s) => s.transactions },
  { total: 'query_time', average: 'query_time', of: (s) => s.requestTime * 1000, per: (s) => s.requests },
  { total: 'wait_time', average: 'wait_time', of: (s) => s.waitTime * 1000, per: (s) => s.assignments },
  { total: 'client_parse_count', average: 'client_parse_count', of: (s) => s.clientParses },
  { total: 'server_parse_count', average: 'server_parse_count', of: (s) => s.serverParses },
  { total: 'bind_count', average: 'bind_count', of: (s) => s.binds },
];

const DATABASE: AdminColumn = { name: 'database', type: 'text' };
const totals = measures.map(({ total }): AdminColumn => ({ name: `total_${total}`, type: 'numeric' }));
const averages = measures.map(({ average }): AdminColumn => ({ name: `avg_${average}`, type: 'numeric' }));
const bare = measures.map(({ total, bare: name = total }): AdminColumn => ({ name, type: 'numeric' }));

/** SHOW STATS: totals since the start, and averages over that time. */
export async function showStats(host: AdminHost): Promise<AdminAnswer> {
  return table(host, [...totals, ...averages], (s) => [...totalsOf(s), ...averagesOf(s, host.uptimeSeconds)]);
}

/** SHOW STATS_TOTALS. */
export async function showStatsTotals(host: AdminHost): Promise<AdminAnswer> {
  return table(host, bare, totalsOf);
}

/** SHOW STATS_AVERAGES. */
export async function showStatsAverages(host: AdminHost): Promise<AdminAnswer> {
  return table(host, bare, (s) => averagesOf(s, host.uptimeSeconds));
}

async function table(
  host: AdminHost,
  columns: readonly AdminColumn[],
  values: (statistics: PoolStatistics) => AdminValue[],
): Promise<AdminAnswer> {
  const counted = await host.statistics();
  const rows = host.config.databases.map(({ name }) => [name, ...values(counted.get(name) ?? noStatistics())]);
  return { kind: 'rows', tag: 'SHOW', columns: [DATABASE, ...columns], rows };
}

function totalsOf(statistics: PoolStatistics): number[] {
  return measures.map(({ of }) => Math.round(of(statistics)));
}

function averagesOf(statistics: PoolStatistics, seconds: number): number[] {
  return measures.map(({ of, per }) => {
    const divisor = per === undefined ? seconds : per(statistics);
    return divisor === 0 ? 0 : Math.round(of(statistics) / divisor);
  });
}
