import type { AdminConfig } from './admin-schema.ts';
import type { Config } from './config.ts';
import type { DatabaseConfig } from './database-schema.ts';
import type { GeneralConfig } from './general-schema.ts';
import type { MirroringConfig } from './mirroring-schema.ts';
import { entryLabels } from './entry-labels.ts';
import type { UserConfig } from './user-schema.ts';

type Key = keyof GeneralConfig | keyof AdminConfig | keyof DatabaseConfig | keyof MirroringConfig | keyof UserConfig;

/** The value with which a key asks for nothing that is missing; `none`: whatever it is set to has no effect. */
const none = Symbol('none');

/**
 * Keys that are checked but change nothing in this version, by section. A key leaves the table with the work that gives
 * it effect.
 */
const table: { readonly [Name in 'general' | 'databases' | 'mirroring' | 'users']: { readonly [K in Key]?: unknown } } =
  {
    general: {},
    databases: {},
    mirroring: {
      control: none,
    },
    users: {},
  };

/** Dotted keys that the files set and that change nothing in this version. */
export function withoutEffectYet(config: Config): string[] {
  const given = new Set(config.given);
  const sections = [
    ['general', 'general', config.general] as const,
    ...labelled('databases', config.databases),
    ...labelled('mirroring', config.mirroring),
    ...labelled('users', config.users),
  ];
  return sections.flatMap(([name, label, section]) =>
    Object.entries(table[name])
      .filter(([key, harmless]) => given.has(`${label}.${key}`) && Reflect.get(section, key) !== harmless)
      .map(([key]) => `${label}.${key}`),
  );
}

function labelled<Name extends 'databases' | 'mirroring' | 'users', Entry extends object>(
  name: Name,
  entries: readonly Entry[],
) {
  const labels = entryLabels(name, entries);
  return entries.map((entry, index) => [name, labels[index] ?? name, entry] as const);
}
