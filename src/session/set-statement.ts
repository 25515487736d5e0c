/** What a SET statement does, as far as its text tells for certain. */
export type SetStatement =
  /** Holds for the transaction alone. */
  | { readonly kind: 'local' }
  | { readonly kind: 'set'; readonly name: string; readonly value: string }
  /** The session itself must be asked. `names`: parameters that it names. */
  | { readonly kind: 'unclear'; readonly names: readonly string[] };

const ONE_SET =
  /^\s*set\s+(session\s+|local\s+)?("?)([a-z_][\w$]*(?:\.[a-z_][\w$]*)?)\2\s*(?:=|\s+to\s)\s*(?:'((?:[^'\\]|'')*)'|([-+]?[\w.]+))\s*;?\s*$/i;
const TRANSACTION = /^\s*set\s+(?:(?:local|transaction|constraints)\b)[^;]*;?\s*$/i;
const NAMES =
  /\b(?:set|reset)\s+(?:session\s+|local\s+)?"?([a-z_][\w$]*(?:\.[a-z_][\w$]*)+)"?|set_config\s*\(\s*'([^']+)'/gi;

/** A quoted value is one element of these, and not the list that set_config() would make of it. */
const LISTS = new Set(['search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries']);
/** Words that stand where a parameter's name would, and are none. */
const NOT_PARAMETERS = new Set(['role', 'session', 'time', 'names', 'seed', 'xml', 'catalog', 'schema', 'transaction']);

/** Reads the text of a statement whose command tag was SET. */
export function parseSet(text: string): SetStatement {
  const match = ONE_SET.exec(text);
  const scope = match?.[1]?.trim().toLowerCase();
  if (scope === 'local' || TRANSACTION.test(text)) return { kind: 'local' };
  const name = match?.[3]?.toLowerCase();
  const quoted = match?.[4];
  const bare = match?.[5];
  const isDefault = bare !== undefined && /^default$/i.test(bare);
  if (name === undefined || isDefault || LISTS.has(name) || NOT_PARAMETERS.has(name)) {
    return { kind: 'unclear', names: namedParameters(text) };
  }
  const value = quoted === undefined ? (bare ?? '').toLowerCase() : quoted.replaceAll("''", "'");
  return { kind: 'set', name, value };
}

/** Parameters with a dotted name that a text sets: no list that the server keeps tells of these. */
export function namedParameters(text: string): string[] {
  return [...text.matchAll(NAMES)].map((match) => (match[1] ?? match[2] ?? '').toLowerCase());
}
