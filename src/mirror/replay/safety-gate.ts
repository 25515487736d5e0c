/**
 * Whether a mirror may be used: it is looked at once (`mirrorObjections`), and again whenever what was found is
 * forgotten, because the mirror was lost or the configuration changed. Whoever asks meanwhile waits for the same look.
 */
export class SafetyGate {
  readonly #look: () => Promise<readonly string[]>;
  #looking: Promise<readonly string[]> | undefined;
  #passed = false;
  /** Counts how often it was forgotten. */
  #epoch = 0;

  constructor(look: () => Promise<readonly string[]>) {
    this.#look = look;
  }

  /** It was looked at, and nothing was found against it. */
  get isPassed(): boolean {
    return this.#passed;
  }

  /** What is against using the mirror; nothing, as a rule. Rejects where that cannot be found out now. */
  async objections(): Promise<readonly string[]> {
    if (this.#passed) return [];
    const epoch = this.#epoch;
    const objections = await (this.#looking ??= this.#lookOnce(epoch));
    // A look from before it was forgotten says nothing of now.
    return epoch === this.#epoch ? objections : await this.objections();
  }

  /** The next to ask has it looked at again. */
  forget(): void {
    this.#passed = false;
    this.#looking = undefined;
    this.#epoch++;
  }

  async #lookOnce(epoch: number): Promise<readonly string[]> {
    try {
      const objections = await this.#look();
      if (epoch === this.#epoch) this.#passed = objections.length === 0;
      return objections;
    } finally {
      if (epoch === this.#epoch) this.#looking = undefined;
    }
  }
}
