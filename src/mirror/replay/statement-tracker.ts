import { Frontend, Target } from '../../protocol/message-types.ts';
import { PreparedStatement } from './prepared-statement.ts';

/** Finds what a client prepared before this transaction, by its pool-wide name. */
export type StatementLookup = (name: string) => PreparedStatement | undefined;

/** Follows, through one transaction's messages, which statement a name and a portal stand for. */
export class StatementTracker {
  readonly #lookup: StatementLookup;
  #unnamed: PreparedStatement | undefined;
  #parsed: Map<string, PreparedStatement> | undefined;
  #unnamedPortal: PreparedStatement | undefined;
  #portals: Map<string, PreparedStatement | undefined> | undefined;

  constructor(lookup: StatementLookup, unnamed: PreparedStatement | undefined) {
    this.#lookup = lookup;
    this.#unnamed = unnamed;
  }

  /** Takes note of a message; the statement that a Bind binds, or an Execute executes. */
  message(type: number, bytes: Buffer, at: number, end: number): PreparedStatement | undefined {
    switch (type) {
      case Frontend.Parse:
        this.#parse(bytes, at + 5, end);
        return undefined;
      case Frontend.Bind:
        return this.#bind(bytes, at + 5, end);
      case Frontend.Execute:
        return this.#portal(nameAt(bytes, at + 5, end));
      case Frontend.Close:
        if (bytes[at + 5] === Target.Statement) this.#parsed?.delete(nameAt(bytes, at + 6, end));
        return undefined;
      case Frontend.Query:
        // A simple query destroys the unnamed statement and the unnamed portal.
        this.#unnamed = undefined;
        this.#unnamedPortal = undefined;
        return undefined;
      default:
        return undefined;
    }
  }

  #parse(bytes: Buffer, at: number, end: number): void {
    const name = nameAt(bytes, at, end);
    const definition = bytes.subarray(Math.min(at + name.length + 1, end), end);
    const known = name === '' ? undefined : this.#lookup(name);
    const statement = known?.isSameAs(name, definition) ? known : new PreparedStatement(name, definition);
    if (name === '') this.#unnamed = statement;
    else (this.#parsed ??= new Map()).set(name, statement);
  }

  #bind(bytes: Buffer, at: number, end: number): PreparedStatement | undefined {
    const portal = nameAt(bytes, at, end);
    const name = nameAt(bytes, at + portal.length + 1, end);
    const statement = name === '' ? this.#unnamed : (this.#parsed?.get(name) ?? this.#lookup(name));
    if (portal === '') this.#unnamedPortal = statement;
    else (this.#portals ??= new Map()).set(portal, statement);
    return statement;
  }

  #portal(name: string): PreparedStatement | undefined {
    return name === '' ? this.#unnamedPortal : this.#portals?.get(name);
  }
}

/** The zero-terminated name at an offset, its bytes as characters. */
export function nameAt(bytes: Buffer, at: number, end: number): string {
  if (at >= end || bytes[at] === 0) return '';
  const zero = bytes.indexOf(0, at);
  return bytes.toString('latin1', at, zero < 0 || zero > end ? end : zero);
}
