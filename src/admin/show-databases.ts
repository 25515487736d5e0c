import { isPaused } from '../pooler/paused-databases.ts';
import type { AdminAnswer, AdminColumn } from './admin-answer.ts';
import type { AdminHost } from './admin-host.ts';
import { poolsTogether } from './show-pools.ts';

const databaseColumns: readonly AdminColumn[] = [
  { name: 'name', type: 'text' },
  { name: 'host', type: 'text' },
  { name: 'port', type: 'int4' },
  { name: 'database', type: 'text' },
  { name: 'force_user', type: 'text' },
  { name: 'pool_size', type: 'int4' },
  { name: 'min_pool_size', type: 'int4' },
  { name: 'reserve_pool_size', type: 'int4' },
  { name: 'server_lifetime', type: 'int4' },
  { name: 'pool_mode', type: 'text' },
  { name: 'load_balance_hosts', type: 'text' },
  { name: 'max_connections', type: 'int4' },
  { name: 'current_connections', type: 'int4' },
  { name: 'max_client_connections', type: 'int4' },
  { name: 'current_client_connections', type: 'int4' },
  { name: 'paused', type: 'int4' },
  { name: 'disabled', type: 'int4' },
];

/** SHOW DATABASES, with PgBouncer's columns; times in seconds as there. */
export async function showDatabases(host: AdminHost): Promise<AdminAnswer> {
  const { general, databases } = host.config;
  const threads = await host.threads();
  const pools = poolsTogether(threads);
  const rows = databases.map((database) => {
    const mine = pools.filter((pool) => pool.database === database.name);
    const servers = mine.reduce((sum, pool) => sum + pool.serversActive + pool.serversIdle, 0);
    const clients = mine.reduce((sum, pool) => sum + pool.clientsActive + pool.clientsIdle + pool.clientsWaiting, 0);
    return [
      database.name,
      database.host,
      database.port,
      database.database_name,
      database.user ?? null,
      database.pool_size ?? general.default_pool_size,
      database.min_pool_size ?? general.min_pool_size,
      0,
      Math.round(general.server_lifetime / 1000),
      database.pooler_mode ?? null,
      null,
      general.max_db_connections,
      servers,
      0,
      clients,
      threads.some(({ paused }) => isPaused(paused, database.name)) ? 1 : 0,
      0,
    ];
  });
  return { kind: 'rows', tag: 'SHOW', columns: databaseColumns, rows };
}

const userColumns: readonly AdminColumn[] = [
  { name: 'name', type: 'text' },
  { name: 'pool_size', type: 'text' },
  { name: 'reserve_pool_size', type: 'text' },
  { name: 'pool_mode', type: 'text' },
  { name: 'max_user_connections', type: 'int4' },
  { name: 'current_connections', type: 'int4' },
  { name: 'max_user_client_connections', type: 'int4' },
  { name: 'current_client_connections', type: 'int4' },
];

/** SHOW USERS. */
export async function showUsers(host: AdminHost): Promise<AdminAnswer> {
  const pools = poolsTogether(await host.threads());
  const names = [...new Set(host.config.users.map(({ name }) => name))];
  const rows = names.map((name) => {
    const entry = host.config.users.find((user) => user.name === name);
    const mine = pools.filter((pool) => pool.user === name);
    const servers = mine.reduce((sum, pool) => sum + pool.serversActive + pool.serversIdle, 0);
    const clients = mine.reduce((sum, pool) => sum + pool.clientsActive + pool.clientsIdle + pool.clientsWaiting, 0);
    return [name, String(entry?.pool_size ?? ''), '', entry?.pooler_mode ?? null, 0, servers, 0, clients];
  });
  return { kind: 'rows', tag: 'SHOW', columns: userColumns, rows };
}

/** SHOW LISTS: how many there are of what. */
export async function showLists(host: AdminHost): Promise<AdminAnswer> {
  const threads = await host.threads({ connections: true });
  const pools = poolsTogether(threads);
  const clients = threads.flatMap((thread) => thread.clients);
  const servers = threads.flatMap((thread) => thread.servers);
  const used = servers.filter(({ state }) => state === 'active').length;
  const counts: readonly (readonly [string, number])[] = [
    ['databases', host.config.databases.length],
    ['users', new Set(host.config.users.map(({ name }) => name)).size],
    ['peers', 0],
    ['pools', pools.length],
    ['peer_pools', 0],
    ['free_clients', 0],
    ['used_clients', clients.length],
    ['login_clients', 0],
    ['free_servers', servers.length - used],
    ['used_servers', used],
    ['dns_names', 0],
    ['dns_zones', 0],
    ['dns_queries', 0],
    ['dns_pending', 0],
  ];
  return {
    kind: 'rows',
    tag: 'SHOW',
    columns: [
      { name: 'list', type: 'text' },
      { name: 'items', type: 'int4' },
    ],
    rows: counts,
  };
}
