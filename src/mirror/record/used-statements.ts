import type { PreparedText } from '../../session/statement-names.ts';

/** More than so many are looked for in a set. */
const FEW = 8;

/** Statements that one transaction uses, each once: nearly always one, for which a set costs more than all else. */
export class UsedStatements implements Iterable<PreparedText> {
  readonly #few: PreparedText[] = [];
  #many: Set<PreparedText> | undefined;

  add(text: PreparedText): void {
    if (this.#many !== undefined) this.#many.add(text);
    else if (this.#few.includes(text)) return;
    else if (this.#few.length < FEW) this.#few.push(text);
    else this.#many = new Set([...this.#few, text]);
  }

  clear(): void {
    this.#many = undefined;
    while (this.#few.length > 0) this.#few.pop();
  }

  [Symbol.iterator](): Iterator<PreparedText> {
    return (this.#many ?? this.#few)[Symbol.iterator]();
  }
}
