import { configuredParameters, spokenParameters } from './set-statement.ts';

/**
 * Parameters that the statements of a transaction set, or took back, for the session by name. What a server reports
 * does not tell whether a value is one that a client has asked for, or one that is there anyway.
 */
export class SpokenSettings {
  /** Those of SET and RESET. */
  readonly #spoken = new Set<string>();
  /** Those of set_config(). */
  readonly #configured = new Set<string>();
  #all = false;

  set(name: string): void {
    this.#spoken.add(name);
  }

  /** A statement was run whose tag is SET or RESET. */
  ran(text: string): void {
    for (const name of spokenParameters(text)) this.#spoken.add(name);
    this.#all ||= this.#spoken.has('all');
  }

  /** Everything was taken back. */
  allTakenBack(): void {
    this.#all = true;
  }

  /** A statement calls set_config(). */
  calls(text: string): void {
    for (const name of configuredParameters(text)) this.#configured.add(name);
  }

  /** How many there are. */
  get size(): number {
    return this.#spoken.size + this.#configured.size;
  }

  /** Those of SET and RESET. */
  get names(): ReadonlySet<string> {
    return this.#spoken;
  }

  /** Perhaps the transaction has made this setting. */
  mayHaveSet(name: string): boolean {
    return this.#spoken.has(name) || this.#configured.has(name);
  }

  /** If the session does not have this setting, the transaction has taken it back. */
  mayHaveReset(name: string): boolean {
    return this.#all || this.#spoken.has(name);
  }
}
