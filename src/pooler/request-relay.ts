import { Frontend } from '../protocol/message-types.ts';
import { Owed } from '../session/answer-queue.ts';
import { deallocatedName } from '../session/deallocated-name.ts';
import { endsTransaction } from '../session/ends-transaction.ts';
import { touchesOf } from '../session/state-touches.ts';
import type { OutputAssembly } from './output-assembly.ts';
import { RequestOutput } from './request-output.ts';
import { StatementText } from './session-link.ts';
import type { Server, SessionLink } from './session-link.ts';
import { StatementRelay } from './statement-relay.ts';
import type { StatementRelayOptions } from './statement-relay.ts';

export interface RequestRelayOptions extends StatementRelayOptions {
  readonly maxPipelineDepth: number;
}

/**
 * Passes a client's messages on to its server connection: as they are, but for the names of prepared statements
 * (statement-relay.ts).
 */
export class RequestRelay {
  readonly #link: SessionLink;
  readonly #output: RequestOutput;
  readonly #statements: StatementRelay;
  readonly #maxPipelineDepth: number;
  /** The long message being passed on is CopyData. */
  #longCopy = false;

  constructor(link: SessionLink, assembly: OutputAssembly, options: RequestRelayOptions) {
    this.#link = link;
    this.#output = new RequestOutput(link, assembly);
    this.#statements = new StatementRelay(link, this.#output, options);
    this.#maxPipelineDepth = options.maxPipelineDepth;
  }

  /** A Sync was answered. */
  segmentAnswered(): void {
    this.#output.segmentAnswered();
  }

  /** Syncs that were sent are ignored by a COPY: what they seemed to end goes on. */
  segmentsSwallowed(count: number, open: boolean): void {
    this.#output.segmentsSwallowed(count, open);
  }

  /** A statement that a message waits for has been prepared and described. */
  prepared(): void {
    this.#statements.prepared();
  }

  /** The Parse of the unnamed statement that was sent last was skipped. */
  unnamedSkipped(): void {
    this.#statements.unnamedSkipped();
  }

  /** An error ended the oldest unanswered segment. */
  segmentFailed(): void {
    this.#statements.segmentFailed();
  }

  /** The link is given up: the next request begins anew. */
  reset(): void {
    this.#output.reset();
    this.#statements.reset();
  }

  /** Passes a whole message on. False: not now; something it depends on has yet to be answered. */
  forward(server: Server, type: number, bytes: Buffer, start: number, end: number): boolean {
    const answers = server.state.answers;
    if (answers.skipping && type !== Frontend.Sync) return true;
    if (answers.requests >= this.#maxPipelineDepth) return false;
    if (this.#link.watch.resetting && this.#waitsForReset(server, type)) return false;
    switch (type) {
      case Frontend.Query:
        return this.#query(server, bytes, start, end);
      case Frontend.Execute:
        this.#statements.execute(server, bytes, start, end);
        return true;
      case Frontend.Sync:
        this.#output.sync(server, bytes, start, end);
        return true;
      case Frontend.Bind:
        return this.#statements.bind(server, bytes, start, end, end - start) ?? true;
      case Frontend.Describe:
        return this.#statements.describe(server, bytes, start, end);
      case Frontend.Parse:
        return this.#statements.parse(server, bytes, start, end);
      case Frontend.Close:
        return this.#statements.close(server, bytes, start, end);
      case Frontend.CopyData:
      case Frontend.CopyDone:
      case Frontend.CopyFail:
        this.#output.copy(server, type, bytes, start, end);
        return true;
      case Frontend.FunctionCall:
        this.#output.beginRequest();
        this.#output.pass(server, type, bytes, start, end);
        this.#output.requestSent(false);
        return true;
      default:
        if (answers.copyIn) {
          this.#output.amidCopy(bytes, start, end);
          return true;
        }
        this.#output.beginRequest();
        this.#output.pass(server, type, bytes, start, end);
        return true;
    }
  }

  /** What is sent behind a RESET waits for its answer: the client is given the settings of its login first. */
  #waitsForReset(server: Server, type: number): boolean {
    const { answers } = server.state;
    const isCopy = type === Frontend.CopyData || type === Frontend.CopyDone || type === Frontend.CopyFail;
    if (this.#output.requestOpen || answers.copyIn || isCopy) return false;
    if (answers.requests > 0) return true;
    this.#link.watch.resetting = false;
    return false;
  }

  /** Passes the beginning of a long message on; `undefined`: it must be seen whole. */
  forwardLong(
    server: Server,
    type: number,
    bytes: Buffer,
    start: number,
    end: number,
    size: number,
  ): boolean | undefined {
    if (server.state.answers.skipping) return undefined;
    switch (type) {
      case Frontend.CopyData:
        this.#longCopy = true;
        this.#output.copy(server, type, bytes, start, end);
        return true;
      case Frontend.Query:
      case Frontend.FunctionCall:
        this.#longCopy = false;
        this.#output.beginRequest();
        server.state.ending = false;
        this.#output.pass(server, type, bytes, start, end, undefined, size - (end - start));
        return true;
      case Frontend.Bind:
        this.#longCopy = false;
        return this.#statements.bind(server, bytes, start, end, size);
      default:
        return undefined;
    }
  }

  /** More of a long message; with its last piece it is sent. */
  piece(server: Server, bytes: Buffer, start: number, end: number, last: boolean): void {
    this.#output.morePieces(bytes, start, end, this.#longCopy && !this.#output.requestOpen);
    const kind = server.state.answers.last;
    if (last && !this.#longCopy && (kind === Owed.Query || kind === Owed.FunctionCall)) {
      this.#output.requestSent(kind === Owed.Query);
    }
  }

  #query(server: Server, bytes: Buffer, start: number, end: number): boolean {
    const named = this.#link.statements.size > 0 ? deallocatedName(bytes, start + 5, end) : undefined;
    const statement = named === undefined ? undefined : this.#link.statements.find(named, 0, named.length);
    if (statement !== undefined && !statement.closing) return this.#statements.deallocate(server, statement);
    const alone = !this.#output.requestOpen;
    this.#output.beginRequest();
    server.state.ending = endsTransaction(bytes, start + 5);
    const text = new StatementText(bytes, start + 5, end);
    const touches = touchesOf(bytes, start + 5, end);
    if (touches !== 0) this.#link.watch.sent(touches, text);
    this.#output.pass(server, Frontend.Query, bytes, start, end, text);
    this.#output.requestSent(alone);
    return true;
  }
}
