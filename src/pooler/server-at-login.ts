import type { ParameterSet } from '../session/parameter-set.ts';
import type { CancelKey } from '../protocol/cancel-key.ts';
import type { Clients } from './clients.ts';
import type { NamedPool } from './pools.ts';
import type { Server } from './session-link.ts';

/**
 * The server connection of a client that logs in in session mode; `undefined` where it would have to wait for other
 * clients to go: it gets one when it asks something.
 */
export function serverAtLogin(named: NamedPool, settings: ParameterSet): Promise<Server | undefined> | undefined {
  const { pool } = named;
  if (pool.paused || (pool.idleCount === 0 && !hasRoom(named))) return undefined;
  return new Promise((resolve) => {
    const waiter = { granted: resolve, refused: () => resolve(undefined) };
    const server = pool.checkout(waiter, settings.key);
    if (server !== undefined) resolve(server);
  });
}

function hasRoom({ pool, budgets }: NamedPool): boolean {
  const { size, databaseSize } = pool.options;
  return budgets.pool.open < size && (databaseSize === 0 || budgets.database.open < databaseSize);
}

/**
 * What a client is told to cancel with. One that keeps a server connection from its login on is told that connection's
 * process id, by which SQL knows it (pg_stat_activity, pg_blocking_pids), unless a client of another server has the same.
 */
export function keyWithServer(key: CancelKey, server: Server | undefined, clients: Clients): CancelKey {
  const processId = server?.processId ?? 0;
  return processId === 0 || clients.has(processId) ? key : { ...key, processId };
}
