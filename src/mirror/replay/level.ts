import { SqlScanner, Token } from '../../session/sql-scanner.ts';
import { splitStatements } from '../../session/statement-text.ts';
import type { StatementText } from '../../session/statement-text.ts';
import { Control, controlOf } from './transaction-control.ts';

/** Which transactions a mirror takes, judged over every statement of the transaction. */
export type Level = 'all' | 'read' | 'write' | 'dml' | 'ddl';

/** What the statements of a text do, as bits: a transaction's are the union of its texts'. */
export const Effect = {
  None: 0,
  Read: 1,
  /** Changes rows, locks them, or could: whatever is not known to only read. */
  Write: 2,
  Ddl: 4,
} as const;

/** Whether a transaction of these effects is one for this level. One that only begins and ends counts as a read. */
export function suitsLevel(level: Level, effects: number): boolean {
  switch (level) {
    case 'all':
      return true;
    case 'read':
      return (effects & (Effect.Write | Effect.Ddl)) === 0;
    case 'write':
      return (effects & (Effect.Write | Effect.Ddl)) !== 0;
    case 'dml':
      return (effects & Effect.Ddl) === 0;
    case 'ddl':
      return effects === Effect.Ddl;
  }
}

/** The effects of a text's statements together. */
export function effectsOf(text: string, standardConformingStrings = true): number {
  let effects: number = Effect.None;
  for (const statement of splitStatements(text, standardConformingStrings)) {
    effects |= effectOf(text, statement, standardConformingStrings);
  }
  return effects;
}

const DDL: ReadonlySet<string> = new Set([
  'alter',
  'comment',
  'create',
  'drop',
  'grant',
  'import',
  'reassign',
  'refresh',
  'revoke',
  'security',
]);
/** What neither reads nor writes rows: it suits every level. */
const SESSION: ReadonlySet<string> = new Set(['close', 'deallocate', 'discard', 'reset', 'show']);
const READS: ReadonlySet<string> = new Set([
  'declare',
  'explain',
  'fetch',
  'move',
  'select',
  'table',
  'values',
  'with',
]);

function effectOf(text: string, statement: StatementText, standardConformingStrings: boolean): number {
  const [first = '', second = ''] = statement.words;
  const control = controlOf(statement.words);
  if (control === Control.Begin || first === 'set') return asksForWriting(text, statement) ? Effect.Write : Effect.None;
  if (control === Control.Commit || control === Control.Rollback || control === Control.Savepoint) return Effect.None;
  if (SESSION.has(first)) return Effect.None;
  if (DDL.has(first)) return Effect.Ddl;
  if (first === 'select' && second === 'into') return Effect.Ddl;
  if (READS.has(first)) return writesWithin(text, statement, standardConformingStrings) ? Effect.Write : Effect.Read;
  if (first === 'copy') return copiesOut(text, statement, standardConformingStrings) ? Effect.Read : Effect.Write;
  return Effect.Write;
}

/** `BEGIN READ WRITE`, `SET TRANSACTION READ WRITE`, `SET transaction_read_only = off` and kin. */
function asksForWriting(text: string, statement: StatementText): boolean {
  const own = text.slice(statement.start, statement.end);
  return /read\s+write/i.test(own) || /transaction_read_only/i.test(own);
}

const WRITING_WORDS: ReadonlySet<string> = new Set([
  'insert',
  'update',
  'delete',
  'merge',
  'into',
  'nextval',
  'setval',
]);

/** A read that is none: SELECT INTO, FOR UPDATE, a modifying WITH, EXPLAIN ANALYZE of a write, a sequence moved on. */
function writesWithin(text: string, statement: StatementText, standardConformingStrings: boolean): boolean {
  const scanner = new SqlScanner(text, standardConformingStrings, statement.start, statement.end);
  let previous = '';
  for (let token = scanner.next(); token !== Token.End; token = scanner.next()) {
    const name = token === Token.Word ? scanner.name : '';
    if (WRITING_WORDS.has(name)) return true;
    if (previous === 'for' && (name === 'share' || name === 'no' || name === 'key')) return true;
    previous = name;
  }
  return false;
}

function copiesOut(text: string, statement: StatementText, standardConformingStrings: boolean): boolean {
  const scanner = new SqlScanner(text, standardConformingStrings, statement.start, statement.end);
  let depth = 0;
  for (let token = scanner.next(); token !== Token.End; token = scanner.next()) {
    const name = token === Token.Word ? scanner.name : '';
    if (token === Token.Symbol && text[scanner.start] === '(') depth++;
    if (token === Token.Symbol && text[scanner.start] === ')') depth--;
    if (WRITING_WORDS.has(name)) return false;
    if (depth === 0 && name === 'to') return true;
    if (depth === 0 && name === 'from') return false;
  }
  return false;
}
