import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.ts';

/** Files, pipes and sockets of the process's own, and then some. */
const OWN = 100;

/**
 * How many files and sockets this process may have open (`RLIMIT_NOFILE` of getrlimit(2)), which Node.js has raised as far as
 * it may. `undefined`: without a limit, or not told.
 */
export function openFilesLimit(read = (): string => readFileSync('/proc/self/limits', 'latin1')): number | undefined {
  try {
    const [, limit] = /^Max open files +(\d+)/m.exec(read()) ?? [];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}

/**
 * How many it has open where all limits of the configuration are reached: clients, those who log in, those who are turned
 * away, and server connections, of which no more are busy than there are clients.
 */
export function openFilesNeeded({ general, databases, users }: Config): number {
  const { max_client_connections: clients, max_login_connections: logins, workers } = general;
  const sizes = databases.map(({ pool_size: size = general.default_pool_size }) => size * Math.max(users.length, 1));
  const servers = sizes.reduce((sum, size) => sum + size, 0);
  return clients + logins * (1 + workers) + Math.min(servers, clients) + OWN;
}
