import { parseSync } from 'libpg-query';
import { splitStatements } from '../../session/statement-text.ts';
import type { QueryIdentity } from '../report/query-identifier.ts';
import { definedIn } from './defined-names.ts';
import type { DefinedNames } from './defined-names.ts';
import { StatementWalk } from './statement-walk.ts';

/** A value that a statement stores: into which column, and what it is made of. */
export interface StoredValue {
  readonly relation: string;
  /** `#3`: the third one; `*` where it is not known which. */
  readonly column: string;
  /** A column that it is taken from; `*`: any. */
  readonly from?: string;
  /** A function that it is made by. */
  readonly by?: string;
}

/** What of a statement matters for whether its answers can be compared. Relations and columns go by their bare names. */
export interface StatementFacts {
  /** The relations that it names. */
  readonly relations: ReadonlySet<string>;
  /** Those of them that it changes. */
  readonly written: ReadonlySet<string>;
  /** Functions that it calls and that are not known to touch nothing. */
  readonly functions: ReadonlySet<string>;
  /** It may touch anything. */
  readonly isUnknown: boolean;
  /** It changes rows by itself, whatever the functions do that it calls. */
  readonly writes: boolean;
  /** It changes them by INSERT alone, without ON CONFLICT: in whatever order, the same rows come of it. */
  readonly insertsOnly: boolean;
  /** It changes definitions, or may. */
  readonly defines: boolean;
  /** What it creates, alters or drops for all sessions to see. */
  readonly names: DefinedNames | undefined;
  /** It asks for what each server makes for itself: the time, random numbers, its own ids. */
  readonly isVolatile: boolean;
  /** Which rows it meets depends on such a value. */
  readonly selectsByVolatile: boolean;
  /** What it is answered depends on what others have locked at the moment. */
  readonly dependsOnLocks: boolean;
  /** Which rows it answers, or what they hold, depends on the order in which it happens to meet them. */
  readonly dependsOnOrder: boolean;
  /** It adds numbers up, or the like: of floats, the last digit depends on the order. */
  readonly accumulates: boolean;
  /** Columns on whose values it depends which rows it meets; `*`: perhaps any. */
  readonly selectsBy: ReadonlySet<string>;
  /** Values that it stores and that are no constants. */
  readonly stores: readonly StoredValue[];
  /** It reads what an earlier statement of its transaction saw: FETCH. */
  readonly readsEarlier: boolean;
  /** From here on the transaction sees one snapshot. */
  readonly fixesSnapshot: boolean;
}

const NOTHING: StatementFacts = {
  relations: new Set(),
  written: new Set(),
  functions: new Set(),
  isUnknown: false,
  writes: false,
  insertsOnly: false,
  defines: false,
  names: undefined,
  isVolatile: false,
  selectsByVolatile: false,
  dependsOnLocks: false,
  dependsOnOrder: false,
  accumulates: false,
  selectsBy: new Set(),
  stores: [],
  readsEarlier: false,
  fixesSnapshot: false,
};
const UNKNOWN: StatementFacts = {
  ...NOTHING,
  isUnknown: true,
  writes: true,
  defines: true,
  selectsBy: new Set(['*']),
};

const facts = new WeakMap<QueryIdentity, StatementFacts>();

/** Found out once for each kind of query. */
export function factsOf(query: QueryIdentity): StatementFacts {
  let known = facts.get(query);
  if (known === undefined) {
    known = query.isParsed ? lookAt(query.text) : { ...UNKNOWN, names: definedIn(query.text) };
    facts.set(query, known);
  }
  return known;
}

function lookAt(text: string): StatementFacts {
  const names = definedIn(text);
  const tree = parsed(text) ?? (names && parsed(text.replaceAll(/\$\d+/g, '1')));
  if (tree === undefined) return byFirstWord(text, names);
  const walk = new StatementWalk();
  walk.visit(tree);
  return walk.facts({ fixesSnapshot: /\b(?:serializable|repeatable\s+read)\b/i.test(text), names });
}

/** Normalized text is not always SQL: `FETCH $1`, `interval $1`, `varchar($1)`. */
function parsed(text: string): unknown {
  try {
    return parseSync(text);
  } catch {
    return undefined;
  }
}

/** What can be told of a text that cannot be parsed. */
function byFirstWord(text: string, names: DefinedNames | undefined): StatementFacts {
  const [statement, more] = splitStatements(text);
  const word = more === undefined ? statement?.words[0] : undefined;
  if (word === 'fetch' || word === 'move') return { ...UNKNOWN, writes: false, defines: false, readsEarlier: true };
  if (word === 'set' || word === 'begin' || word === 'start') {
    return { ...NOTHING, fixesSnapshot: /\bisolation\b/i.test(text) };
  }
  return { ...UNKNOWN, names };
}
