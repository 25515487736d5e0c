import { parseSync } from 'libpg-query';
import { splitStatements } from '../../session/statement-text.ts';
import type { QueryIdentity } from '../report/query-identifier.ts';
import { KNOWN_FUNCTIONS, ORDERED_FUNCTIONS, VOLATILE_FUNCTIONS } from './known-functions.ts';

/** What of a statement matters for whether its answers can be compared. */
export interface StatementFacts {
  /** Names of the relations that it names, without schemas. */
  readonly relations: ReadonlySet<string>;
  /** Functions that it calls and that are not known to touch nothing. */
  readonly functions: ReadonlySet<string>;
  /** It may touch anything. */
  readonly isUnknown: boolean;
  /** It changes rows by itself, whatever the functions do that it calls. */
  readonly writes: boolean;
  /** It changes them by INSERT alone, without ON CONFLICT: in whatever order, the same rows come of it. */
  readonly insertsOnly: boolean;
  /** It asks for what each server makes for itself: the time, random numbers, its own ids. */
  readonly isVolatile: boolean;
  /** What it is answered depends on what others have locked at the moment. */
  readonly dependsOnLocks: boolean;
  /** Which rows it answers, or what they hold, depends on the order in which it happens to meet them. */
  readonly dependsOnOrder: boolean;
  /** It reads what an earlier statement of its transaction saw: FETCH. */
  readonly readsEarlier: boolean;
  /** From here on the transaction sees one snapshot. */
  readonly fixesSnapshot: boolean;
}

const UNKNOWN: StatementFacts = {
  relations: new Set(),
  functions: new Set(),
  isUnknown: true,
  writes: true,
  insertsOnly: false,
  isVolatile: false,
  dependsOnLocks: false,
  dependsOnOrder: false,
  readsEarlier: false,
  fixesSnapshot: false,
};

const facts = new WeakMap<QueryIdentity, StatementFacts>();

/** Found out once for each kind of query. */
export function factsOf(query: QueryIdentity): StatementFacts {
  let known = facts.get(query);
  if (known === undefined) {
    known = query.isParsed ? lookAt(query.text) : UNKNOWN;
    facts.set(query, known);
  }
  return known;
}

function lookAt(text: string): StatementFacts {
  let tree: unknown;
  try {
    tree = parseSync(text);
  } catch {
    // Normalized text is not always SQL: `FETCH $1`, `interval $1`.
    return byFirstWord(text);
  }
  const walk = new Walk();
  walk.visit(tree);
  return walk.facts(/\b(?:serializable|repeatable\s+read)\b/i.test(text));
}

/** What can be told of a text that cannot be parsed. */
function byFirstWord(text: string): StatementFacts {
  const [statement, more] = splitStatements(text);
  const word = more === undefined ? statement?.words[0] : undefined;
  if (word === 'fetch' || word === 'move') return { ...UNKNOWN, writes: false, readsEarlier: true };
  if (word !== 'set' && word !== 'begin' && word !== 'start') return UNKNOWN;
  return { ...UNKNOWN, isUnknown: false, writes: false, fixesSnapshot: /\bisolation\b/i.test(text) };
}

const WRITES: ReadonlySet<string> = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt', 'TruncateStmt']);
/** Statements that touch no relation but those they name. */
const PLAIN: ReadonlySet<string> = new Set([
  ...WRITES,
  'SelectStmt',
  'CopyStmt',
  'TransactionStmt',
  'VariableSetStmt',
  'VariableShowStmt',
  'DeclareCursorStmt',
  'ClosePortalStmt',
  'LockStmt',
]);

/** Gathers what matters from a parse tree (nodes.h, as libpg-query writes it). */
class Walk {
  readonly #relations = new Set<string>();
  readonly #functions = new Set<string>();
  #unknown = false;
  #writes = false;
  #inserts = false;
  #otherWrites = false;
  #volatile = false;
  #locks = false;
  #order = false;
  #fetches = false;

  visit(node: unknown): void {
    if (Array.isArray(node)) {
      for (const one of node) this.visit(one);
    } else if (typeof node === 'object' && node !== null) {
      for (const [name, value] of Object.entries(node)) {
        this.#named(name, value);
        this.visit(value);
      }
    }
  }

  facts(fixesSnapshot: boolean): StatementFacts {
    return {
      relations: this.#relations,
      functions: this.#functions,
      isUnknown: this.#unknown,
      writes: this.#writes,
      insertsOnly: this.#inserts && !this.#otherWrites,
      isVolatile: this.#volatile,
      dependsOnLocks: this.#locks,
      dependsOnOrder: this.#order,
      readsEarlier: this.#fetches,
      fixesSnapshot,
    };
  }

  #named(name: string, value: unknown): void {
    if (name === 'relname' && typeof value === 'string') this.#relations.add(value);
    else if (name === 'FuncCall') this.#call(value);
    else if (name === 'SQLValueFunction') this.#volatile = true;
    else if (name === 'waitPolicy' && value !== 'LockWaitBlock') this.#locks = true;
    else if (name === 'limitCount' || name === 'limitOffset' || name === 'distinctClause') this.#order = true;
    else if (name === 'ExplainStmt') this.#volatile = true;
    else if (name.endsWith('Stmt') && name !== 'RawStmt') this.#statement(name, value);
  }

  #statement(name: string, value: unknown): void {
    if (name === 'FetchStmt') {
      this.#fetches = true;
      this.#unknown = true;
    } else if (!PLAIN.has(name) && /^[A-Z]/.test(name)) {
      this.#unknown = true;
      this.#writes = true;
      this.#otherWrites = true;
    }
    const into = name === 'SelectStmt' && has(value, 'intoClause');
    const copiesIn = name === 'CopyStmt' && Reflect.get(value as object, 'is_from') === true;
    if (!WRITES.has(name) && !into && !copiesIn) return;
    this.#writes = true;
    if (name === 'InsertStmt' && !has(value, 'onConflictClause')) this.#inserts = true;
    else this.#otherWrites = true;
  }

  #call(value: unknown): void {
    const names = JSON.stringify(Reflect.get(value as object, 'funcname') ?? '').match(/"sval":"([^"]+)"/g) ?? [];
    const name = (names.at(-1) ?? '').slice('"sval":"'.length, -1);
    if (VOLATILE_FUNCTIONS.has(name)) this.#volatile = true;
    if (ORDERED_FUNCTIONS.has(name) || has(value, 'over')) this.#order = true;
    if (name.startsWith('pg_try_advisory')) this.#locks = true;
    if (name === 'nextval' || name === 'setval') this.#writes = true;
    if (VOLATILE_FUNCTIONS.has(name) || KNOWN_FUNCTIONS.has(name)) return;
    this.#functions.add(name);
  }
}

function has(value: unknown, key: string): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key);
}
