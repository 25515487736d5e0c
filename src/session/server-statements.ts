import type { PreparedText } from './statement-names.ts';

/** A statement prepared on one server connection. `shape` is undefined until it has been described. */
export interface ServerStatement {
  shape: string | undefined;
}

/**
 * The named statements that are prepared on a server connection, as far as its answers tell, least recently used first.
 * What was sent and not answered may still change that, or be skipped because of an error: of a text of which that is
 * true nobody can say whether the server has it.
 */
export class ServerStatements {
  readonly #prepared = new Map<PreparedText, ServerStatement>();
  /** How many messages about a text are unanswered. */
  readonly #unanswered = new Map<PreparedText, number>();

  get size(): number {
    return this.#prepared.size;
  }

  get texts(): PreparedText[] {
    return [...this.#prepared.keys()];
  }

  has(text: PreparedText): boolean {
    return this.#prepared.has(text);
  }

  get(text: PreparedText): ServerStatement | undefined {
    return this.#prepared.get(text);
  }

  /** Marks a statement as just used, and tells what is known of it. */
  use(text: PreparedText): ServerStatement | undefined {
    const statement = this.#prepared.get(text);
    if (statement !== undefined && this.#prepared.size > 1) {
      this.#prepared.delete(text);
      this.#prepared.set(text, statement);
    }
    return statement;
  }

  /** Those used least recently that must go, so that one more makes no more than `limit`. */
  beyond(limit: number): PreparedText[] {
    let coming = 1;
    for (const text of this.#unanswered.keys()) if (!this.#prepared.has(text)) coming++;
    let excess = this.#prepared.size + coming - Math.max(limit, 1);
    const oldest: PreparedText[] = [];
    for (const text of this.#prepared.keys()) {
      if (excess <= 0) break;
      excess--;
      if (!this.isUnsettled(text)) oldest.push(text);
    }
    return oldest;
  }

  /** A message that prepares, describes or closes it was sent. */
  sent(text: PreparedText): void {
    this.#unanswered.set(text, (this.#unanswered.get(text) ?? 0) + 1);
  }

  /** One of those was answered, or skipped. */
  answered(text: PreparedText): void {
    const left = (this.#unanswered.get(text) ?? 0) - 1;
    if (left > 0) this.#unanswered.set(text, left);
    else this.#unanswered.delete(text);
  }

  /** Some message about it has not been answered. */
  isUnsettled(text: PreparedText): boolean {
    return this.#unanswered.size > 0 && this.#unanswered.has(text);
  }

  prepared(text: PreparedText): void {
    this.#prepared.set(text, { shape: undefined });
  }

  closed(text: PreparedText): void {
    this.#prepared.delete(text);
  }

  /** All were closed at once. */
  clear(): void {
    this.#prepared.clear();
  }
}
