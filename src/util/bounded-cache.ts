/** What was found out about texts, within bounds: what was asked for longest ago is forgotten first. */
export class BoundedCache<Value> {
  readonly #byText = new Map<string, Value>();
  readonly #maxEntries: number;
  readonly #maxCharacters: number;
  #characters = 0;

  /** `characters`: of all texts together. */
  constructor(bounds: { readonly entries: number; readonly characters: number }) {
    this.#maxEntries = bounds.entries;
    this.#maxCharacters = bounds.characters;
  }

  get size(): number {
    return this.#byText.size;
  }

  get(text: string): Value | undefined {
    const value = this.#byText.get(text);
    if (value === undefined) return undefined;
    // A Map keeps the order of insertion: what was used last stands at the end.
    this.#byText.delete(text);
    this.#byText.set(text, value);
    return value;
  }

  set(text: string, value: Value): void {
    if (!this.#byText.delete(text)) this.#characters += text.length;
    this.#byText.set(text, value);
    for (const oldest of this.#byText.keys()) {
      if (this.#byText.size <= this.#maxEntries && this.#characters <= this.#maxCharacters) return;
      this.#byText.delete(oldest);
      this.#characters -= oldest.length;
    }
  }
}
