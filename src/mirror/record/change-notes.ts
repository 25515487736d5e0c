import { Frontend, HEADER_LENGTH } from '../../protocol/message-types.ts';
import type { PreparedText } from '../../session/statement-names.ts';
import { KNOWN_FUNCTIONS, VOLATILE_FUNCTIONS } from '../compare/known-functions.ts';

/**
 * What a transaction may have changed, the larger including the smaller. Of what is rolled back the numbers stay that it took
 * from sequences.
 */
export const Change = { Nothing: 0, Numbers: 1, Rows: 2, Definitions: 3 } as const;
export type Change = (typeof Change)[keyof typeof Change];

/** A longer text may do anything. */
const MAX_TEXT = 16_384;
const LONGEST_TAG = 32;
const WRITING =
  /\b(?:insert|update|delete|merge|truncate|into|copy|call|do|execute|prepare|nextval|setval|create|alter|drop|refresh)\b/i;
/** What may commit by itself, or cannot be undone, so that it has done something also where it failed. */
const COMMITTING =
  /\b(?:call|do(?!\s+(?:update|nothing|instead|also)\b)|vacuum|cluster|reindex|concurrently|alter\s+(?:type|database|system))\b/i;
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

/** What a text may do. */
interface Effect {
  readonly change: Change;
  /** It may have done so although it was rolled back. */
  readonly stays: boolean;
}
const NO_EFFECT: Effect = { change: Change.Nothing, stays: false };
const WRITES: Effect = { change: Change.Rows, stays: false };
const ANY_EFFECT: Effect = { change: Change.Rows, stays: true };

const ofStatements = new WeakMap<PreparedText, Effect>();

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
  /** Since the last COMMIT. */
  #change: Change = Change.Nothing;
  /** Until then; perhaps what the texts tell, where rows came of one that was not looked at. */
  #kept: Change = Change.Nothing;
  #isKeptDoubtful = false;
  /** What came since the last COMMIT was rolled back. */
  #isUndone = false;
  #stays = false;
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
    if (this.#isDoubtful || this.#isKeptDoubtful) this.#look();
    const change = this.#isUndone ? this.#undone : this.#change;
    return change > this.#kept ? change : this.#kept;
  }

  get #undone(): Change {
    if (this.#stays) return this.#change;
    return this.#change === Change.Nothing ? Change.Nothing : Change.Numbers;
  }

  /** A transaction begins. */
  begin(isWatched: boolean): void {
    this.isWatched = isWatched;
    this.#change = this.#kept = Change.Nothing;
    this.#isKeptDoubtful = this.#isUndone = this.#stays = false;
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
    this.#may(effectOf(bytes, start + HEADER_LENGTH, end));
  }

  /** It runs what was prepared earlier. */
  statement(text: PreparedText): void {
    if (!this.isWatched) return;
    let effect = ofStatements.get(text);
    if (effect === undefined) {
      effect = effectOf(text.definition, 0, text.definition.length);
      ofStatements.set(text, effect);
    }
    this.#may(effect);
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
    this.#may(ANY_EFFECT);
  }

  /** It has ended. `isKept`: what it did since its last COMMIT was not rolled back. */
  ended(isKept: boolean): void {
    this.#isUndone = !isKept;
    // What failed has no tag.
    if (!isKept) this.#isDoubtful ||= !this.#isRead;
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
    const isHalf = (word === 'COMMIT' && second === 'PREPARED') || (word === 'PREPARE' && second === 'TRANSACTION');
    if (isHalf) this.#atLeast(Change.Rows);
    if (isHalf || word === 'COMMIT') this.#committed();
    else if (!READING_TAGS.has(word)) this.#atLeast(ROW_TAGS.has(word) ? Change.Rows : Change.Definitions);
  }

  #committed(): void {
    if (this.#change > this.#kept) this.#kept = this.#change;
    this.#isKeptDoubtful ||= this.#isDoubtful;
  }

  #look(): void {
    if (this.#isLost || this.#recorded?.isWhole !== true) this.#may(ANY_EFFECT);
    else this.#lookAt(this.#recorded);
    if (this.#isKeptDoubtful) this.#committed();
    this.#isDoubtful = this.#isKeptDoubtful = false;
  }

  #lookAt(recorded: RecordedTexts): void {
    for (const text of this.#statements) this.statement(text);
    for (const text of recorded.unnamedTexts) this.statement(text);
    for (const { bytes, start, end } of recorded.messages()) {
      if (this.#change >= Change.Rows && (this.#stays || !this.#isUndone)) return;
      this.message(bytes, start, end);
    }
  }

  #may({ change, stays }: Effect): void {
    this.#atLeast(change);
    this.#stays ||= stays;
  }

  #atLeast(change: Change): void {
    if (change > this.#change) this.#change = change;
  }
}

function effectOf(bytes: Buffer, from: number, to: number): Effect {
  if (to - from > MAX_TEXT) return ANY_EFFECT;
  const text = bytes.toString('latin1', from, to);
  if (COMMITTING.test(text)) return ANY_EFFECT;
  if (WRITING.test(text)) return WRITES;
  for (const [, name = ''] of text.matchAll(CALL)) {
    const word = name.toLowerCase();
    if (!NO_CALLS.has(word) && !KNOWN_FUNCTIONS.has(word) && !VOLATILE_FUNCTIONS.has(word)) return WRITES;
  }
  return NO_EFFECT;
}
