const ALL = '*';

/**
 * Relations of one mirror whose rows are not known to be the source's any more, each from a moment of the source's event
 * counter on.
 */
export class Taints {
  readonly #from = new Map<string, number>();
  #definitions = Infinity;

  /** Undefined: any relation. */
  add(relations: ReadonlySet<string> | undefined, from: number): void {
    for (const relation of relations ?? [ALL]) {
      this.#from.set(relation, Math.min(from, this.#from.get(relation) ?? Infinity));
    }
  }

  /** Definitions are not known to be alike. */
  addDefinitions(from: number): void {
    this.#definitions = Math.min(this.#definitions, from);
  }

  /** Whether all of them are tainted already, from whatever moment on. */
  cover(relations: ReadonlySet<string> | undefined): boolean {
    if (this.#from.has(ALL)) return true;
    if (relations === undefined) return false;
    for (const relation of relations) if (!this.#from.has(relation)) return false;
    return true;
  }

  /** Whether what was read of these until then may be something else on the mirror. */
  concern(read: {
    readonly relations: ReadonlySet<string> | undefined;
    readonly ofDefinitions: boolean;
    readonly doneAt: number;
  }): boolean {
    const { relations, doneAt } = read;
    if (this.#definitions <= doneAt) return true;
    if (read.ofDefinitions) return false;
    if (relations === undefined) return [...this.#from.values()].some((from) => from <= doneAt);
    if (relations.size > 0 && (this.#from.get(ALL) ?? Infinity) <= doneAt) return true;
    for (const relation of relations) if ((this.#from.get(relation) ?? Infinity) <= doneAt) return true;
    return false;
  }

  clear(): void {
    this.#from.clear();
    this.#definitions = Infinity;
  }
}
