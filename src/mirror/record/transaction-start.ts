import type { ParameterSet } from '../../session/parameter-set.ts';
import { TransactionFlag } from './record-stream.ts';

/** What held for a client's session when its current transaction began. */
export class TransactionStart {
  /** When its first request began. */
  at = 0;
  settings: ParameterSet;
  /** The client had kept its server connection from an earlier transaction. */
  pinned = false;
  /** What an earlier transaction had done to the client's settings was not known yet. */
  settingsOpen = false;

  /** It was given a session in which nothing is left. */
  #isReset = false;
  #wasReset = false;

  constructor(settings: ParameterSet) {
    this.settings = settings;
  }

  begins(at: number, settings: ParameterSet, pinned: boolean, settingsOpen: boolean): void {
    this.at = at;
    this.settings = settings;
    this.pinned = pinned;
    this.settingsOpen = settingsOpen;
    this.#wasReset = this.#isReset;
    this.#isReset = false;
  }

  /** The next transaction will run in a session in which nothing is left of what was done before. */
  sessionReset(): void {
    this.#isReset = true;
  }

  /** The transaction's flags in the record stream, when it has ended. `keepsSession`: the client keeps its server connection. */
  flags(committed: boolean, keepsSession: boolean): number {
    let flags = committed ? TransactionFlag.Committed : 0;
    if (this.pinned) flags |= TransactionFlag.NeedsSession;
    if (keepsSession) flags |= TransactionFlag.KeepsSession;
    if (this.#wasReset) flags |= TransactionFlag.AfterReset;
    if (this.settingsOpen) flags |= TransactionFlag.InheritsSettings;
    return flags;
  }
}
