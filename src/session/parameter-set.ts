/**
 * An immutable set of parameters by name. Two sets with the same content have the same `key`, so that a checkout
 * compares one string (nearly always the same object) and nothing else.
 */
export class ParameterSet {
  static readonly empty = new ParameterSet(new Map());
  readonly entries: ReadonlyMap<string, string>;
  readonly key: string;

  constructor(entries: ReadonlyMap<string, string>) {
    const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    this.entries = new Map(sorted);
    this.key = sorted.length === 0 ? '' : JSON.stringify(sorted);
  }

  /** This set with one value changed; the same object where nothing changes. */
  with(name: string, value: string): ParameterSet {
    if (this.entries.get(name) === value) return this;
    return new ParameterSet(new Map(this.entries).set(name, value));
  }

  without(name: string): ParameterSet {
    if (!this.entries.has(name)) return this;
    const entries = new Map(this.entries);
    entries.delete(name);
    return new ParameterSet(entries);
  }

  /** This set, and of another one what this one lacks. */
  orElse(other: ParameterSet): ParameterSet {
    const missing = [...other.entries].filter(([name]) => !this.entries.has(name));
    return missing.length === 0 ? this : new ParameterSet(new Map([...this.entries, ...missing]));
  }

  equals(other: ParameterSet): boolean {
    return this === other || this.key === other.key;
  }
}
