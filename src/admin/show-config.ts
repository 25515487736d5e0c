import { generalSchema } from '../config/general-schema.ts';
import { isReloadable } from '../config/differences.ts';
import type { AdminAnswer } from './admin-answer.ts';
import type { AdminHost } from './admin-host.ts';

/** PgBouncer's names of keys that mean the same here. */
const PGBOUNCER_KEYS = {
  max_client_conn: 'max_client_connections',
  pool_mode: 'pooler_mode',
} as const;

/** The key of `[general]` that such a name stands for, or the name itself. */
export function keyOfPgBouncer(name: string): string {
  return Object.hasOwn(PGBOUNCER_KEYS, name) ? PGBOUNCER_KEYS[name as keyof typeof PGBOUNCER_KEYS] : name;
}

/** What tools made for PgBouncer look for under its own names. */
function pgBouncerNames({ config: { general } }: AdminHost): (string | null)[][] {
  const names: readonly (readonly [string, string | number, keyof typeof general | undefined])[] = [
    ['max_client_conn', general.max_client_connections, PGBOUNCER_KEYS.max_client_conn],
    ['max_user_connections', 0, undefined],
    ['pool_mode', general.pooler_mode, PGBOUNCER_KEYS.pool_mode],
    ['reserve_pool_size', 0, undefined],
    ['listen_addr', general.host, 'host'],
    ['listen_port', general.port, 'port'],
    ['max_prepared_statements', general.prepared_statements ? general.prepared_statements_limit : 0, undefined],
  ];
  const defaults = generalSchema.parse({});
  return names.map(([name, value, key]) => [
    name,
    String(value),
    key === undefined ? null : shown(defaults, key),
    key !== undefined && isReloadable(key) ? 'yes' : 'no',
  ]);
}

/** SHOW CONFIG: `[general]`, key by key, and some of it once more as PgBouncer calls it; there are no secrets in it. */
export function showConfig(host: AdminHost): AdminAnswer {
  const defaults = generalSchema.parse({});
  const rows = Object.keys(generalSchema.shape).map((key) => [
    key,
    shown(host.config.general, key),
    shown(defaults, key),
    isReloadable(key) ? 'yes' : 'no',
  ]);
  rows.push(...pgBouncerNames(host));
  return {
    kind: 'rows',
    tag: 'SHOW',
    columns: [
      { name: 'key', type: 'text' },
      { name: 'value', type: 'text' },
      { name: 'default', type: 'text' },
      { name: 'changeable', type: 'text' },
    ],
    rows,
  };
}

function shown(section: object, key: string): string | null {
  const value: unknown = (section as Record<string, unknown>)[key];
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : null;
}

/** SHOW VERSION. */
export function showVersion(host: AdminHost): AdminAnswer {
  return {
    kind: 'rows',
    tag: 'SHOW',
    columns: [{ name: 'version', type: 'text' }],
    rows: [[`pgmirror ${host.version}`]],
  };
}
