import type { Config } from './config.ts';

/** Keys of [general] that are read at the start alone: what listens, and how many threads there are. */
const atStart = ['host', 'port', 'unix_socket_dir', 'workers', 'reuse_port', 'http_host', 'http_port'] as const;
const atStartAdmin = ['name', 'user', 'password'] as const;

/** What a reload from `before` to `after` leaves as it was, as dotted keys: it takes effect at the next start. */
export function differences(before: Config, after: Config): { needsRestart: string[] } {
  const general = atStart.filter((key) => before.general[key] !== after.general[key]);
  const admin = atStartAdmin.filter((key) => before.admin[key] !== after.admin[key]);
  if (before.admin.hashes?.scram !== after.admin.hashes?.scram) admin.push('password');
  return { needsRestart: [...general.map((key) => `general.${key}`), ...admin.map((key) => `admin.${key}`)] };
}

/** The new configuration with the keys that take effect at a start as they were at this one. */
export function keepingWhatNeedsRestart(before: Config, after: Config): Config {
  const kept = Object.fromEntries(atStart.map((key) => [key, before.general[key]]));
  return { ...after, general: { ...after.general, ...kept }, admin: before.admin };
}

/** Whether a change of the key of [general] takes effect without a restart. */
export function isReloadable(key: string): boolean {
  return !(atStart as readonly string[]).includes(key);
}
