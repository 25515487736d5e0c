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

const SPOKEN = /\b(?:re)?set\s+(?:session\s+)?(?:(time\s+zone|names|schema|characteristics)\b|"?([a-z_][\w$]*)"?)/gi;
/** Parameters that have a statement of their own; of those that `characteristics` means, one is reported. */
const SPELT: ReadonlyMap<string, string> = new Map([
  ['time', 'timezone'],
  ['names', 'client_encoding'],
  ['schema', 'search_path'],
  ['characteristics', 'default_transaction_read_only'],
]);

/** Parameters that a text with SET or RESET statements sets or takes back, and words that might be such. */
export function spokenParameters(text: string): string[] {
  return [...text.matchAll(SPOKEN)].map(([, spelt, name]) => {
    const word = (spelt ?? name ?? '').toLowerCase();
    return spelt === undefined ? word : (SPELT.get(word.split(/\s/)[0] ?? '') ?? word);
  });
}

const CALLS = /\bset_config\s*\(\s*'([^']+)'\s*,([^()]*,\s*(?:true|'t(?:rue)?')\s*\))?/gi;

/** Parameters that a text sets for the session by set_config(), as far as it names them. */
export function configuredParameters(text: string): string[] {
  return [...text.matchAll(CALLS)].flatMap(([, name, local]) =>
    local === undefined ? [name?.toLowerCase() ?? ''] : [],
  );
}

/** Parameters with a dotted name that a text sets: no list that the server keeps tells of these. */
export function namedParameters(text: string): string[] {
  return [...text.matchAll(NAMES)].map((match) => (match[1] ?? match[2] ?? '').toLowerCase());
}
