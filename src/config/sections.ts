import type * as z from 'zod';
import { adminSchema } from './admin-schema.ts';
import { checkSection, isTable, unknownKey, type Section } from './check-section.ts';
import { databaseSchema } from './database-schema.ts';
import { entryLabels } from './entry-labels.ts';
import { resolveReferences, type ReferenceProblem } from './environment-references.ts';
import { generalSchema } from './general-schema.ts';
import { mirroringSchema } from './mirroring-schema.ts';
import type { ProblemList } from './problem-list.ts';
import { found } from './problem.ts';
import { userSchema } from './user-schema.ts';

/** Every section of both files, as far as each one's schema could make sense of it. */
export interface Sections {
  readonly general: Section<typeof generalSchema>;
  readonly admin: Section<typeof adminSchema>;
  readonly databases: readonly Section<typeof databaseSchema>[];
  readonly mirroring: readonly Section<typeof mirroringSchema>[];
}

/** The sections of users.toml. */
export interface UserSections {
  readonly users: readonly Section<typeof userSchema>[];
}

type Tables = Record<string, unknown>;

const homes: readonly { readonly home: string; readonly schema: z.ZodObject }[] = [
  { home: '[general]', schema: generalSchema },
  { home: '[admin]', schema: adminSchema },
  { home: '[[databases]]', schema: databaseSchema },
  { home: '[[mirroring]]', schema: mirroringSchema },
  { home: '[[users]] of users.toml', schema: userSchema },
];

/** Checks the tables of pgmirror.toml, each by itself. */
export function readSections(file: Tables, environment: NodeJS.ProcessEnv, problems: ProblemList): Sections {
  const tables = resolveFile(file, environment, problems, ['general', 'admin', 'databases', 'mirroring']);
  const general = checkSection(generalSchema, 'general', tables['general'] ?? {}, problems, homesOf('[general]'));
  const admin = checkSection(adminSchema, 'admin', tables['admin'] ?? {}, problems, homesOf('[admin]'));
  if (tables['databases'] === undefined) {
    problems.add({ key: 'databases', found: 'nothing', accepted: 'at least one [[databases]] table' });
  }
  return {
    general,
    admin,
    databases: entries('databases', databaseSchema, tables, problems),
    mirroring: entries('mirroring', mirroringSchema, tables, problems),
  };
}

/** Checks the tables of users.toml, each by itself. */
export function readUserSections(file: Tables, environment: NodeJS.ProcessEnv, problems: ProblemList): UserSections {
  const tables = resolveFile(file, environment, problems, ['users']);
  return { users: entries('users', userSchema, tables, problems) };
}

function resolveFile(file: Tables, environment: NodeJS.ProcessEnv, problems: ProblemList, known: readonly string[]) {
  const references: ReferenceProblem[] = [];
  const tables = resolveReferences(file, environment, references) as Tables;
  for (const { path, ...problem } of references) problems.add({ key: keyOf(path, tables), ...problem });
  for (const name of Object.keys(tables).filter((key) => !known.includes(key))) {
    const elsewhere = name === 'users' ? ['users.toml'] : topHomes(name, tables[name]);
    problems.add({ key: name, ...unknownKey(name, known, elsewhere) });
  }
  return tables;
}

function entries<Schema extends z.ZodObject>(
  list: 'databases' | 'mirroring' | 'users',
  schema: Schema,
  tables: Tables,
  problems: ProblemList,
): Section<Schema>[] {
  const value = tables[list] ?? [];
  if (!Array.isArray(value)) {
    problems.add({ key: list, found: found(list, value), accepted: `one or more [[${list}]] tables` });
    return [];
  }
  const labels = entryLabels(list, value);
  const home = list === 'users' ? '[[users]] of users.toml' : `[[${list}]]`;
  return value.map((entry, index) => checkSection(schema, labels[index] ?? list, entry, problems, homesOf(home)));
}

/** The dotted key at a path of the file, list entries named as they are everywhere. */
function keyOf(path: readonly (string | number)[], tables: Tables): string {
  const [list, index] = path;
  const items = typeof list === 'string' ? tables[list] : undefined;
  const isEntry = (list === 'databases' || list === 'mirroring' || list === 'users') && typeof index === 'number';
  const label = isEntry && Array.isArray(items) ? entryLabels(list, items)[index] : undefined;
  const rest = label === undefined ? path.slice(1) : path.slice(2);
  return rest.reduce<string>(
    (key, step) => (typeof step === 'number' ? `${key}[#${step + 1}]` : `${key}.${step}`),
    label ?? String(list),
  );
}

/** Which sections besides `own` know a key of this name. */
function homesOf(own: string): (name: string) => readonly string[] {
  return (name) =>
    homes.filter(({ home, schema }) => home !== own && Object.hasOwn(schema.shape, name)).map(({ home }) => home);
}

/** The sections of a key that stands before the first table; a misspelt table is no key. */
function topHomes(name: string, value: unknown): readonly string[] {
  return isTable(value) || Array.isArray(value) ? [] : homesOf('')(name);
}
