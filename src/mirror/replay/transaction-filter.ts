import { LinearPattern } from '../../util/linear-pattern.ts';
import { Frontend } from '../../protocol/message-types.ts';
import { suitsLevel } from './level.ts';
import type { Level } from './level.ts';
import type { MirroredTransaction } from './mirrored-transaction.ts';
import { RequestCursor } from './request-cursor.ts';
import { Effect, effectsOf } from './statement-effects.ts';
import { StatementTracker } from './statement-tracker.ts';

/** Which transactions a mirror takes by what they do and say. */
export interface FilterOptions {
  readonly level: Level;
  /** Regular expressions (`LinearPattern`) over the texts: one of them must match, none of them may. */
  readonly query: string | undefined;
  readonly excludeQuery: string | undefined;
}

const cursor = new RequestCursor();

/** Judges whole transactions by the texts of all their statements. */
export class TransactionFilter {
  readonly #level: Level;
  readonly #query: LinearPattern | undefined;
  readonly #excludeQuery: LinearPattern | undefined;
  readonly #takesAll: boolean;

  /** Throws for what is no regular expression. */
  constructor(options: FilterOptions) {
    this.#level = options.level;
    this.#query = options.query === undefined ? undefined : new LinearPattern(options.query);
    this.#excludeQuery = options.excludeQuery === undefined ? undefined : new LinearPattern(options.excludeQuery);
    this.#takesAll = options.level === 'all' && !this.#query && !this.#excludeQuery;
  }

  takes(transaction: MirroredTransaction): boolean {
    return this.#takesAll || this.#judge(transaction);
  }

  #judge({ recorded, settings, unnamed, origin, twoPhase }: MirroredTransaction): boolean {
    const tracker = new StatementTracker(origin.statements, unnamed);
    // What ends a prepared transaction has the fate of that, whose statements it does not repeat.
    const isEnd = twoPhase?.ends === true;
    const excludeQuery = isEnd ? undefined : this.#excludeQuery;
    let effects: number = Effect.None;
    let matches = this.#query === undefined || isEnd;
    let excluded = false;
    cursor.reset(recorded.recording);
    while (cursor.next()) {
      for (let at = cursor.start; at < cursor.end;) {
        const end = cursor.messageEnd(at);
        const type = cursor.bytes[at] ?? 0;
        const statement = tracker.message(type, cursor.bytes, at, end);
        let text: string | undefined;
        if (type === Frontend.Query) {
          text = cursor.queryText(at, end);
          effects |= this.#level === 'all' ? 0 : effectsOf(text, settings.standardConformingStrings);
        } else if (type === Frontend.Bind && statement) {
          text = statement.text;
          effects |= this.#level === 'all' ? 0 : statement.effectsWith(settings.standardConformingStrings);
        } else if (type === Frontend.Bind) {
          // Made by SQL PREPARE, perhaps: nobody knows what it does.
          effects |= Effect.Write;
        } else if (type === Frontend.FunctionCall) {
          effects |= Effect.Write;
        }
        if (text !== undefined) {
          const words = decoded(text);
          matches ||= this.#query?.isIn(words) ?? false;
          // What could not be searched whole might hold what must not get out.
          excluded ||= excludeQuery !== undefined && excludeQuery.isIn(words) !== false;
        }
        at = end;
      }
    }
    cursor.clear();
    return matches && !excluded && suitsLevel(this.#level, effects);
  }
}

const BEYOND_ASCII = /[\u0080-\u00ff]/;

/** A text whose characters are bytes as the text that they encode. */
function decoded(text: string): string {
  return BEYOND_ASCII.test(text) ? Buffer.from(text, 'latin1').toString('utf8') : text;
}
