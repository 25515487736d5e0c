import { AnswerQueue } from './answer-queue.ts';
import { ParameterSet } from './parameter-set.ts';
import { ServerStatements } from './server-statements.ts';

/** What is true of the session behind one server connection, whichever client uses it. */
export class ServerSession {
  /** Settings made on it beyond those of its login, by lower-case name. */
  applied = ParameterSet.empty;
  /** Everything it has reported (ParameterStatus), by the server's spelling. */
  reported: ParameterSet;
  /** What it reports where no settings are made on it: as when it had just logged in. */
  baseline: ParameterSet;
  /** Settings made in it, by whichever client, with the values that it reports anyway: nothing takes them back. */
  restated = ParameterSet.empty;
  /** What it had reported when its server's role was looked at last. */
  roleSeenIn: ParameterSet;
  readonly answers = new AnswerQueue();
  readonly prepared = new ServerStatements();
  /** Whose unnamed statement it holds, as far as confirmed; `undefined`: none, or nobody knows whose. */
  unnamedOwner: object | undefined;
  /** Something was done to it that is not followed: it is reset before anyone else gets it. */
  unclean = false;
  /** So many requests are to be answered until the last of them is that ends a transaction block. */
  #ending = 0;
  /** Whose transactions it ran last, and whose sequences' numbers it therefore has; `undefined`: it has none. */
  sequencesOf: object | undefined;

  /** The process id of the client that had it last, as that was told. */
  lastClient: number | undefined;

  constructor(reported: ReadonlyMap<string, string>) {
    this.baseline = new ParameterSet(reported);
    this.reported = this.baseline;
    this.roleSeenIn = this.baseline;
  }

  /** Something was sent whose answer is to come that ends a transaction block (COMMIT, END, ROLLBACK …). */
  get isEnding(): boolean {
    return this.#ending > 0 && this.answers.requests > 0;
  }

  /** A statement is about to be sent. `ends`: it ends a transaction block, if there is one when its turn comes. */
  sends(ends: boolean): void {
    if (ends) this.#ending = this.answers.requests + 1;
    else if (this.answers.length === 0) this.#ending = 0;
  }

  /** So it is, and no Sync follows it yet: it does so where it is executed, whatever comes. */
  get isEndingUnasked(): boolean {
    return this.#ending > this.answers.requests && this.answers.executeWithoutSync && this.answers.length > 0;
  }

  /** A request was answered. */
  answered(): void {
    if (this.#ending > 0) this.#ending--;
  }

  /** Nobody but pgmirror has used it, and made these settings: what else it reports now is the server's configuration. */
  configured(settings: ParameterSet): void {
    for (const [name, value] of this.reported.entries) {
      if (!settings.entries.has(name.toLowerCase())) this.baseline = this.baseline.with(name, value);
    }
  }

  /** Of these parameters it reports values that are its server's configuration by now, unless they are settings made in it. */
  reconfigured(names: readonly string[], settings: ReadonlyMap<string, string>): void {
    for (const name of names) {
      const value = this.reported.entries.get(name);
      if (value !== undefined && !settings.has(name.toLowerCase())) this.baseline = this.baseline.with(name, value);
    }
  }

  /** It was given these settings in place of those that were made on it. */
  given(settings: ParameterSet): void {
    for (const { entries } of [this.applied, settings]) {
      for (const name of entries.keys()) this.restated = this.restated.without(name);
    }
    this.applied = settings;
  }

  /** DISCARD ALL was run. */
  discarded(): void {
    this.sequencesOf = undefined;
    this.prepared.clear();
    this.applied = ParameterSet.empty;
    this.restated = ParameterSet.empty;
    this.unnamedOwner = undefined;
    this.unclean = false;
  }
}
