import { generalSchema } from '../config/general-schema.ts';
import { isReloadable } from '../config/differences.ts';
import type { AdminAnswer } from './admin-answer.ts';
import type { AdminHost } from './admin-host.ts';

/** SHOW CONFIG: `[general]`, key by key; there are no secrets in it. */
export function showConfig(host: AdminHost): AdminAnswer {
  const defaults = generalSchema.parse({});
  const rows = Object.keys(generalSchema.shape).map((key) => [
    key,
    shown(host.config.general, key),
    shown(defaults, key),
    isReloadable(key) ? 'yes' : 'no',
  ]);
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
