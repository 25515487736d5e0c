import { SqlScanner, Token } from '../../session/sql-scanner.ts';
import { splitStatements } from '../../session/statement-text.ts';
import type { StatementText } from '../../session/statement-text.ts';
import { bodyStatements } from './body-statements.ts';
import { DENIED_FUNCTIONS } from './denied-functions.ts';
import { EXTENSIONS_REACHING_OUT } from './reaching-out.ts';

/** What the text of a request says about mirroring it. */
export const TextVerdict = {
  Fine: 0,
  /** LISTEN, UNLISTEN, NOTIFY or SELECT pg_notify(…) and nothing else: the request is left out. */
  Notification: 1,
  /** It acts on more than the database's rows, or notifies among other statements: the transaction is dropped. */
  Denied: 2,
  /** Fine, but it calls set_config: the session's state is not known after it. */
  Configures: 3,
  /** Fine, but it may take advisory locks of the session, and call set_config as well. */
  Locks: 4,
} as const;
export type TextVerdict = (typeof TextVerdict)[keyof typeof TextVerdict];

/**
 * Whatever could be denied has one of these in its text. One pass over the text, so that the rest, which is nearly
 * everything, is never scanned.
 */
const SUSPECT =
  /pg_|set_config|lo_(?:im|ex)port|notify|listen|database|tablespace|system|subscription|server|mapping|extension|password|copy|snapshot/i;

/** Extensions that must not be created: those, and languages whose functions can do anything. */
const DENIED_EXTENSIONS: ReadonlySet<string> = new Set([
  ...EXTENSIONS_REACHING_OUT,
  'file_fdw',
  'plperlu',
  'plpython3u',
  'plpythonu',
]);

/** Objects whose CREATE, ALTER and DROP reach beyond the database, by the word after the verb. */
const DENIED_OBJECTS: ReadonlySet<string> = new Set(['database', 'tablespace', 'subscription', 'server']);

const NOTIFICATIONS: ReadonlySet<string> = new Set(['listen', 'unlisten', 'notify']);

/** Judges the text of a simple query, or of a Parse message. */
export function judgeText(text: string, standardConformingStrings = true): TextVerdict {
  if (!SUSPECT.test(text)) return TextVerdict.Fine;
  const calls = callsIn(text, standardConformingStrings);
  if (calls.denied) return TextVerdict.Denied;
  const statements = splitStatements(text, standardConformingStrings);
  let notifications = 0;
  for (const statement of statements) {
    if (isDenied(text, statement, standardConformingStrings)) return TextVerdict.Denied;
    if (NOTIFICATIONS.has(statement.words[0] ?? '')) notifications++;
  }
  if (calls.notify) {
    if (statements.length > 1 || !isLonePgNotify(text, standardConformingStrings)) return TextVerdict.Denied;
    notifications++;
  }
  if (notifications === 0 && calls.locks) return TextVerdict.Locks;
  if (notifications === 0) return calls.configures ? TextVerdict.Configures : TextVerdict.Fine;
  return statements.length === 1 ? TextVerdict.Notification : TextVerdict.Denied;
}

/** So deep may one DO stand in another. */
const DEEPEST_DO = 5;

const SESSION_LOCK = /^pg_(?:try_)?advisory_lock(?:_shared)?$/;

interface Calls {
  denied: boolean;
  notify: boolean;
  configures: boolean;
  locks: boolean;
}

/** Which functions are called anywhere in the text; the bodies of DO count, since they run at once. `isBody`: it is one. */
function callsIn(text: string, standardConformingStrings: boolean, depth = 0, isBody = false): Calls {
  // What is nested deeper than anybody would write it is there to keep whoever reads it busy.
  if (depth > DEEPEST_DO) return { denied: true, notify: false, configures: false, locks: false };
  const scanner = new SqlScanner(text, standardConformingStrings);
  const found: Calls = { denied: false, notify: false, configures: false, locks: false };
  let name = '';
  let inDo = false;
  let executes = false;
  for (let token = scanner.next(); token !== Token.End; token = scanner.next()) {
    if (token === Token.Symbol && name !== '' && text[scanner.start] === '(') note(found, name);
    const before = name;
    name = token === Token.Word || token === Token.QuotedWord ? scanner.name : '';
    // That of ON CONFLICT, and of CREATE RULE, has something else behind it.
    if (before === 'do') inDo = token === Token.String || name === 'language';
    if (isBody && name === 'execute') executes = true;
    if ((inDo || executes) && token === Token.String) {
      const inner = withoutQuotes(scanner.raw);
      merge(found, callsIn(inner, standardConformingStrings, depth + 1, inDo));
      found.denied ||= runsDenied(inner, standardConformingStrings, inDo);
    }
    if (token === Token.Symbol && text[scanner.start] === ';') inDo = executes = false;
  }
  return found;
}

function merge(found: Calls, inner: Calls): void {
  found.denied ||= inner.denied;
  found.notify ||= inner.notify;
  found.configures ||= inner.configures;
  found.locks ||= inner.locks;
}

/** Whether a statement within a DO is denied. `isBody`: the text is its body; otherwise, what that executes. */
function runsDenied(text: string, standardConformingStrings: boolean, isBody: boolean): boolean {
  const statements = (isBody ? bodyStatements : splitStatements)(text, standardConformingStrings);
  return statements.some(
    (statement) =>
      isDenied(text, statement, standardConformingStrings) ||
      // A variable of the name is followed by something else than a channel.
      (NOTIFICATIONS.has(statement.words[0] ?? '') && statement.words.length > 1),
  );
}

function note(found: Calls, name: string): void {
  if (DENIED_FUNCTIONS.has(name)) found.denied = true;
  else if (name === 'pg_notify') found.notify = true;
  else if (name === 'set_config') found.configures = true;
  else if (SESSION_LOCK.test(name)) found.locks = true;
}

function withoutQuotes(raw: string): string {
  if (!raw.startsWith('$')) return raw.slice(raw.indexOf("'") + 1, -1).replaceAll("''", "'");
  const delimiter = raw.indexOf('$', 1) + 1;
  return raw.slice(delimiter, -delimiter);
}

/** `SELECT pg_notify(…)`, its schema and an alias allowed: nothing else that the statement could do. */
function isLonePgNotify(text: string, standardConformingStrings: boolean): boolean {
  const scanner = new SqlScanner(text, standardConformingStrings);
  const word = (): string => (scanner.next() === Token.Word ? scanner.name : '');
  if (word() !== 'select') return false;
  let name = word();
  if (name === 'pg_catalog' && scanner.next() === Token.Symbol) name = word();
  if (name !== 'pg_notify') return false;
  let depth = 0;
  do {
    const token = scanner.next();
    if (token === Token.End) return false;
    if (token === Token.Symbol && text[scanner.start] === '(') depth++;
    if (token === Token.Symbol && text[scanner.start] === ')') depth--;
    if (token === Token.Word && scanner.name === 'select') return false;
  } while (depth > 0);
  let token = scanner.next();
  if (token === Token.Word && scanner.name === 'as') token = scanner.next();
  if ((token === Token.Word && scanner.name !== 'from') || token === Token.QuotedWord) token = scanner.next();
  return token === Token.End || text[scanner.start] === ';';
}

function isDenied(text: string, statement: StatementText, standardConformingStrings: boolean): boolean {
  const [first = '', second = '', third = ''] = statement.words;
  switch (first) {
    case 'create':
    case 'alter':
    case 'drop':
      if (DENIED_OBJECTS.has(second) || second === 'system') return true;
      if (second === 'user' && third === 'mapping') return true;
      if (second === 'extension') return first === 'create' && reachesOut(statement.words);
      return isRole(second) && mentions(text, statement, 'password', standardConformingStrings);
    case 'copy':
      return copiesServerSide(text, statement, standardConformingStrings);
    case 'set':
      return second === 'transaction' && third === 'snapshot';
    default:
      return false;
  }
}

function isRole(word: string): boolean {
  return word === 'role' || word === 'user' || word === 'group';
}

/** `CREATE EXTENSION [IF NOT EXISTS] name` */
function reachesOut(words: readonly string[]): boolean {
  const name = words[2] === 'if' ? words[5] : words[2];
  return name === undefined || DENIED_EXTENSIONS.has(name);
}

function mentions(text: string, statement: StatementText, word: string, standardConformingStrings: boolean): boolean {
  const scanner = new SqlScanner(text, standardConformingStrings, statement.start, statement.end);
  for (let token = scanner.next(); token !== Token.End; token = scanner.next()) {
    if (token === Token.Word && scanner.name === word) return true;
  }
  return false;
}

/** `COPY … FROM | TO 'file'` or `PROGRAM 'command'`: the word decides outside of the parentheses of a query. */
function copiesServerSide(text: string, statement: StatementText, standardConformingStrings: boolean): boolean {
  const scanner = new SqlScanner(text, standardConformingStrings, statement.start, statement.end);
  let depth = 0;
  let direction = false;
  for (let token = scanner.next(); token !== Token.End; token = scanner.next()) {
    if (direction) return token === Token.String || (token === Token.Word && scanner.name === 'program');
    if (token === Token.Symbol && text[scanner.start] === '(') depth++;
    if (token === Token.Symbol && text[scanner.start] === ')') depth--;
    direction = depth === 0 && token === Token.Word && (scanner.name === 'from' || scanner.name === 'to');
  }
  return false;
}
