import { AnswerQueue } from './answer-queue.ts';
import { ParameterSet } from './parameter-set.ts';
import { ServerStatements } from './server-statements.ts';

/** What is true of the session behind one server connection, whichever client uses it. */
export class ServerSession {
  /** Settings made on it beyond those of its login, by lower-case name. */
  applied = ParameterSet.empty;
  /** Everything it has reported (ParameterStatus), by the server's spelling. */
  reported: ParameterSet;
  /** What it reported when it had just logged in. */
  readonly baseline: ParameterSet;
  readonly answers = new AnswerQueue();
  readonly prepared = new ServerStatements();
  /** Whose unnamed statement it holds, as far as confirmed; `undefined`: none, or nobody knows whose. */
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
}
