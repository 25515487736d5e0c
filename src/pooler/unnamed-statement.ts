import type { ServerSession } from '../session/server-session.ts';
import type { StatementText } from './session-link.ts';

/** A message that makes the server's unnamed statement this client's: it was sent, and neither confirmed nor skipped. */
interface Change {
  /** What it is then; `undefined`: there is none. */
  readonly statement: StatementText | undefined;
  readonly segment: number;
  /** The request that the statement's text came with. */
  readonly request: number;
}

/**
 * A client's unnamed statement, which follows it to whatever server connection it has. Changes take effect when the
 * server confirms them, in the order in which they were sent; an error undoes those of its own segment alone.
 */
export class UnnamedStatement {
  /** As the server confirmed it last. */
  confirmed: StatementText | undefined;
  #confirmedRequest = 0;
  #changes: Change[] = [];

  /** What the messages being sent now refer to. */
  get latest(): StatementText | undefined {
    return this.#changes.length > 0 ? this.#changes.at(-1)?.statement : this.confirmed;
  }

  /** The request that it came with. */
  get latestRequest(): number {
    return this.#changes.at(-1)?.request ?? this.#confirmedRequest;
  }

  /** A Parse or Close of it was sent. */
  changing(statement: StatementText | undefined, segment: number, request: number): void {
    this.#changes.push({ statement, segment, request });
  }

  /** The oldest change was confirmed. */
  changed(): void {
    const change = this.#changes.shift();
    if (change === undefined) return;
    this.confirmed = change.statement;
    this.#confirmedRequest = change.request;
  }

  /** The oldest change was skipped. */
  skipped(): void {
    this.#changes.shift();
  }

  /** The oldest change was refused, which leaves no unnamed statement. */
  refused(): void {
    this.#changes.shift();
    this.confirmed = undefined;
  }

  /** A simple query destroyed it. */
  destroyed(): void {
    this.confirmed = undefined;
  }

  /**
   * Whether a message of `segment` that refers to the unnamed statement finds this client's on the server: `unknown`
   * where that depends on what another segment brings.
   */
  isOn(server: ServerSession, owner: object, segment: number): boolean | 'unknown' {
    if (server.unnamedOwner === owner) return true;
    const last = this.#changes.at(-1);
    if (last === undefined) return false;
    return last.segment === segment || 'unknown';
  }

  /** The server connection is given back: nothing is on its way. */
  unlinked(): void {
    this.#changes = [];
  }
}
