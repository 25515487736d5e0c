import { loadModule, parseSync } from 'libpg-query';
import { BoundedCache } from '../../util/bounded-cache.ts';
import { WRITING_FUNCTIONS } from './writing-functions.ts';

/** What the statements of a text do, as bits: a transaction's are the union of its texts'. */
export const Effect = {
  None: 0,
  Read: 1,
  /** Changes rows, locks them, or could: whatever is not known to only read. */
  Write: 2,
  Ddl: 4,
} as const;

/** A longer text is a write: parsing it would hold up every lane. */
const MAX_PARSED = 65_536;
const cache = new BoundedCache<number>({ entries: 5_000, characters: 4_194_304 });

// Compiled once, before anything can be judged.
await loadModule();

/**
 * The effects of a text's statements together, as PostgreSQL's own parser understands it. The text's characters are its
 * bytes (latin1). What cannot be parsed counts as a write, and so does what might mean something else than the parser
 * takes it for.
 */
export function effectsOf(text: string, standardConformingStrings = true): number {
  if (text.length > MAX_PARSED) return Effect.Write;
  // With standard_conforming_strings off a backslash escapes a quote; the parser would see another end of the string.
  if (!standardConformingStrings && text.includes('\\')) return Effect.Write;
  let effects = cache.get(text);
  if (effects === undefined) {
    effects = parsedEffects(Buffer.from(text, 'latin1').toString('utf8'));
    cache.set(text, effects);
  }
  return effects;
}

function parsedEffects(text: string): number {
  if (text.trim() === '') return Effect.None;
  try {
    let effects: number = Effect.None;
    for (const { stmt } of parseSync(text).stmts ?? []) effects |= effectOf(stmt);
    return effects;
  } catch {
    // No SQL, or nested too deeply.
    return Effect.Write;
  }
}

type Fields = Readonly<Record<string, unknown>>;

/** What neither reads nor writes rows: it suits every level. */
const SESSION: ReadonlySet<string> = new Set([
  'ClosePortalStmt',
  'ConstraintsSetStmt',
  'DeallocateStmt',
  'DiscardStmt',
  'VariableShowStmt',
]);
const DDL =
  /^(?:Alter|Create|Drop|(?:Comment|CompositeType|Define|Grant|GrantRole|ImportForeignSchema|Index|ReassignOwned|RefreshMatView|Rename|Rule|SecLabel|View)Stmt$)/;
const BEGINS_OR_ENDS: ReadonlySet<unknown> = new Set([
  'TRANS_STMT_BEGIN',
  'TRANS_STMT_START',
  'TRANS_STMT_COMMIT',
  'TRANS_STMT_ROLLBACK',
  'TRANS_STMT_SAVEPOINT',
  'TRANS_STMT_RELEASE',
  'TRANS_STMT_ROLLBACK_TO',
]);

/** Of one statement: a node as libpg-query writes them, `{ SelectStmt: { … } }` (PostgreSQL's parsenodes.h). */
function effectOf(node: unknown): number {
  const [name, fields] = opened(node);
  if (SESSION.has(name)) return Effect.None;
  if (DDL.test(name)) return Effect.Ddl;
  switch (name) {
    case 'TransactionStmt':
      return BEGINS_OR_ENDS.has(fields.kind) && !asksForWriting(fields.options) ? Effect.None : Effect.Write;
    case 'VariableSetStmt':
      return setsWriting(fields) ? Effect.Write : Effect.None;
    case 'SelectStmt':
      return fields.intoClause === undefined ? readOrWrite(fields) : Effect.Ddl;
    case 'DeclareCursorStmt':
    case 'FetchStmt':
      return readOrWrite(fields);
    case 'PrepareStmt':
      return effectOf(fields.query);
    case 'ExplainStmt':
      return analyzes(fields.options) ? effectOf(fields.query) : Effect.Read;
    case 'CopyStmt':
      return fields.is_from === true ? Effect.Write : readOrWrite(fields);
    default:
      return Effect.Write;
  }
}

/** `BEGIN READ WRITE`, `SET TRANSACTION READ WRITE`. */
function asksForWriting(options: unknown): boolean {
  return list(options).some((option) => opened(option)[1].defname === 'transaction_read_only' && !isOn(option));
}

function isOn(option: unknown): boolean {
  return JSON.stringify(opened(option)[1].arg ?? null).includes('"ival":{"ival":1}');
}

/** Also `SET transaction_read_only = off` and kin, whatever they set it to: it could be anything. */
function setsWriting({ kind, name, args }: Fields): boolean {
  if (kind === 'VAR_RESET' || kind === 'VAR_RESET_ALL') return false;
  return isReadOnlySetting(name) || asksForWriting(args);
}

function isReadOnlySetting(name: unknown): boolean {
  return typeof name === 'string' && /^(?:default_)?transaction_read_only$/i.test(name);
}

/** EXPLAIN runs what it explains where it is to ANALYZE it. */
function analyzes(options: unknown): boolean {
  return list(options).some((option) => {
    const { defname, arg } = opened(option)[1];
    if (defname !== 'analyze') return false;
    return !/"sval":"(?:false|off)"|\{"Integer":\{\}\}|"boolval":\{\}/i.test(JSON.stringify(arg ?? null));
  });
}

/** A read that is none: FOR UPDATE, a modifying WITH, a function that writes. */
function readOrWrite(fields: Fields): number {
  return writesWithin(fields) ? Effect.Write : Effect.Read;
}

const WRITES: ReadonlySet<string> = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt', 'LockingClause']);

function writesWithin(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(writesWithin);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(
    ([name, inner]) => WRITES.has(name) || (name === 'FuncCall' && callWrites(inner as Fields)) || writesWithin(inner),
  );
}

function callWrites({ funcname, args }: Fields): boolean {
  const name = stringOf(list(funcname).at(-1));
  if (WRITING_FUNCTIONS.has(name)) return true;
  if (name !== 'set_config') return false;
  // A name that is only known when it runs could be that of any setting.
  const setting = opened(list(args)[0])[1].sval as Fields | undefined;
  return typeof setting?.sval !== 'string' || isReadOnlySetting(setting.sval);
}

function stringOf(node: unknown): string {
  const { sval } = opened(node)[1];
  return typeof sval === 'string' ? sval : '';
}

function opened(node: unknown): readonly [name: string, fields: Fields] {
  if (typeof node !== 'object' || node === null) return ['', {}];
  const [name = '', fields] = Object.entries(node)[0] ?? [];
  return [name, typeof fields === 'object' && fields !== null ? (fields as Fields) : {}];
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
