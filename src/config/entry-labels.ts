import { quoted } from './inspect-value.ts';

/** Names that need no quotes within a dotted key. */
const PLAIN = /^[\p{L}\p{N}_.@-]{1,60}$/u;

/** How one entry of a list is named in dotted keys: `databases[app]`, `mirroring[app -> app_new]`. */
export function databaseLabel(name: string): string {
  return `databases[${plain(name)}]`;
}

/** See databaseLabel. */
export function mirroringLabel(source: string, destination: string): string {
  return `mirroring[${plain(source)} -> ${plain(destination)}]`;
}

/** Labels of all entries of a list, by position; one without a name, or with an earlier one's, is `users[#2]`. */
export function entryLabels(list: 'databases' | 'mirroring' | 'users', entries: readonly unknown[]): string[] {
  const labels: string[] = [];
  for (const [index, entry] of entries.entries()) {
    const label = ownLabel(list, entry);
    labels.push(label === undefined || labels.includes(label) ? `${list}[#${index + 1}]` : label);
  }
  return labels;
}

function ownLabel(list: 'databases' | 'mirroring' | 'users', entry: unknown): string | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  const table = entry as Readonly<Record<string, unknown>>;
  if (list === 'mirroring') {
    const { source_db: source, destination_db: destination } = table;
    return typeof source === 'string' && typeof destination === 'string'
      ? mirroringLabel(source, destination)
      : undefined;
  }
  const { name } = table;
  return typeof name === 'string' && name !== '' ? `${list}[${plain(name)}]` : undefined;
}

function plain(name: string): string {
  return PLAIN.test(name) ? name : quoted(name);
}
