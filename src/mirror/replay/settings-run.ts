import { FRESH_LOGIN, RESET_SESSION, isDecisive, settingsChanges } from './session-settings.ts';
import type { SessionSettings, SettingsChange } from './session-settings.ts';

/**
 * Brings a connection to a session's state, query by query. If the mirror refuses something, all is put back and each
 * setting is set by itself: what it does take is set then, and what it refuses is known.
 */
export class SettingsRun {
  readonly #to: SessionSettings;
  readonly #fixed: ReadonlySet<string>;
  #changes: readonly SettingsChange[];
  #index = 0;
  #oneByOne = false;

  /** The mirror refused a setting: the state is not the client's. */
  isRefused = false;
  /** The mirror refused one without which the transaction must not be run. */
  isDecisivelyRefused = false;

  /**
   * `from` undefined: the connection's state is not known. `fixed`: settings that are left as they are. `resets`: what
   * else is in the session goes first.
   */
  constructor(from: SessionSettings | undefined, to: SessionSettings, fixed: ReadonlySet<string>, resets: boolean) {
    this.#to = to;
    this.#fixed = fixed;
    const changes = settingsChanges(resets ? FRESH_LOGIN : from, to, { oneByOne: false, fixed });
    this.#changes = resets ? [RESET_SESSION, ...changes] : changes;
  }

  /** The query to send next; undefined when all is done. */
  get next(): string | undefined {
    return this.isDecisivelyRefused ? undefined : this.#changes[this.#index]?.sql;
  }

  /** The query was answered. */
  answered(erred: boolean): void {
    const change = this.#changes[this.#index++];
    if (!erred) return;
    if (change === RESET_SESSION) {
      this.isRefused = this.isDecisivelyRefused = true;
      return;
    }
    if (!this.#oneByOne) {
      this.#oneByOne = true;
      this.#index = 0;
      this.#changes = settingsChanges(undefined, this.#to, { oneByOne: true, fixed: this.#fixed });
      return;
    }
    this.isRefused = true;
    this.isDecisivelyRefused = change?.name === undefined || isDecisive(change.name);
  }
}
