import type * as z from 'zod';
import { nearestName } from './nearest-name.ts';
import type { ProblemList } from './problem-list.ts';
import { found } from './problem.ts';

/** One table of a file after its schema has looked at it. */
export interface Section<Schema extends z.ZodObject> {
  /** Its dotted key: `general`, `databases[app]`. */
  readonly key: string;
  /** The names of all keys that were given, right or wrong. */
  readonly present: ReadonlySet<string>;
  /** The keys that were given and are well-formed, so that what is between keys can be checked whatever else is wrong. */
  readonly given: Partial<z.input<Schema>>;
  /** With defaults, and every key present; undefined if anything is wrong. */
  readonly value: Required<z.output<Schema>> | undefined;
}

/** Checks one table; `elsewhere` knows the sections that another key belongs to. */
export function checkSection<Schema extends z.ZodObject>(
  schema: Schema,
  key: string,
  table: unknown,
  problems: ProblemList,
  elsewhere: (name: string) => readonly string[],
): Section<Schema> {
  if (!isTable(table)) {
    problems.add({ key, found: found(key, table), accepted: 'a table of keys' });
    return { key, present: new Set(), given: {}, value: undefined };
  }
  const present = new Set(Object.keys(table));
  const result = schema.safeParse(table);
  if (result.success) {
    return { key, present, given: { ...table } as Partial<z.input<Schema>>, value: everyKey(schema, result.data) };
  }
  const wrong = new Set<string>();
  for (const issue of result.error.issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const name of issue.keys) {
        wrong.add(name);
        problems.add({ key: `${key}.${name}`, ...unknownKey(name, Object.keys(schema.shape), elsewhere(name)) });
      }
    } else {
      wrong.add(String(issue.path[0]));
      problems.add(wrongValue(key, table, issue));
    }
  }
  const given = Object.fromEntries(Object.entries(table).filter(([name]) => !wrong.has(name)));
  return { key, present, given: given as Partial<z.input<Schema>>, value: undefined };
}

/** The words for a key that the schema does not know. */
export function unknownKey(name: string, known: readonly string[], elsewhere: readonly string[]) {
  const nearest = `${nearestName(name, known)} (the nearest known key)`;
  const accepted = elsewhere.length === 0 ? nearest : `${nearest}; ${name} belongs to ${elsewhere.join(' and ')}`;
  return { found: 'an unknown key', accepted };
}

/** Whether a TOML value is a table. */
export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function wrongValue(key: string, table: Record<string, unknown>, issue: z.core.$ZodIssue) {
  let value: unknown = table;
  let where = key;
  for (const step of issue.path) {
    value = typeof value === 'object' && value !== null ? Reflect.get(value, step) : undefined;
    where += typeof step === 'number' ? `[#${step + 1}]` : `.${String(step)}`;
  }
  // A table's key that is not accepted: what was found is its name, not its value.
  if (issue.code === 'invalid_key') {
    const name = String(issue.path.at(-1));
    return { key: where, found: found('', name), accepted: issue.issues[0]?.message ?? issue.message };
  }
  return { key: where, found: found(String(issue.path[0]), value), accepted: issue.message };
}

/** zod leaves out optional keys that were not given; readers of the configuration find all of them. */
function everyKey<Schema extends z.ZodObject>(schema: Schema, value: z.output<Schema>): Required<z.output<Schema>> {
  const entries = Object.keys(schema.shape).map((key) => [key, Reflect.get(value, key)]);
  return Object.fromEntries(entries) as Required<z.output<Schema>>;
}
