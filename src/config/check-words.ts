import { quoted } from './inspect-value.ts';
import type { ProblemList } from './problem-list.ts';
import type { Sections } from './sections.ts';

/** A list longer than this is cut in a message. */
const MAX_LISTED = 10;

/** The names of [[databases]], whatever else is wrong with them. */
export function databaseNames(sections: Sections): string[] {
  return [...new Set(sections.databases.map(({ given }) => given.name).filter((name) => name !== undefined))];
}

/** The names of all databases, in words for "accepted: ". */
export function oneOfDatabases(names: readonly string[]): string {
  if (names.length === 0) return 'the name of one of [[databases]], of which there are none';
  const listed = names.slice(0, MAX_LISTED).map(quoted).join(', ');
  return `the name of one of [[databases]]: ${listed}${names.length > MAX_LISTED ? ', …' : ''}`;
}

/** A pool that is kept at `least` connections must have room for them; `name` is the key that `size` comes from. */
export function checkPool(
  key: string,
  least: number | undefined,
  size: number | undefined,
  name: string,
  problems: ProblemList,
): void {
  if (least === undefined || size === undefined || least <= size) return;
  problems.add({ key: `${key}.min_pool_size`, found: `${least}`, accepted: `no more than ${name}, which is ${size}` });
}
