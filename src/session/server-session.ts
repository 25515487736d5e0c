import { AnswerQueue } from './answer-queue.ts';
import { ParameterSet } from './parameter-set.ts';
import type { PreparedText } from './statement-names.ts';

/** A statement prepared on one server connection. `shape` is undefined until it has been described. */
export interface ServerStatement {
  shape: string | undefined;
}

/** What is true of the session behind one server connection, whichever client uses it. */
export class ServerSession {
  /** Settings made on it beyond those of its login, by lower-case name. */
  applied = ParameterSet.empty;
  /** Everything it has reported (ParameterStatus), by the server's spelling. */
  reported: ParameterSet;
  /** What it reported when it had just logged in. */
  readonly baseline: ParameterSet;
  readonly answers = new AnswerQueue();
  /** Prepared statements, least recently used first. */
  readonly prepared = new Map<PreparedText, ServerStatement>();
  /** Whose unnamed statement it holds; `undefined`: none, or nobody knows whose. */
  unnamedOwner: object | undefined;
  /** Something was done to it that is not followed: it is reset before anyone else gets it. */
  unclean = false;
  /** What was sent last in a transaction block ends it (COMMIT, END, ROLLBACK …). */
  ending = false;

  constructor(reported: ReadonlyMap<string, string>) {
    this.baseline = new ParameterSet(reported);
    this.reported = this.baseline;
  }

  /** DISCARD ALL was run. */
  discarded(): void {
    this.prepared.clear();
    this.applied = ParameterSet.empty;
    this.unnamedOwner = undefined;
    this.unclean = false;
  }

  /** Marks a statement as just used, and tells what is known of it. */
  use(text: PreparedText): ServerStatement | undefined {
    const statement = this.prepared.get(text);
    if (statement !== undefined && this.prepared.size > 1) {
      this.prepared.delete(text);
      this.prepared.set(text, statement);
    }
    return statement;
  }

  /** The statement used least recently, once more than `limit` are prepared. */
  overLimit(limit: number): PreparedText | undefined {
    if (this.prepared.size < limit) return undefined;
    return this.prepared.keys().next().value;
  }
}
