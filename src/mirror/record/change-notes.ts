import { Frontend, HEADER_LENGTH } from '../../protocol/message-types.ts';
import type { PreparedText } from '../../session/statement-names.ts';
import { KNOWN_FUNCTIONS, VOLATILE_FUNCTIONS } from '../compare/known-functions.ts';

/** What a transaction may have changed, the larger including the smaller. */
export const Change = { Nothing: 0, Rows: 1, Definitions: 2 } as const;
export type Change = (typeof Change)[keyof typeof Change];

/** A longer text may do anything. */
const MAX_TEXT = 16_384;
const LONGEST_TAG = 32;
const WRITING =
  /\b(?:insert|update|delete|merge|truncate|into|copy|call|do|execute|prepare|nextval|setval|create|alter|drop|refresh)\b/i;
const CALL = /([a-z_][\w$]*)"?\s*\(/gi;
/** Words before parentheses that are no functions: SQL's own, and types with a length. */
const NO_CALLS: ReadonlySet<string> = new Set(
  `all and any array as between bit by case cast char character cross cube cursor decimal declare distinct else end escape except
  exists explain fetch filter for from full group grouping having ilike in inner intersect interval is isnull join lateral left like limit
  materialized not notnull nullif offset on only or order outer over partition precision recursive returning right rollup row rows select
  sets similar some tablesample then time to union unique using values varchar verbose when where window with within xmlelement`.split(
    /\s+/,
  ),
);
const READING_TAGS: ReadonlySet<string> = new Set([
  ...['SET', 'SHOW', 'BEGIN', 'START', 'COMMIT', 'ROLLBACK', 'SAVEPOINT', 'RELEASE', 'RESET', 'DISCARD', 'DEALLOCATE'],
  ...['DECLARE', 'CLOSE', 'MOVE', 'LISTEN', 'UNLISTEN', 'NOTIFY', 'LOCK', 'PREPARE', 'ANALYZE', 'VACUUM', 'CHECKPOINT'],
]);
/** Tags of statements that change rows, and of those that do where their text says so. */
const ROW_TAGS: ReadonlySet<string> = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE', 'TRUNCATE', 'COPY']);
const SELECT_TAGS: ReadonlySet<string> = new Set(['SELECT', 'FETCH', 'EXPLAIN']);

const ofStatements = new WeakMap<PreparedText, Change>();

/** What was recorded of a transaction that has been answered. */
export interface RecordedTexts {
  /** Nothing of it was left out. */
  readonly isWhole: boolean;
  /** The unnamed statements of earlier transactions that it needs. */
  readonly unnamedTexts: Iterable<PreparedText>;
  messages(): Iterable<{ readonly bytes: Buffer; readonly start: number; readonly end: number }>;
}

/**
 * What one client's transaction may have changed on the source, so that a mirror that misses it can be told what it lacks.
 * Found from command tags, and from texts where a tag does not say enough; in doubt it has changed rows. The texts of
 * what is recorded are looked at when a mirror does miss it, which is seldom.
 */
export class ChangeNotes {
  readonly #recorded: RecordedTexts | undefined;
  readonly #statements: Iterable<PreparedText>;
  /** Somebody wants to know. */
  isWatched = false;
  #change: Change = Change.Nothing;
  /** The texts of what was answered were all looked at. */
  #isRead = true;
  /** Some of them are not there any more. */
  #isLost = false;
  /** Rows came of one that was not looked at. */
  #isDoubtful = false;

  /** `statements`: prepared earlier, which what was recorded refers to. */
  constructor(recorded?: RecordedTexts, statements: Iterable<PreparedText> = []) {
    this.#recorded = recorded;
    this.#statements = statements;
  }

  /** To be asked when the transaction has been answered. */
  get change(): Change {
    if (this.#isDoubtful) this.#look();
    return this.#change;
  }

  /** A transaction begins. */
  begin(isWatched: boolean): void {
    this.isWatched = isWatched;
    this.#change = Change.Nothing;
    this.#isRead = true;
    this.#isLost = false;
    this.#isDoubtful = false;
  }

  /** A message to the source that will not be kept. */
  message(bytes: Buffer, start: number, end: number): void {
    if (!this.isWatched) return;
    const type = bytes[start];
    if (type === Frontend.FunctionCall) this.#atLeast(Change.Rows);
    if (type !== Frontend.Query && type !== Frontend.Parse) return;
    this.#atLeast(changeBy(bytes, start + HEADER_LENGTH, end));
  }

  /** It runs what was prepared earlier. */
  statement(text: PreparedText): void {
    if (!this.isWatched) return;
    let change = ofStatements.get(text);
    if (change === undefined) {
      change = changeBy(text.definition, 0, text.definition.length);
      ofStatements.set(text, change);
    }
    this.#atLeast(change);
  }

  /** Nobody looked at a text of it, as long as it is recorded. */
  unread(): void {
    this.#isRead = false;
  }

  /** What was recorded of it is given up. */
  lost(): void {
    this.#isRead = false;
    this.#isLost = true;
  }

  /** Nobody knows what came of it. */
  unknown(): void {
    this.#atLeast(Change.Rows);
  }

  /** A CommandComplete. */
  tag(bytes: Buffer, at: number, end: number): void {
    if (!this.isWatched) return;
    const from = at + HEADER_LENGTH;
    const [word = '', second] = bytes.toString('latin1', from, Math.min(end - 1, from + LONGEST_TAG)).split(' ', 2);
    if (SELECT_TAGS.has(word)) {
      this.#isDoubtful ||= !this.#isRead;
      return;
    }
    // COMMIT PREPARED, PREPARE TRANSACTION.
    if (READING_TAGS.has(word))
      return second === 'PREPARED' || second === 'TRANSACTION' ? this.#inTwo(word) : undefined;
    this.#atLeast(ROW_TAGS.has(word) ? Change.Rows : Change.Definitions);
  }

  #inTwo(word: string): void {
    if (word === 'COMMIT' || word === 'PREPARE') this.#atLeast(Change.Rows);
  }

  #look(): void {
    this.#isDoubtful = false;
    if (this.#isLost || this.#recorded?.isWhole !== true) return this.#atLeast(Change.Rows);
    for (const text of this.#statements) this.statement(text);
    for (const text of this.#recorded.unnamedTexts) this.statement(text);
    for (const { bytes, start, end } of this.#recorded.messages()) {
      if (this.#change >= Change.Rows) return;
      this.message(bytes, start, end);
    }
  }

  #atLeast(change: Change): void {
    if (change > this.#change) this.#change = change;
  }
}

function changeBy(bytes: Buffer, from: number, to: number): Change {
  if (to - from > MAX_TEXT) return Change.Rows;
  const text = bytes.toString('latin1', from, to);
  if (WRITING.test(text)) return Change.Rows;
  for (const [, name = ''] of text.matchAll(CALL)) {
    const word = name.toLowerCase();
    if (!NO_CALLS.has(word) && !KNOWN_FUNCTIONS.has(word) && !VOLATILE_FUNCTIONS.has(word)) return Change.Rows;
  }
  return Change.Nothing;
}
