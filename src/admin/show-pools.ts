import type { PoolSnapshot, ThreadSnapshot } from '../pooler/pooler-snapshot.ts';
import type { AdminAnswer, AdminColumn } from './admin-answer.ts';
import type { AdminHost } from './admin-host.ts';

const columns: readonly AdminColumn[] = [
  { name: 'database', type: 'text' },
  { name: 'user', type: 'text' },
  { name: 'cl_active', type: 'int4' },
  { name: 'cl_waiting', type: 'int4' },
  { name: 'cl_active_cancel_req', type: 'int4' },
  { name: 'cl_waiting_cancel_req', type: 'int4' },
  { name: 'sv_active', type: 'int4' },
  { name: 'sv_active_cancel', type: 'int4' },
  { name: 'sv_being_canceled', type: 'int4' },
  { name: 'sv_idle', type: 'int4' },
  { name: 'sv_used', type: 'int4' },
  { name: 'sv_tested', type: 'int4' },
  { name: 'sv_login', type: 'int4' },
  { name: 'maxwait', type: 'int4' },
  { name: 'maxwait_us', type: 'int4' },
  { name: 'pool_mode', type: 'text' },
  { name: 'load_balance_hosts', type: 'text' },
];

/** SHOW POOLS, with the columns and meanings of PgBouncer: all threads together. */
export async function showPools(host: AdminHost): Promise<AdminAnswer> {
  const rows = poolsTogether(await host.threads()).map((pool) => [
    pool.database,
    pool.user,
    // As in PgBouncer a client that is idle counts as active: only those that wait do not.
    pool.clientsActive + pool.clientsIdle,
    pool.clientsWaiting,
    0,
    0,
    pool.serversActive - pool.serversCancelling,
    0,
    pool.serversCancelling,
    pool.serversIdle,
    0,
    0,
    pool.serversLogin,
    Math.floor(pool.longestWait / 1000),
    Math.floor((pool.longestWait % 1000) * 1000),
    pool.mode,
    null,
  ]);
  return { kind: 'rows', tag: 'SHOW', columns, rows };
}

/** The pools of all threads, those of one database and user together. */
export function poolsTogether(threads: readonly ThreadSnapshot[]): PoolSnapshot[] {
  const pools = new Map<string, PoolSnapshot>();
  for (const pool of threads.flatMap((thread) => thread.pools)) {
    const key = JSON.stringify([pool.database, pool.user]);
    const sum = pools.get(key);
    pools.set(key, sum === undefined ? pool : together(sum, pool));
  }
  return [...pools.values()];
}

function together(a: PoolSnapshot, b: PoolSnapshot): PoolSnapshot {
  return {
    database: a.database,
    user: a.user,
    clientsActive: a.clientsActive + b.clientsActive,
    clientsWaiting: a.clientsWaiting + b.clientsWaiting,
    clientsIdle: a.clientsIdle + b.clientsIdle,
    serversActive: a.serversActive + b.serversActive,
    serversIdle: a.serversIdle + b.serversIdle,
    serversLogin: a.serversLogin + b.serversLogin,
    serversCancelling: a.serversCancelling + b.serversCancelling,
    longestWait: Math.max(a.longestWait, b.longestWait),
    mode: a.mode,
    size: a.size,
    minSize: a.minSize,
    pinned: a.pinned + b.pinned,
  };
}
