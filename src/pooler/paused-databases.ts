/** All databases but some, or none but some. */
export interface PausedChoice {
  readonly all: boolean;
  readonly but: readonly string[];
}

/** Whether a database is among those that are paused. */
export function isPaused({ all, but }: PausedChoice, database: string): boolean {
  return all !== but.includes(database);
}

/** Which databases PAUSE has paused, those included that nobody has connected to yet. `undefined` is all of them. */
export class PausedDatabases {
  #choice: PausedChoice;

  constructor(choice: PausedChoice = { all: false, but: [] }) {
    this.#choice = choice;
  }

  get choice(): PausedChoice {
    return this.#choice;
  }

  set(database: string | undefined, paused: boolean): void {
    const { all, but } = this.#choice;
    if (database === undefined) this.#choice = { all: paused, but: [] };
    else if (isPaused(this.#choice, database) !== paused)
      this.#choice = { all, but: all === paused ? but.filter((name) => name !== database) : [...but, database] };
  }
}
