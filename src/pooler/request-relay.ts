import { Frontend, HEADER_LENGTH, isPartOfCopy } from '../protocol/message-types.ts';
import { Owed } from '../session/answer-queue.ts';
import { beginsTransaction } from '../session/begins-transaction.ts';
import { endsTransaction } from '../session/ends-transaction.ts';
import { touchesOf } from '../session/state-touches.ts';
import { deallocatedBy } from './deallocation.ts';
import type { OutputAssembly } from './output-assembly.ts';
import { RequestOutput } from './request-output.ts';
import { mustShowStatements, tellNamed } from './own-statements.ts';
import { mustForgetSequences } from './sequence-values.ts';
import { StatementText } from './session-link.ts';
import type { Server, SessionLink } from './session-link.ts';
import { StatementRelay } from './statement-relay.ts';
import type { StatementRelayOptions } from './statement-relay.ts';
import { TextInParts } from './text-in-parts.ts';

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
  /** The long message being passed on is CopyData; it is all of its request; it is a Query, with this text. */
  #longCopy = false;
  #longAlone = false;
  #longText: TextInParts | undefined;

  constructor(link: SessionLink, assembly: OutputAssembly, options: RequestRelayOptions) {
    this.#link = link;
    this.#output = new RequestOutput(link, assembly);
    this.#statements = new StatementRelay(link, this.#output, options);
    this.#maxPipelineDepth = options.maxPipelineDepth;
  }

  /** A Sync was answered. */
  segmentAnswered(): void {
    this.#output.segmentAnswered();
    this.#statements.segmentAnswered();
  }

  /** Has the server answer what it was sent, though nothing was sent that asks for that. */
  hurry(server: Server): void {
    this.#output.hurry(server);
  }

  /** Asks the server how many ReadyForQuerys are to come behind a COPY that failed (copy-doubt.ts). */
  askDoubt(server: Server): void {
    this.#output.askDoubt(server);
  }

  /** It has said so: the Sync that ended the request was answered. */
  doubtSettled(): void {
    this.#output.requestSent(false);
  }

  /** Syncs that were sent are ignored by a COPY: what they seemed to end goes on. */
  segmentsSwallowed(count: number, open: boolean): void {
    this.#output.segmentsSwallowed(count, open);
  }

  /** An error ended the oldest unanswered segment. `open`: what seemed to end its request was skipped, and it goes on. */
  segmentFailed(open: boolean): void {
    if (open) this.#output.requestGoesOn();
    this.#statements.segmentFailed();
  }

  /** The link is given up: the next request begins anew. */
  reset(): void {
    this.#longText = undefined;
    this.#output.reset();
    this.#statements.reset();
  }

  /** Passes a whole message on. False: not now; something it depends on has yet to be answered. */
  forward(server: Server, type: number, bytes: Buffer, start: number, end: number): boolean {
    const answers = server.state.answers;
    if (awaitsCancels(server) || (answers.awaitsCopy && !this.#goesIntoCopy(server, type))) return false;
    if (answers.skipping && type !== Frontend.Sync) return true;
    if (answers.requests >= this.#maxPipelineDepth && !answers.copyIn) return false;
    if (this.#link.watch.awaited && this.#mustWait(server, type)) return false;
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
        return this.#copy(server, type, bytes, start, end) ?? true;
      case Frontend.Flush:
        this.#flush(server, bytes, start, end);
        return true;
      case Frontend.FunctionCall:
        this.#beginCall(server);
        this.#output.pass(server, type, bytes, start, end);
        this.#output.requestSent(false);
        return true;
      default:
        this.#output.beginRequest();
        this.#output.pass(server, type, bytes, start, end);
        return true;
    }
  }

  /**
   * What is sent behind a RESET, or behind DEALLOCATE ALL, waits for the answer: the client is given the settings of its
   * login first, and its statements are gone only then.
   */
  #mustWait(server: Server, type: number): boolean {
    const { answers } = server.state;
    const isCopy = type === Frontend.CopyData || type === Frontend.CopyDone || type === Frontend.CopyFail;
    if (this.#output.requestOpen || answers.copyIn || isCopy) return false;
    if (answers.requests > 0) return true;
    this.#link.watch.awaited = false;
    this.#link.watch.resetting = false;
    return false;
  }

  #flush(server: Server, bytes: Buffer, start: number, end: number): void {
    const { answers } = server.state;
    if (answers.copyIn) {
      this.#output.amidCopy(bytes, start, end);
      return;
    }
    const isMalformed = end - start > HEADER_LENGTH;
    // Behind a Sync nothing is left to flush, and nobody may send the rest of a request that it began.
    if (!this.#output.requestOpen && !isMalformed) return;
    this.#output.beginRequest();
    this.#output.pass(server, Frontend.Flush, bytes, start, end);
    // One with a body the server refuses, and skips what follows.
    if (isMalformed) answers.push(Owed.Refusal, undefined, this.#link.recorder?.offset ?? 0);
    answers.flushed();
  }

  /**
   * COPY data, whole or in part, goes to a server that is known to read it. `undefined`: it belongs to a COPY that has
   * failed, and PostgreSQL would ignore it, too.
   */
  #copy(server: Server, type: number, bytes: Buffer, start: number, end: number): boolean | undefined {
    const { answers } = server.state;
    if (answers.copyIn) {
      this.#output.copy(server, type, bytes, start, end);
      return true;
    }
    if (answers.length === 0) return undefined;
    this.#output.hurry(server);
    return false;
  }

  /**
   * Whether a message may be sent behind a Sync that a COPY ignores, if it has not failed before. What is no part of a
   * COPY waits until that is known: the server is shown its type, which it refuses if it is still in COPY. Where such a
   * message was sent, the server says by itself what came of it, and data behind it may be those of another COPY.
   */
  #goesIntoCopy(server: Server, type: number): boolean {
    const { answers } = server.state;
    if (answers.strayed) return false;
    if (answers.copyIn && isPartOfCopy(type)) return true;
    if (answers.doubt !== undefined) return false;
    if (answers.copyIn) this.#output.provoke(server, type);
    else this.#output.hurry(server);
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
    const { answers } = server.state;
    if (awaitsCancels(server) || (answers.awaitsCopy && !this.#goesIntoCopy(server, type))) return false;
    if (answers.skipping) return undefined;
    if (this.#link.watch.awaited && this.#mustWait(server, type)) return false;
    switch (type) {
      case Frontend.CopyData:
        this.#longCopy = true;
        return this.#copy(server, type, bytes, start, end);
      case Frontend.Query:
        this.#longCopy = false;
        return this.#longQuery(server, bytes, start, end, size);
      case Frontend.FunctionCall:
        this.#longCopy = this.#longAlone = false;
        this.#beginCall(server);
        server.state.sends(false);
        this.#output.pass(server, type, bytes, start, end, undefined, size - (end - start));
        return true;
      case Frontend.Bind:
        this.#longCopy = false;
        return this.#statements.bind(server, bytes, start, end, size);
      default:
        return undefined;
    }
  }

  #beginCall(server: Server): void {
    endsExecuteWithoutSync(server);
    this.#link.hasUsedServer = true;
    this.#output.beginRequest();
  }

  /** What has to be done before a Query is told from its beginning, what it does from all of it. */
  #longQuery(server: Server, bytes: Buffer, start: number, end: number, size: number): boolean {
    const textStart = start + HEADER_LENGTH;
    const touches = touchesOf(bytes, textStart, end);
    const begun = this.#output.requestOpen;
    if (mustForgetSequences(this.#link, server, touches, begun)) return false;
    const beginning = { text: bytes.toString('utf8', textStart, end) };
    if (!begun && mustShowStatements(this.#link, server, touches, beginning, false) !== 'no') return false;
    endsExecuteWithoutSync(server);
    this.#longAlone = !begun;
    this.#output.beginRequest();
    server.state.sends(false);
    this.#link.hasUsedServer = true;
    this.#longText = new TextInParts(this.#link.watch);
    this.#longText.sent(bytes, textStart, end);
    this.#output.pass(server, Frontend.Query, bytes, start, end, undefined, size - (end - start));
    return true;
  }

  /** More of a long message; with its last piece it is sent. */
  piece(server: Server, bytes: Buffer, start: number, end: number, last: boolean): void {
    this.#longText?.sent(bytes, start, end);
    if (last) this.#longText = undefined;
    this.#output.morePieces(bytes, start, end, this.#longCopy && !this.#output.requestOpen);
    const kind = server.state.answers.last;
    if (last && !this.#longCopy && (kind === Owed.Query || kind === Owed.FunctionCall)) {
      this.#output.requestSent(this.#longAlone);
    }
  }

  #query(server: Server, bytes: Buffer, start: number, end: number): boolean {
    const statement = deallocatedBy(this.#link, bytes, start + 5, end);
    const alone = !this.#output.requestOpen;
    if (statement !== undefined) return this.#statements.deallocate(server, statement, alone);
    const touches = touchesOf(bytes, start + 5, end);
    if (mustForgetSequences(this.#link, server, touches, !alone)) return false;
    const text = new StatementText(bytes, start + 5, end);
    if (alone && mustShowStatements(this.#link, server, touches, text, false) !== 'no') return false;
    endsExecuteWithoutSync(server);
    this.#output.beginRequest();
    server.state.sends(endsTransaction(bytes, start + 5));
    if (!beginsTransaction(bytes, start + 5)) this.#link.hasUsedServer = true;
    if (touches !== 0) {
      this.#link.sent(touches, text);
      tellNamed(this.#link, touches, text);
    }
    this.#output.pass(server, Frontend.Query, bytes, start, end, text);
    this.#output.requestSent(alone);
    return true;
  }
}

/** Whether a cancel is on its way to a server that has answered all by now: it is not to hit what the client asks next. */
export function awaitsCancels({ cancels, state }: Server): boolean {
  return cancels > 0 && state.answers.length === 0;
}

/**
 * A Query or a FunctionCall is sent: where it takes the place of the Sync behind an Execute, PostgreSQL 18 may refuse
 * whatever comes next but one ("unexpected state STARTED"): no other client's.
 */
function endsExecuteWithoutSync({ state }: Server): void {
  if (state.answers.executeWithoutSync) state.unclean = true;
}
