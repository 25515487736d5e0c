import { errorFieldMap, errorResponse, sqlstateOf } from '../protocol/backend-messages.ts';
import { Backend, HEADER_LENGTH, LARGE_MESSAGE_LIMIT, TransactionStatus } from '../protocol/message-types.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { Owed, isCompletion } from '../session/answer-queue.ts';
import type { ClientStatement } from '../session/client-statements.ts';
import { resultShape } from '../session/result-shape.ts';
import { parameterReported } from './reported-parameters.ts';
import type { RequestRelay } from './request-relay.ts';
import type { Executed, Subject } from './request-subject.ts';
import { stateTag } from './state-tag.ts';
import { StatementText } from './session-link.ts';
import type { Server, SessionLink } from './session-link.ts';
import { poolNameIn, stalePlanError, withClientName } from './statement-errors.ts';

/** The longest message that is held until it is whole; rows and COPY data pass in pieces, whatever their length. */
const HELD_LIMIT = 64 * 1024 * 1024;

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
  /** Bytes of a row or of COPY data that have not come. */
  #rest = 0;
  /** The beginning of a message that is not whole. */
  #held: Buffer[] = [];
  #heldLength = 0;
  #heldNeed = 0;
  #progress = false;
  /** Parameter types of a statement that pgmirror describes. */
  #described: Buffer | undefined;
  /** The last error was FATAL: the server is about to close. */
  fatal = false;

  constructor(link: SessionLink, requests: RequestRelay, listener: AnswerListener) {
    this.#link = link;
    this.#requests = requests;
    this.#listener = listener;
  }

  /** Nothing of the last server's bytes is left to wait for. */
  get atMessageStart(): boolean {
    return this.#rest === 0 && this.#heldLength === 0;
  }

  reset(): void {
    this.#rest = 0;
    this.#held = [];
    this.#heldLength = 0;
    this.#described = undefined;
    this.fatal = false;
  }

  /** Takes a chunk from the linked server; it is not kept. */
  bytes(server: Server, chunk: Buffer): void {
    try {
      if (this.#heldLength === 0) this.#walk(server, chunk);
      else this.#collect(server, chunk);
    } catch (error) {
      this.#listener.brokenServer(
        error instanceof ProtocolError ? error : new ProtocolError('malformed message from the server'),
      );
      return;
    }
    if (!this.#progress) return;
    this.#progress = false;
    this.#listener.progress();
  }

  #collect(server: Server, chunk: Buffer): void {
    this.#held.push(Buffer.from(chunk));
    this.#heldLength += chunk.length;
    if (this.#heldLength < this.#heldNeed) return;
    const bytes = Buffer.concat(this.#held);
    this.#held = [];
    this.#heldLength = 0;
    this.#walk(server, bytes);
  }

  #walk(server: Server, bytes: Buffer): void {
    const length = bytes.length;
    let from = 0;
    let at = 0;
    if (this.#rest > 0) {
      at = Math.min(this.#rest, length);
      this.#rest -= at;
      this.#link.recorder?.digest?.rowGoesOn(bytes, 0, at, this.#rest === 0);
    }
    while (length - at >= HEADER_LENGTH) {
      const type = bytes[at] ?? 0;
      const size = 1 + bytes.readUInt32BE(at + 1);
      if (size < HEADER_LENGTH || size > LARGE_MESSAGE_LIMIT)
        throw new ProtocolError('invalid message length from the server');
      const end = at + size;
      if (type === Backend.DataRow || type === Backend.CopyData) {
        if (end > length) {
          this.#rest = end - length;
          this.#link.recorder?.digest?.rowBegins(bytes, at, length, size);
          at = length;
          break;
        }
        this.#link.recorder?.digest?.row(bytes, at, end);
        at = end;
        continue;
      }
      if (end > length) {
        if (size > HELD_LIMIT) throw new ProtocolError('message from the server is too long');
        this.#heldNeed = size;
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
    if (at < length) {
      this.#held.push(Buffer.from(bytes.subarray(at)));
      this.#heldLength = length - at;
      if (length - at < HEADER_LENGTH) this.#heldNeed = HEADER_LENGTH;
    }
    this.#send(server, bytes, from, at);
  }

  #send(server: Server, bytes: Buffer, from: number, to: number): void {
    if (from === to || this.#link.clientGone) return;
    this.#link.statistics.sent += to - from;
    const all = from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to);
    if (this.#link.client.write(all)) return;
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
        this.#commandComplete(server, bytes, at);
        if (answers.head === Owed.Execute) answers.shift();
        return undefined;
      case Backend.EmptyQueryResponse:
      case Backend.PortalSuspended:
        this.#link.recorder?.digest?.suspended(type);
        if (answers.head === Owed.Execute && isCompletion(type)) answers.shift();
        return undefined;
      case Backend.BindComplete:
        this.#expect(server, Owed.Bind);
        answers.shift();
        return undefined;
      case Backend.ParseComplete:
        return this.#parseComplete(server);
      case Backend.CloseComplete:
        return this.#closeComplete(server);
      case Backend.ParameterDescription:
        if (!answers.headInjected) return undefined;
        this.#described = Buffer.from(bytes.subarray(at, end));
        return NOTHING;
      case Backend.RowDescription:
      case Backend.NoData:
        return this.#describeComplete(server, type, bytes, at, end);
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
      case Backend.NoticeResponse:
      case Backend.NotificationResponse:
        return undefined;
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

  #expect(server: Server, owed: number): void {
    if (server.state.answers.head !== owed) throw new ProtocolError('answer from the server out of order');
  }

  #readyForQuery(server: Server, status: number): Buffer | undefined {
    const link = this.#link;
    const answers = server.state.answers;
    const head = answers.head;
    if (head === 0 && answers.uncertain) {
      // The Sync amid the data of a COPY that failed was answered after all.
      answers.uncertain = false;
      server.status = status;
      this.#progress = true;
      return undefined;
    }
    if (head === 0 || head > Owed.Sync) throw new ProtocolError('unexpected ReadyForQuery from the server');
    answers.shift();
    answers.copyIn = false;
    server.status = status;
    server.requests++;
    link.statistics.requests++;
    if (answers.length === 0) link.statistics.requestTime += performance.now() - link.busySince;
    if (status === TransactionStatus.Idle) answers.transactionEnded();
    if (head === Owed.Sync) this.#requests.segmentAnswered();
    // A simple query destroys the unnamed statement.
    else if (head === Owed.Query) this.#unnamedDestroyed(server);
    if (status !== TransactionStatus.Idle) link.watch.failed();
    link.recorder?.answered(status, link.watch.auditDue || link.pins.length > 0);
    this.#progress = true;
    return undefined;
  }

  #unnamedDestroyed(server: Server): void {
    this.#link.unnamed = undefined;
    if (server.state.unnamedOwner !== this.#link) server.state.unnamedOwner = undefined;
  }

  #commandComplete(server: Server, bytes: Buffer, at: number): void {
    const tag = stateTag(bytes, at);
    if (tag === undefined) return;
    const link = this.#link;
    switch (tag) {
      case 'ROLLBACK':
        return link.recorder?.rolledBack();
      case 'SET': {
        const executed = server.state.answers.headSubject as Executed | undefined;
        const autocommit = server.status === TransactionStatus.Idle && server.state.answers.head !== Owed.Query;
        const alone = autocommit || (server.status === TransactionStatus.Idle && isLone(executed));
        return link.watch.set(executed, alone, (name) => isReported(server, name));
      }
      case 'DISCARD ALL':
        server.state.discarded();
        this.#forgetStatements(server);
        return link.watch.unclear();
      case 'DEALLOCATE ALL':
        this.#forgetStatements(server);
        return link.pins.length > 0 ? link.watch.unclear() : undefined;
      case 'LOAD':
        link.watch.loaded = true;
        return link.watch.unclear();
      case 'ends a pin':
        this.#deallocated(server);
        return link.pins.length > 0 ? link.watch.unclear() : undefined;
      default:
        return link.watch.unclear();
    }
  }

  /** A DEALLOCATE, perhaps of a statement that was prepared by message. */
  #deallocated(server: Server): void {
    const subject = server.state.answers.headSubject as Subject | Executed | undefined;
    let statement: ClientStatement | undefined;
    if (subject instanceof StatementText) statement = subject.deallocates;
    else if (subject !== undefined && 'kind' in subject && subject.kind === 'deallocate') statement = subject.statement;
    if (statement === undefined) return;
    server.state.prepared.delete(statement.text);
    this.#link.statements.closed(statement);
  }

  #forgetStatements(server: Server): void {
    this.#link.statements.clear();
    server.state.prepared.clear();
  }

  #parseComplete(server: Server): Buffer | undefined {
    this.#expect(server, Owed.Parse);
    const answers = server.state.answers;
    const injected = answers.headInjected;
    const subject = answers.headSubject as Subject | undefined;
    answers.shift();
    if (subject?.kind === 'parse again') {
      this.#parsedAgain(server, subject.statement, subject.definition);
    } else if (subject?.kind === 'parse') {
      this.#link.statements.parsed(subject.statement);
      server.state.prepared.set(subject.statement.text, { shape: undefined });
    } else if (subject?.kind === 'prepare') {
      server.state.prepared.set(subject.text, { shape: undefined });
    } else if (subject?.kind === 'unnamed') {
      this.#link.unnamed = subject.unnamed;
      server.state.unnamedOwner = this.#link;
    }
    return injected ? NOTHING : undefined;
  }

  /** The name was free after all (a DEALLOCATE ALL sent ahead of it was run): the server has another text under it. */
  #parsedAgain(server: Server, former: ClientStatement, definition: Buffer): void {
    const statement = this.#link.statements.parsing(former.name, definition, former.segment);
    this.#link.statements.parsed(statement);
    server.state.unclean = true;
  }

  #closeComplete(server: Server): Buffer | undefined {
    this.#expect(server, Owed.Close);
    const answers = server.state.answers;
    const injected = answers.headInjected;
    const subject = answers.headSubject as Subject | undefined;
    answers.shift();
    if (subject?.kind === 'close') this.#link.statements.closed(subject.statement);
    else if (subject?.kind === 'drop') server.state.prepared.delete(subject.text);
    else if (subject?.kind === 'unnamed') this.#link.unnamed = undefined;
    return injected ? NOTHING : undefined;
  }

  #describeComplete(server: Server, type: number, bytes: Buffer, at: number, end: number): Buffer | undefined {
    const answers = server.state.answers;
    if (type === Backend.RowDescription && !answers.headInjected)
      this.#link.recorder?.digest?.description(bytes, at, end);
    if (answers.head !== Owed.Describe) return undefined; // a row description within a Query's answer
    const injected = answers.headInjected;
    const subject = answers.headSubject as Subject | undefined;
    answers.shift();
    if (!injected || subject?.kind !== 'describe') return undefined;
    const row = type === Backend.RowDescription ? bytes.subarray(at, end) : undefined;
    const shape = subject.text.internShape(resultShape(this.#described ?? NO_PARAMETERS, row));
    this.#described = undefined;
    const there = server.state.prepared.get(subject.text);
    if (there !== undefined) there.shape = shape;
    if (subject.statement !== undefined) subject.statement.shape = shape;
    else {
      this.#requests.prepared();
      this.#progress = true;
    }
    return NOTHING;
  }

  #errorResponse(server: Server, bytes: Buffer, at: number, end: number): Buffer | undefined {
    const answers = server.state.answers;
    const head = answers.head;
    const message = bytes.subarray(at, end);
    this.fatal = errorFieldMap(message).get('V') === 'FATAL';
    if (head === 0 || this.fatal) return undefined;
    this.#link.watch.failed();
    if (head === Owed.Query || head === Owed.FunctionCall) {
      this.#link.recorder?.erred(sqlstateOf(bytes, at, end), 0);
      this.#deallocateFailed(server);
      answers.copyFailed();
      return undefined;
    }
    const subject = answers.headSubject as Subject | undefined;
    const stale = subject?.kind === 'stale';
    const sqlstate = stale ? '0A000' : sqlstateOf(bytes, at, end);
    this.#link.recorder?.erred(sqlstate, answers.headOffset);
    if (subject?.kind === 'unnamed') {
      // A Parse that fails destroys the unnamed statement that was there before.
      this.#link.unnamed = undefined;
    }
    const skipped = answers.failSegment((dropped) => this.#dropped(server, dropped as Subject | undefined, subject));
    if (skipped > 0) this.#link.recorder?.requestsSkipped(skipped);
    this.#requests.segmentFailed();
    this.#progress = true;
    if (stale) return Buffer.concat([subject.before, stalePlanError(errorFieldMap(message).get('S') ?? 'ERROR')]);
    if (subject?.kind === 'refused') return errorResponse(subject.error);
    return this.#inClientsWords(message, subject);
  }

  /** A message was skipped because of an error (`erred` is what erred itself): what it was to do has not been done. */
  #dropped(server: Server, subject: Subject | undefined, erred: Subject | undefined): void {
    if (subject === undefined || subject === erred || subject.kind !== 'unnamed') return;
    if (subject.unnamed === undefined) return;
    this.#requests.unnamedSkipped();
    if (server.state.unnamedOwner === this.#link) server.state.unnamedOwner = subject.ownerBefore;
  }

  /** In a failed transaction even DEALLOCATE is refused: the statement stays. */
  #deallocateFailed(server: Server): void {
    const subject = server.state.answers.headSubject as Subject | undefined;
    if (subject?.kind === 'deallocate') this.#link.statements.notClosed(subject.statement);
  }

  /** The error as the client would have had it: its statements have its own names. */
  #inClientsWords(message: Buffer, subject: Subject | undefined): Buffer | undefined {
    const poolName = poolNameIn(message, this.#link.statements.prefix);
    if (poolName === undefined) return undefined;
    const parsed = subject?.kind === 'parse' ? subject.statement.name : undefined;
    const name = parsed ?? this.#link.statements.nameOf(poolName);
    return name === undefined ? undefined : withClientName(message, poolName, name);
  }
}

function isReported(server: Server, name: string): boolean {
  for (const reported of server.state.reported.entries.keys()) if (reported.toLowerCase() === name) return true;
  return false;
}

/** Whether a simple query is one statement: others in it could undo what it does. */
function isLone(executed: Executed | undefined): boolean {
  return executed !== undefined && !/;\s*\S/.test(executed.text);
}

const NOTHING = Buffer.alloc(0);
/** A ParameterDescription without parameters. */
const NO_PARAMETERS = Buffer.from([0x74, 0, 0, 0, 6, 0, 0]);
