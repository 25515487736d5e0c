import {
  errorFieldMap,
  errorResponse,
  isLastMessage,
  readyForQuery,
  sqlstateOf,
} from '../protocol/backend-messages.ts';
import { Backend, HEADER_LENGTH, LARGE_MESSAGE_LIMIT, TransactionStatus } from '../protocol/message-types.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { Owed, isCompletion } from '../session/answer-queue.ts';
import type { CopyDoubt } from '../session/copy-doubt.ts';
import { monotonicNow } from '../util/clock.ts';
import { followTag } from './follow-tag.ts';
import { HeldMessage } from './held-message.ts';
import { nameNotifier } from './notifier.ts';
import { parameterReported } from './reported-parameters.ts';
import type { RequestRelay } from './request-relay.ts';
import type { Subject } from './request-subject.ts';
import { stateTag } from './state-tag.ts';
import type { Server, SessionLink } from './session-link.ts';
import { StatementAnswers } from './statement-answers.ts';
import { stalePlanError } from './statement-errors.ts';
import { takeOverSets } from './transaction-end.ts';

/** The longest message that is held until it is whole; rows and the like pass in pieces, whatever their length. */
const HELD_LIMIT = 64 * 1024 * 1024;
const NO_SUCH_STATEMENT = '26000';
const NOTHING = Buffer.alloc(0);

/** What the session is told. */
export interface AnswerListener {
  /** An answer came that something may be waiting for: a ReadyForQuery, or the end of pgmirror's own preparations. */
  progress(): void;
  /** Some of the answer is still queued towards the client, in the server's read buffer. */
  clientIsSlow(): void;
  /** The server broke the protocol. */
  brokenServer(error: ProtocolError): void;
}

/**
 * Passes a server's answers on to the client, by reference, a chunk at a time: rows are skipped by their length, and
 * only what changes the session's state is looked into. Answers to messages of pgmirror's own are taken out.
 */
export class AnswerRelay {
  readonly #link: SessionLink;
  readonly #requests: RequestRelay;
  readonly #listener: AnswerListener;
  /** Bytes of a message passed on in pieces that have not come; whether it is of the answer proper, and no notice. */
  #rest = 0;
  #restIsData = false;
  /** The beginning of a message that is not whole. */
  readonly #held = new HeldMessage();
  #progress = false;
  readonly #statements: StatementAnswers;
  /** The last error was FATAL: the server is about to close. */
  fatal = false;

  constructor(link: SessionLink, requests: RequestRelay, listener: AnswerListener) {
    this.#link = link;
    this.#requests = requests;
    this.#listener = listener;
    this.#statements = new StatementAnswers(link, () => (this.#progress = true));
  }

  /** Nothing of the last server's bytes is left to wait for. */
  get atMessageStart(): boolean {
    return this.#rest === 0 && this.#held.length === 0;
  }

  /** The client has the beginning of a message whose rest has not come: nothing else can be said to it. */
  get amidMessage(): boolean {
    return this.#rest > 0;
  }

  /** What came of a message that is not whole: for whoever has the server connection now. */
  takeRest(): Buffer {
    return this.#held.take();
  }

  reset(): void {
    this.#rest = 0;
    this.#held.take();
    this.#statements.reset();
    this.fatal = false;
  }

  /** Takes a chunk from the linked server; it is not kept. */
  bytes(server: Server, chunk: Buffer): void {
    try {
      const bytes = this.#held.length === 0 ? chunk : this.#held.add(chunk);
      if (bytes !== undefined) this.#walk(server, bytes);
    } catch (error) {
      this.#listener.brokenServer(
        error instanceof ProtocolError ? error : new ProtocolError('malformed message from the server'),
      );
      return;
    }
    const { answers } = server.state;
    // Something may wait for all there is to be answered, without a Sync; or for the end of a message behind it all.
    if (!this.#progress && !(answers.segmentOpen && !answers.answerDue)) return;
    this.#progress = answers.quiet && !this.atMessageStart;
    this.#listener.progress();
  }

  #walk(server: Server, bytes: Buffer): void {
    const length = bytes.length;
    let from = 0;
    let at = 0;
    let need = HEADER_LENGTH;
    if (this.#rest > 0) {
      at = Math.min(this.#rest, length);
      this.#rest -= at;
      if (this.#restIsData) this.#link.recorder?.digest?.rowGoesOn(bytes, 0, at, this.#rest === 0);
    }
    while (length - at >= HEADER_LENGTH) {
      const type = bytes[at] ?? 0;
      const size = 1 + bytes.readUInt32BE(at + 1);
      if (size < HEADER_LENGTH || size > LARGE_MESSAGE_LIMIT)
        throw new ProtocolError('invalid message length from the server');
      const end = at + size;
      if (type === Backend.DataRow || type === Backend.CopyData) {
        if (end > length) {
          at = this.#beginsInPieces(type, bytes, at, size);
          break;
        }
        this.#link.recorder?.digest?.row(bytes, at, end);
        at = end;
        continue;
      }
      if (end > length) {
        if (this.#passesInPieces(server, type)) {
          at = this.#beginsInPieces(type, bytes, at, size);
          break;
        }
        if (size > HELD_LIMIT) throw new ProtocolError('message from the server is too long');
        need = size;
        break;
      }
      const replacement = this.#message(server, type, bytes, at, end);
      if (replacement !== undefined) {
        this.#send(server, bytes, from, at);
        if (replacement.length > 0) this.#send(server, replacement, 0, replacement.length);
        from = end;
      }
      at = end;
    }
    if (at < length) this.#held.begin(bytes.subarray(at), need);
    this.#send(server, bytes, from, at);
  }

  /** Whether a message that is neither a row nor COPY data is not waited for either. */
  #passesInPieces(server: Server, type: number): boolean {
    const { length, headInjected } = server.state.answers;
    return type === Backend.FunctionCallResponse || (type === Backend.NoticeResponse && length > 0 && !headInjected);
  }

  /** The first piece, which ends with the chunk. */
  #beginsInPieces(type: number, bytes: Buffer, at: number, size: number): number {
    this.#rest = at + size - bytes.length;
    this.#restIsData = type !== Backend.NoticeResponse;
    if (this.#restIsData) this.#link.recorder?.digest?.rowBegins(bytes, at, bytes.length, size);
    return bytes.length;
  }

  #send(server: Server, bytes: Buffer, from: number, to: number): void {
    if (from === to || this.#link.clientGone) return;
    this.#link.statistics.sent += to - from;
    const all = from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to);
    const { client, withheld } = this.#link;
    if (withheld === undefined ? client.write(all) : withheld.write(all)) return;
    server.socket.pause();
    this.#listener.clientIsSlow();
  }

  /** Takes note of a message. `undefined`: pass it on; otherwise what goes in its place, possibly nothing. */
  #message(server: Server, type: number, bytes: Buffer, at: number, end: number): Buffer | undefined {
    const answers = server.state.answers;
    switch (type) {
      case Backend.ReadyForQuery:
        return this.#readyForQuery(server, bytes[at + 5] ?? 0);
      case Backend.CommandComplete:
        this.#link.recorder?.digest?.commandComplete(bytes, at, end);
        this.#link.recorder?.completed(bytes, at, end, answers.head === Owed.Execute ? answers.headOffset : 0);
        this.#commandComplete(server, bytes, at);
        if (answers.head === Owed.Execute) answers.shift();
        return undefined;
      case Backend.EmptyQueryResponse:
      case Backend.PortalSuspended:
        this.#link.recorder?.digest?.suspended(type);
        if (answers.head === Owed.Execute && isCompletion(type)) answers.shift();
        return undefined;
      case Backend.BindComplete:
        if (answers.head !== Owed.Bind) throw new ProtocolError('answer from the server out of order');
        answers.shift();
        return undefined;
      case Backend.ParseComplete:
        return this.#statements.parseComplete(server);
      case Backend.CloseComplete:
        return this.#closeComplete(server);
      case Backend.ParameterDescription:
        return this.#statements.parameterDescription(server, bytes, at, end);
      case Backend.RowDescription:
      case Backend.NoData:
        return this.#statements.describeComplete(server, type, bytes, at, end);
      case Backend.ErrorResponse:
        return this.#errorResponse(server, bytes, at, end);
      case Backend.ParameterStatus:
        return parameterReported(this.#link, server, bytes, at, end);
      case Backend.CopyInResponse:
        this.#copyInStarted(server);
        return undefined;
      case Backend.CopyOutResponse:
      case Backend.CopyDone:
      case Backend.FunctionCallResponse:
        if (type === Backend.FunctionCallResponse) this.#link.recorder?.digest?.row(bytes, at, end);
        return undefined;
      case Backend.NotificationResponse:
        nameNotifier(this.#link, server, bytes, at);
        return undefined;
      case Backend.NoticeResponse:
        // The client was told when it prepared the text itself.
        return answers.headInjected ? NOTHING : undefined;
      default:
        throw new ProtocolError(`unexpected message type 0x${type.toString(16)} from the server`);
    }
  }

  #copyInStarted(server: Server): void {
    const swallowed = server.state.answers.enterCopyIn();
    if (swallowed > 0) this.#requests.segmentsSwallowed(swallowed, server.state.answers.segmentOpen);
    this.#link.recorder?.copyInStarted(swallowed);
    this.#progress = true;
  }

  #readyForQuery(server: Server, status: number): Buffer | undefined {
    const link = this.#link;
    const answers = server.state.answers;
    const head = answers.head;
    if (head === 0 && answers.doubt !== undefined) return this.#readyInDoubt(server, answers.doubt, status);
    if (head === 0 || head > Owed.Sync) throw new ProtocolError('unexpected ReadyForQuery from the server');
    answers.shift();
    answers.copyIn = false;
    server.status = status;
    server.state.answered();
    server.requests++;
    link.statistics.requests++;
    // One reading of the clock for all who want to know: it costs as much as all else here.
    const now = monotonicNow();
    link.answeredAt = now;
    if (answers.length === 0) link.statistics.requestTime += now - link.busySince;
    if (status === TransactionStatus.Idle) answers.transactionEnded();
    this.#statements.requestAnswered(server);
    if (head === Owed.Sync) this.#requests.segmentAnswered();
    else if (head === Owed.Query) this.#statements.queryAnswered(server);
    if (status !== TransactionStatus.Idle) {
      link.watch.blockGoesOn();
    } else {
      link.watch.blockOver();
      // What was sent behind it runs with these settings.
      if (link.watch.isCertain) takeOverSets(link, server);
    }
    this.#recordAnswer(status);
    this.#progress = true;
    return undefined;
  }

  #recordAnswer(status: number): void {
    const { recorder, watch, pins, answeredAt } = this.#link;
    const { auditDue } = watch;
    recorder?.answered(status, auditDue || pins.length > 0, auditDue, answeredAt);
  }

  /** Behind a COPY that failed: perhaps a Sync amid its data was answered after all. */
  #readyInDoubt(server: Server, doubt: CopyDoubt, status: number): Buffer {
    server.status = status;
    if (!doubt.readyCame(status)) return NOTHING;
    const { answers } = server.state;
    const { answered } = doubt;
    const [first] = answered;
    // In the simple flow, the ReadyForQuery of its Query has ended the request.
    const endsRequest = answers.skipping && first !== undefined;
    answers.doubtSettled(first !== undefined);
    if (endsRequest) {
      this.#link.answeredAt = monotonicNow();
      if (first === TransactionStatus.Idle) answers.transactionEnded();
      this.#requests.doubtSettled();
      this.#recordAnswer(first);
    }
    this.#progress = true;
    return Buffer.concat(answered.map((each) => readyForQuery(each)));
  }

  #closeComplete(server: Server): Buffer | undefined {
    const { answers } = server.state;
    if (answers.head !== 0 || answers.doubt === undefined) return this.#statements.closeComplete(server);
    answers.doubt.closeCompleteCame();
    return NOTHING;
  }

  #commandComplete(server: Server, bytes: Buffer, at: number): void {
    // One COPY of several statements in a Query has ended well.
    server.state.answers.ignoredSyncs = 0;
    const tag = stateTag(bytes, at);
    if (tag !== undefined) followTag(tag, this.#link, server, this.#statements);
  }

  #errorResponse(server: Server, bytes: Buffer, at: number, end: number): Buffer | undefined {
    const answers = server.state.answers;
    const head = answers.head;
    const message = bytes.subarray(at, end);
    this.fatal = isLastMessage(message);
    if (this.fatal) return undefined;
    if (head === 0) {
      answers.doubt?.errorCame();
      return answers.doubt === undefined ? undefined : NOTHING;
    }
    this.#link.watch.failed(server.status !== TransactionStatus.Idle);
    const subject = answers.headSubject as Subject | undefined;
    if (head === Owed.Query || head === Owed.FunctionCall) {
      this.#link.recorder?.erred(sqlstateOf(bytes, at, end), 0);
      this.#statements.queryFailed(server);
      answers.copyFailed();
      this.#progress ||= answers.doubt !== undefined;
      return this.#statements.inClientsWords(message, subject);
    }
    const stale = subject?.kind === 'stale';
    const sqlstate = sqlstateOf(bytes, at, end);
    if (sqlstate === NO_SUCH_STATEMENT) this.#statements.missing(server, subject);
    this.#link.recorder?.erred(stale ? '0A000' : sqlstate, answers.headOffset);
    this.#failSegment(server);
    if (stale) return Buffer.concat([subject.before, stalePlanError(errorFieldMap(message).get('S') ?? 'ERROR')]);
    if (subject?.kind === 'refused') return errorResponse(subject.error);
    return this.#statements.inClientsWords(message, subject);
  }

  /** The oldest message erred, and the server skips all behind it up to a Sync. */
  #failSegment(server: Server): void {
    const { answers } = server.state;
    const injected = answers.headInjected;
    let erred = true;
    const skipped = answers.failSegment((subject) => {
      this.#statements.undone(server, subject as Subject | undefined, erred, injected);
      erred = false;
    });
    if (skipped > 0) this.#link.recorder?.requestsSkipped(skipped);
    this.#requests.segmentFailed(skipped > 0 && answers.skipping);
    this.#progress = true;
  }
}
