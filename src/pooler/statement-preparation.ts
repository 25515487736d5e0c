import { close, describe } from '../protocol/frontend-messages.ts';
import { Target } from '../protocol/message-types.ts';
import { Owed } from '../session/answer-queue.ts';
import type { ClientStatement } from '../session/client-statements.ts';
import type { PreparedText } from '../session/statement-names.ts';
import type { RequestOutput } from './request-output.ts';
import type { Server, SessionLink } from './session-link.ts';

/**
 * Sees to it that a server connection has the named statements that its client's messages speak of: prepares and
 * describes what it lacks, or has in another shape than the client was told, and closes what is beyond the limit.
 *
 * Methods return false for "not yet": an answer of the server's is needed first, and was asked for.
 */
export class StatementPreparation {
  readonly #link: SessionLink;
  readonly #output: RequestOutput;
  readonly #limit: number;
  /** The statement that was just prepared anew and described: if its shape still differs, it is stale. */
  #anew: ClientStatement | undefined;

  /** `limit`: so many statements a server connection keeps. */
  constructor(link: SessionLink, output: RequestOutput, limit: number) {
    this.#link = link;
    this.#output = output;
    this.#limit = limit;
  }

  /** Nothing that was just prepared counts any more. */
  reset(): void {
    this.#anew = undefined;
  }

  /** Whether the server has a confirmed statement, in the shape that its client was told. */
  isThere(server: Server, statement: ClientStatement): boolean {
    if (server.state.prepared.isUnsettled(statement.text)) return false;
    const there = server.state.prepared.use(statement.text);
    // Parsed in a way that was not described at once: it is told now.
    statement.shape ??= there?.shape;
    if (there === undefined || there.shape !== statement.shape) return false;
    this.#anew = undefined;
    return true;
  }

  /** Prepares a statement that is not there. */
  provide(server: Server, statement: ClientStatement): void {
    if (!this.#isSettled(server, statement.text)) return;
    this.#link.statements.readAnew(statement);
    if (this.#isSettled(server, statement.text)) this.prepare(server, statement);
  }

  /** Whether a statement that is not there in the shape the client was told never will be: true once for each time. */
  takeStale(server: Server, statement: ClientStatement): boolean {
    const { prepared } = server.state;
    if (this.#anew !== statement || prepared.get(statement.text) === undefined) return false;
    if (prepared.isUnsettled(statement.text)) return false;
    this.#anew = undefined;
    return true;
  }

  /** The name under which the server has a statement; `''`: it lacks it. `undefined`: not yet. */
  nameOnServer(server: Server, statement: ClientStatement): string | undefined {
    if (this.isUndecided(statement)) return undefined;
    const { text } = statement;
    // Another name of the same text, sent behind it, is to be prepared anew: that it was parsed in time does not help it.
    if (!statement.ready) this.#output.hurry(server);
    if (!statement.ready || !this.#isSettled(server, text)) return undefined;
    return server.state.prepared.use(text) === undefined ? '' : text.name;
  }

  /** Whether what the name means depends on a segment that has not been answered, other than the one being sent. */
  isUndecided(statement: ClientStatement): boolean {
    return (!statement.ready || statement.closing) && statement.segment !== this.#output.segment;
  }

  /**
   * Closes what is in the way of a statement: those beyond the limit, and itself. Whether the server has it or not:
   * closing what is not there is no error.
   */
  makeRoom(server: Server, text: PreparedText): void {
    const { prepared } = server.state;
    // Of a client that has its own names on the server, all are seen there: none goes, and none is in the way unnoticed.
    const others = prepared.has(text) || text.isOwn ? [] : prepared.beyond(this.#limit);
    if (prepared.has(text) || !text.isOwn) others.push(text);
    for (const each of others) this.drop(server, each);
  }

  /** Closes a statement, whether the server has it or not. */
  drop(server: Server, text: PreparedText): void {
    server.state.prepared.sent(text);
    this.#output.inject(server, Owed.Close, close(Target.Statement, text.name), { kind: 'drop', text });
  }

  /** Asks for the shape of a statement that was just prepared, by the client if it is given. */
  describe(server: Server, text: PreparedText, statement: ClientStatement | undefined): void {
    server.state.prepared.sent(text);
    const subject = { kind: 'describe', text, statement } as const;
    this.#output.inject(server, Owed.Describe, describe(Target.Statement, text.name), subject);
  }

  /** Whether the server's answers tell if it has the text; otherwise it is made to answer. */
  #isSettled(server: Server, text: PreparedText): boolean {
    if (!server.state.prepared.isUnsettled(text)) return true;
    this.#output.hurry(server);
    return false;
  }

  /** Prepares a statement on a server that lacks it, or has it in another shape. */
  prepare(server: Server, statement: ClientStatement): void {
    const { text } = statement;
    this.#anew = statement;
    this.#link.statistics.serverParses++;
    this.makeRoom(server, text);
    server.state.prepared.sent(text);
    this.#output.inject(server, Owed.Parse, text.parseMessage(), { kind: 'prepare', text });
    this.describe(server, text, undefined);
    this.#output.hurry(server);
  }
}
