import { SqlScanner, Token } from '../../session/sql-scanner.ts';
import { splitStatements } from '../../session/statement-text.ts';

/** What a text creates, alters or drops for all sessions to see. */
export interface DefinedNames {
  /** What others name that have to do with it; see `wordsOf`. */
  readonly words: ReadonlySet<string>;
  /** Whoever names none of them has nothing to do with it, but by views and functions. */
  readonly isAll: boolean;
  /** It brings an extension, or takes one away: with that whatever others name. */
  readonly isExtension: boolean;
}

/** Words between the verb and the kind of what is defined. */
const BEFORE_KIND: ReadonlySet<string> = new Set([
  'or',
  'replace',
  'unlogged',
  'recursive',
  'unique',
  'constraint',
  'foreign',
  'materialized',
]);
/** They say that it is the session's alone. */
const TEMPORARY = /^(?:temp|temporary|global|local)$/;
const BEFORE_NAME: ReadonlySet<string> = new Set(['if', 'not', 'exists', 'only', 'authorization']);
/** What is called by a name when it is used, but for what hangs on it and was there before. */
const CREATED =
  /^(?:table|view|index|sequence|type|domain|function|procedure|aggregate|schema|role|user|group|trigger|rule|policy|statistics|collation)$/;
const REPLACED = /^(?:table|view|trigger|rule)$/;
const ALTERED = /^(?:table|view|role|user|group|trigger|rule|policy|statistics)$/;
/** An index is used without being named. */
const DROPPED =
  /^(?:table|view|sequence|type|domain|function|procedure|routine|aggregate|schema|role|user|group|trigger|rule|policy|statistics|collation)$/;
/** Behind which words the relation is named that it belongs to. */
const OF_RELATION: Readonly<Record<string, RegExp>> = {
  index: /^on$/,
  trigger: /^on$/,
  policy: /^on$/,
  rule: /^(?:on|to)$/,
  statistics: /^from$/,
};
const EVENTS = /^(?:insert|update|delete|select|truncate)$/;
/** What follows the one, behind the other, is the name of a relation that is concerned as well. */
const CLAUSES: Readonly<Record<string, RegExp>> = {
  references: /./,
  inherit: /./,
  of: /^partition$/,
  partition: /^(?:attach|detach)$/,
  to: /^rename$/,
};

/** Undefined: nothing. It takes long to build something CONCURRENTLY, and keeps nobody from anything: that counts as nothing. */
export function definedIn(text: string): DefinedNames | undefined {
  const all = splitStatements(text).flatMap(({ start, end, words: [verb = ''] }) =>
    /^(?:create|alter|drop)$/.test(verb) ? definitionsIn(tokensOf(text, start, end)) : [],
  );
  if (all.length === 0) return undefined;
  return {
    words: new Set(all.flatMap(({ names }) => names.flatMap((name) => wordOf(name) ?? []))),
    // What is cut off may name more.
    isAll:
      !text.endsWith('…') &&
      all.every(({ isAll, names }) => isAll && names.every((name) => wordOf(name) !== undefined)),
    isExtension: all.some(({ isExtension }) => isExtension),
  };
}

/** The words of a text, those within its constants included: by them it may name something. No name begins with a digit. `latin1`: its bytes. */
export function wordsOf(latin1: string): string[] {
  return Buffer.from(latin1, 'latin1').toString('utf8').toLowerCase().match(WORD) ?? [];
}

const WORD = /[\p{L}_][\p{L}\p{N}_$]*/gu;

/** The one by which a name is found; undefined: there is none in it. */
function wordOf(name: string): string | undefined {
  const words = name.toLowerCase().match(WORD) ?? [];
  return words.toSorted((a, b) => b.length - a.length)[0];
}

interface Definition {
  readonly names: readonly string[];
  readonly isAll: boolean;
  readonly isExtension: boolean;
}

/** A statement's tokens: words in lower case, quoted ones behind their quote, and whatever else as it is. */
function tokensOf(text: string, start: number, end: number): string[] {
  const scanner = new SqlScanner(text, true, start, end);
  const tokens: string[] = [];
  for (let token = scanner.next(); token !== Token.End; token = scanner.next()) {
    if (token === Token.QuotedWord) tokens.push(`"${scanner.name}`);
    else tokens.push(token === Token.Word ? scanner.name : scanner.raw);
  }
  return tokens;
}

/** What one statement defines: CREATE SCHEMA perhaps several things, each with words of its own. */
function definitionsIn(tokens: readonly string[]): Definition[] {
  const kindAt = tokens.findIndex((token, at) => at > 0 && !BEFORE_KIND.has(token));
  const [verb = '', kind = ''] = [tokens[0], tokens[kindAt]];
  if (TEMPORARY.test(kind) || tokens.includes('concurrently')) return [];
  const parts = kind === 'schema' ? divided(tokens) : [tokens];
  const [own = tokens, ...others] = parts;
  const replaces = own.slice(0, kindAt).includes('replace');
  const known = verb === 'drop' ? DROPPED : verb === 'alter' ? ALTERED : replaces ? REPLACED : CREATED;
  const cascades = own.some((token, at) => token === 'cascade' && !/^(?:delete|update)$/.test(own[at - 1] ?? ''));
  const names = [...namesAt(own, kindAt + 1, verb === 'drop'), ...relationsOf(own, kindAt, kind)];
  const isExtension = kind === 'extension';
  return [{ names, isAll: known.test(kind) && !cascades, isExtension }, ...others.flatMap(definitionsIn)];
}

/** A statement and those within it. */
function divided(tokens: readonly string[]): string[][] {
  const parts: string[][] = [];
  for (const token of tokens) {
    if (token === 'create' || parts.length === 0) parts.push([]);
    parts.at(-1)?.push(token);
  }
  return parts;
}

/** The name that stands there, or all of a list: the last part of each. */
function namesAt(tokens: readonly string[], from: number, isList: boolean): string[] {
  const names: string[] = [];
  for (let at = from; at < tokens.length;) {
    while (BEFORE_NAME.has(tokens[at] ?? '')) at++;
    while (tokens[at + 1] === '.') at += 2;
    const name = tokens[at] ?? '';
    // An index need not have one.
    if (name !== 'on' && isName(name)) names.push(name);
    at = behindArguments(tokens, at + 1);
    if (!isList || tokens[at] !== ',') break;
    at++;
  }
  return names;
}

/** Relations that are concerned besides. */
function relationsOf(tokens: readonly string[], from: number, kind: string): string[] {
  const names: string[] = [];
  let belongs = OF_RELATION[kind];
  for (let at = from; at < tokens.length; at++) {
    const token = tokens[at] ?? '';
    if (token === 'inherits') names.push(...namesAt(tokens, at + 2, true));
    else if (CLAUSES[token]?.test(tokens[at - 1] ?? '') === true) names.push(...namesAt(tokens, at + 1, false));
    else if (belongs?.test(token) === true && !EVENTS.test(tokens[at + 1] ?? '')) {
      names.push(...namesAt(tokens, at + 1, false));
      belongs = undefined;
    }
  }
  return names;
}

/** Behind the arguments of a function, where there are any. */
function behindArguments(tokens: readonly string[], from: number): number {
  if (tokens[from] !== '(') return from;
  let depth = 0;
  for (let at = from; at < tokens.length; at++) {
    if (tokens[at] === '(') depth++;
    if (tokens[at] === ')' && --depth === 0) return at + 1;
  }
  return tokens.length;
}

function isName(token: string): boolean {
  return token.startsWith('"') || /^[\p{L}_]/u.test(token);
}
