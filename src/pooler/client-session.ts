import type { RecordingDesk } from '../mirror/record/recording-desk.ts';
import type { TransactionRecorder } from '../mirror/record/transaction-recorder.ts';
import type { ClientSocket } from '../net/client-socket.ts';
import type { CheckoutError, Pool, Waiter } from '../pool/pool.ts';
import type { ServerUser } from '../pool/server-connection.ts';
import { errorResponse } from '../protocol/backend-messages.ts';
import type { ErrorFields } from '../protocol/backend-messages.ts';
import { Frontend, TransactionStatus } from '../protocol/message-types.ts';
import type { ProtocolError } from '../protocol/protocol-error.ts';
import type { ParameterSet } from '../session/parameter-set.ts';
import { PinReason } from '../session/session-audit.ts';
import type { ServerSession } from '../session/server-session.ts';
import type { StatementRegistry } from '../session/statement-names.ts';
import { AnswerRelay } from './answer-relay.ts';
import { InsistentCancel, sendCancel } from './cancel.ts';
import { departure, rollBack, staysInBlock } from './departure.ts';
import type { PoolerMode } from './pooler-options.ts';
import type { OutputAssembly } from './output-assembly.ts';
import { handBack } from './hand-back.ts';
import { giveClientSettings, hasClientSettings } from './client-settings.ts';
import { RequestReader } from './request-reader.ts';
import { RequestRelay } from './request-relay.ts';
import { CANCELLED, NO_BLOCKS, TOO_MANY_PINNED, serverLostError } from './session-errors.ts';
import { auditSession } from './session-findings.ts';
import { SessionLink } from './session-link.ts';
import type { Server } from './session-link.ts';
import { SessionTimeouts } from './session-timeouts.ts';
import type { WaitsFor } from './session-timeouts.ts';
import { WithoutServer } from './without-server.ts';

export interface ClientSessionOptions {
  readonly client: ClientSocket;
  readonly processId: number;
  readonly secretKey: Buffer;
  readonly database: string;
  readonly user: string;
  readonly pool: Pool<ServerSession>;
  readonly mode: PoolerMode;
  readonly registry: StatementRegistry;
  readonly assembly: OutputAssembly;
  readonly recorder: TransactionRecorder | undefined;
  readonly settings: ParameterSet;
  readonly reported: ParameterSet;
  readonly limits: SessionLimits;
  readonly absentName: string;
  /** The session is over and holds nothing any more. */
  readonly onClosed: (session: ClientSession, reason: string) => void;
}

/** What bounds a session; times in milliseconds, sizes in bytes. */
export interface SessionLimits {
  /** 0 is off, here and below. */
  readonly queryTimeoutMs: number;
  readonly clientIdleTimeoutMs: number;
  readonly clientIdleInTransactionTimeoutMs: number;
  readonly cancelOnDisconnect: boolean;
  readonly prepared: boolean;
  readonly preparedBytes: number;
  readonly maxMessageSize: number;
  readonly maxPipelineDepth: number;
  readonly preparedLimit: number;
  readonly rollbackTimeoutMs: number;
  readonly cancelTimeoutMs: number;
}

/**
 * A client that sends no more while it is in a transaction block may be waiting for answers, or be gone: nothing tells.
 * It is served for so long; then what it left is cancelled and rolled back.
 */
const HALF_CLOSED_PATIENCE_MS = 1_000;

/** More than this queued towards the server, and the client is not read from until it has gone. */
const SERVER_BACKLOG_BYTES = 65_536;

/**
 * A logged-in client in transaction mode. It is in one of these states:
 *
 * - `idle`: it has no server connection, and nothing of a request has come;
 * - `waiting`: the first message of a request is here, and a server connection is being waited for, or made to have the
 *   client's settings; the client is not read from;
 * - `active`: it has a server connection: messages pass in both directions, until the server is idle, owes nothing, and
 *   has taken everything the client has sent. Then the connection goes back, and the state is `idle`;
 * - `leaving`: the client has gone in mid-request: answers are read to the end and forgotten, an open transaction is
 *   cancelled and rolled back, and only then the connection goes back;
 * - `closed`.
 *
 * A client that has only closed its sending half is served to the end of what it has sent.
 */
export class ClientSession implements Waiter<ServerSession> {
  readonly options: ClientSessionOptions;
  readonly link: SessionLink;
  readonly #client: ClientSocket;
  readonly #reader: RequestReader;
  readonly #requests: RequestRelay;
  readonly #answers: AnswerRelay;
  #state: 'idle' | 'waiting' | 'active' | 'leaving' | 'closed' = 'idle';
  readonly #withoutServer: WithoutServer;
  readonly #timeouts: SessionTimeouts;
  #inputPaused = false;
  #outputPaused = false;
  #inputEnded = false;
  #closeWhenIdle: ErrorFields | undefined;
  #closeReason = '';
  /** What the client is told at the very end. */
  #parting: Buffer | undefined;
  /** The server was brought to come to a ReadyForQuery without its client. */
  #departed = false;
  /** How long a client that sends no more is still served in a transaction block. */
  #patience: NodeJS.Timeout | undefined;
  #cancelling: InsistentCancel | undefined;
  #recordWith: RecordingDesk | undefined;
  /** One for all its transactions: it listens to the server that is linked. */
  readonly #serverUser: ServerUser = {
    bytes: (chunk) => {
      if (this.link.server !== undefined) this.#answers.bytes(this.link.server, chunk);
    },
    lost: (reason) => this.#serverLost(reason),
  };
  readonly connectedAt = Date.now();
  #waitingSince = 0;
  /** When the current transaction got its server connection. */
  #startedAt = 0;

  constructor(options: ClientSessionOptions) {
    this.options = options;
    this.#client = options.client;
    this.link = new SessionLink(options);
    this.#withoutServer = new WithoutServer(options.client);
    this.#timeouts = new SessionTimeouts(options.limits);
    const { limits, absentName } = options;
    this.#requests = new RequestRelay(this.link, options.assembly, { ...limits, absentName });
    this.#answers = new AnswerRelay(this.link, this.#requests, {
      progress: () => this.#progress(),
      clientIsSlow: () => this.#clientIsSlow(),
      brokenServer: (error) => this.#serverFailed(error.code, error.message),
    });
    this.#reader = new RequestReader(
      {
        message: (type, bytes, start, end) => this.#message(type, bytes, start, end),
        longMessage: (type, bytes, start, end, length) => this.#longMessage(type, bytes, start, end, length),
        piece: (bytes, start, end, last) => this.#piece(bytes, start, end, last),
        violation: (error) => this.#violation(error),
      },
      options.limits,
    );
  }

  get state(): 'idle' | 'waiting' | 'active' | 'leaving' | 'closed' {
    return this.#state;
  }

  /** Milliseconds for which it has waited for a server connection, 0: it does not. */
  get waits(): number {
    return this.#state === 'waiting' && this.link.server === undefined ? performance.now() - this.#waitingSince : 0;
  }

  /** Takes the client over from its login; `backlog` came behind its last login message. */
  start(backlog: Buffer): void {
    this.#client.handler = {
      bytes: (chunk) => this.#clientBytes(chunk),
      ended: () => this.#clientEnded(),
      closed: () => this.#clientGone('client closed the connection'),
    };
    if (backlog.length > 0) this.#clientBytes(backlog);
  }

  /** Another connection asks to cancel what runs here. */
  cancel(): void {
    if (this.#state === 'waiting' && this.link.server === undefined) {
      this.options.pool.leave(this);
      this.#refuse(CANCELLED);
      return;
    }
    const server = this.link.server;
    if (server === undefined || server.state.answers.requests === 0) return;
    this.link.recorder?.cancelled();
    this.#cancelServer(server);
  }

  /** Ends the session as soon as it is idle, at once where it is, with this FATAL message. */
  closeWhenIdle(reason: ErrorFields): void {
    if (this.#state === 'idle' && this.#reader.pending === 0) this.#close(reason);
    else if (this.#pinnedIdle) this.abort(reason);
    else this.#closeWhenIdle = reason;
  }

  /** It keeps its server connection, and waits for a request. */
  get #pinnedIdle(): boolean {
    return this.#state === 'active' && this.#keepsServer && this.#waitsFor() === 'request';
  }

  /** What its transactions leave in the session is needed on mirrors, too. LISTEN is never sent to one. */
  get #needsSession(): boolean {
    return this.link.pins.some((pin) => pin !== PinReason.Listen);
  }

  /** Outside a transaction, too. */
  get #keepsServer(): boolean {
    return this.link.pins.length > 0 || this.options.mode === 'session';
  }

  /** Called every so often: ends what takes too long. `elapsedMs`: since the last call. */
  sweep(elapsedMs: number): void {
    const waitsFor = this.#waitsFor();
    const error = this.#timeouts.sweep(waitsFor, elapsedMs);
    if (error === undefined) return;
    if (waitsFor === 'answer' && this.link.server !== undefined) this.#cancelServer(this.link.server);
    if (waitsFor === 'request') this.closeWhenIdle(error);
    else this.abort(error);
  }

  #waitsFor(): WaitsFor {
    if (this.#state === 'idle') return 'request';
    const server = this.link.server;
    if (this.#state !== 'active' || server === undefined) return undefined;
    if (server.state.answers.requests > 0) return 'answer';
    if (this.#reader.pending > 0 || this.#reader.streaming) return undefined;
    return server.status === TransactionStatus.Idle && !server.state.answers.segmentOpen ? 'request' : 'transaction';
  }

  /** Ends the session now; a transaction under way is rolled back. */
  abort(reason: ErrorFields): void {
    if (this.#state === 'closed' || this.#state === 'leaving') return;
    // What the client has not taken lies in the server's read buffer, which is about to be used again.
    if (this.#outputPaused) this.#client.destroy();
    else this.#client.end(errorResponse(reason));
    this.#clientGone(reason.message);
  }

  /** The source has a mirror now: the client is recorded from its next transaction on. */
  recordFromNextTransaction(desk: RecordingDesk): void {
    if (this.link.recorder !== undefined) return;
    this.#recordWith = desk;
    if (this.#state === 'idle') this.#startRecording();
  }

  #startRecording(): void {
    const { database, user } = this.options;
    this.link.recorder = this.#recordWith?.open({ database, user, settings: this.link.settings });
    this.#recordWith = undefined;
  }

  granted(server: Server): void {
    this.link.statistics.waitTime += performance.now() - this.#waitingSince;
    this.#link(server);
    if (this.#prepareSettings(server)) this.#resumeInput();
  }

  refused(error: CheckoutError): void {
    this.#refuse({ severity: 'ERROR', code: error.code, message: error.message });
  }

  // From the client

  #clientBytes(chunk: Buffer): void {
    if (this.#state === 'closed' || this.#state === 'leaving') return;
    this.#timeouts.activity();
    this.link.statistics.received += chunk.length;
    this.#reader.push(chunk);
    this.#afterInput();
  }

  /** What the walk over the client's bytes has put together goes out in one write. */
  #afterInput(): void {
    this.#flushToServer();
    if (this.#inputEnded) this.#inputOver();
    else if (this.#reader.blocked) this.#pauseInput();
  }

  #flushToServer(): void {
    const assembly = this.options.assembly;
    if (assembly.empty) return;
    const bytes = assembly.take();
    const server = this.link.server;
    if (server === undefined || server.closed) return;
    if (server.socket.write(bytes)) return;
    assembly.pending(bytes);
    if (server.socket.writableLength < SERVER_BACKLOG_BYTES) return;
    this.#pauseInput();
    server.socket.whenFlushed(() => {
      if (!this.#reader.blocked) this.#readInput();
    });
  }

  #message(type: number, bytes: Buffer, start: number, end: number): boolean {
    if (type === Frontend.Terminate) {
      this.#inputEnded = true;
      this.#reader.stop();
      return true;
    }
    const server = this.link.server;
    if (server !== undefined) {
      return this.#state === 'active' && this.#requests.forward(server, type, bytes, start, end);
    }
    if (this.#withoutServer.takes(type, end - start)) return true;
    const granted = this.#checkout();
    return granted !== undefined && this.#requests.forward(granted, type, bytes, start, end);
  }

  #longMessage(type: number, bytes: Buffer, start: number, end: number, length: number): boolean | undefined {
    let server = this.link.server;
    if (server === undefined) {
      if (this.#withoutServer.refusing || type === Frontend.CopyData) return undefined;
      server = this.#checkout();
      if (server === undefined) return false;
    }
    if (this.#state !== 'active') return false;
    return this.#requests.forwardLong(server, type, bytes, start, end, length);
  }

  #piece(bytes: Buffer, start: number, end: number, last: boolean): void {
    const server = this.link.server;
    if (server !== undefined) this.#requests.piece(server, bytes, start, end, last);
  }

  #violation(error: ProtocolError): void {
    // What came before it is answered first. PostgreSQL has no word for a length that cannot be.
    const fatal = { severity: 'FATAL', code: error.code, message: error.message };
    if (error.message !== 'invalid message length') this.#parting = errorResponse(fatal);
    this.#inputEnded = true;
    const server = this.link.server;
    if (server !== undefined && this.#parting !== undefined) this.#requests.hurry(server);
  }

  #pauseInput(): void {
    if (this.#inputPaused) return;
    this.#inputPaused = true;
    this.#client.pause();
  }

  #readInput(): void {
    if (!this.#inputPaused || this.#state === 'closed') return;
    this.#inputPaused = false;
    this.#client.resume();
  }

  /** Shows the reader again what it was told to keep. */
  #resumeInput(): void {
    this.#reader.resume();
    this.#afterInput();
    if (!this.#reader.blocked) this.#readInput();
  }

  // The server connection

  #checkout(): Server | undefined {
    const server = this.options.pool.checkout(this, this.link.settings.key);
    if (server === undefined) {
      this.#state = 'waiting';
      this.#waitingSince = performance.now();
      return undefined;
    }
    this.#link(server);
    return this.#prepareSettings(server) ? server : undefined;
  }

  #link(server: Server): void {
    this.#startedAt = performance.now();
    this.link.statistics.assignments++;
    this.link.link(server);
    this.#state = 'active';
    server.setUser(this.#serverUser);
  }

  /** Gives the server the client's settings where it has others. False: that takes a while; input waits. */
  #prepareSettings(server: Server): boolean {
    if (hasClientSettings(this.link, server)) return true;
    this.#state = 'waiting';
    giveClientSettings(this.link, server, this.options.limits.rollbackTimeoutMs, (error) => {
      if (error === undefined) {
        this.#settingsPrepared(server);
        return;
      }
      this.link.unlink();
      this.#refuse(error);
    });
    return false;
  }

  #settingsPrepared(server: Server): void {
    if (this.#state !== 'waiting') {
      this.#unlink();
      this.options.pool.release(server);
      this.#finish();
      return;
    }
    this.#link(server);
    this.#resumeInput();
    if (this.#keepsServer && this.link.server === server) this.#progress();
  }

  #refuse(error: ErrorFields): void {
    if (this.#state === 'leaving' || this.#state === 'closed') {
      this.#finish();
      return;
    }
    this.#state = 'idle';
    this.#withoutServer.refuse(error);
    this.#resumeInput();
    // Half a message was shown: nothing has been refused to anybody yet.
    this.#afterIdle();
  }

  /** The server answered something: the connection may go back, or what waited for the answer may go on. */
  #progress(): void {
    const server = this.link.server;
    if (server === undefined) return;
    this.#timeouts.activity();
    if (this.#state === 'leaving') {
      this.#leave(server);
      return;
    }
    if (this.options.mode === 'statement' && server.status !== TransactionStatus.Idle) {
      this.abort(NO_BLOCKS);
      return;
    }
    if (server.state.answers.doubt !== undefined) {
      this.#requests.askDoubt(server);
      this.#flushToServer();
    }
    const answers = server.state.answers;
    // What waits is not sent before it is known what the transaction did to the client's settings.
    const auditFirst = this.link.watch.auditDue && answers.quiet && server.status === TransactionStatus.Idle;
    if (this.#reader.blocked && !auditFirst) this.#resumeInput();
    const done = answers.quiet && server.status === TransactionStatus.Idle && !this.#reader.streaming;
    if (this.link.server !== server || !this.#answers.atMessageStart) return;
    if (done) this.#transactionEnded(server);
    else if (this.#inputEnded) this.#inputOver();
  }

  /** The server is idle and owes nothing: what the transaction left in its session decides what becomes of it. */
  #transactionEnded(server: Server): void {
    if (this.#outputPaused || this.#state !== 'active') return;
    this.#countTransaction(server);
    const watch = this.link.watch;
    if (watch.auditDue) {
      this.#audit(server);
      return;
    }
    const sets = watch.take();
    if (sets !== undefined) {
      for (const [name, value] of sets) {
        server.state.applied = server.state.applied.with(name, value);
        this.link.settings = this.link.settings.with(name, value);
      }
    }
    if (this.#keepsServer) this.#stayPinned();
    else this.#release(server);
  }

  #countTransaction(server: Server): void {
    const { statistics } = this.link;
    const now = performance.now();
    const transactions = server.state.answers.takeTransactions();
    if (transactions === 0) return;
    statistics.transactions += transactions;
    server.transactions += transactions;
    statistics.transactionTime += now - this.#startedAt;
    this.#startedAt = now;
  }

  /** Asks the session what was done to it, once no cancel of the client's can hit the question. Input waits meanwhile. */
  #audit(server: Server): void {
    this.#state = 'waiting';
    if (server.cancels > 0) server.onCancelsDone = () => this.#auditNow(server);
    else this.#auditNow(server);
  }

  #auditNow(server: Server): void {
    if (this.link.server !== server) return;
    const wasPinned = this.link.pins.length > 0;
    const options = {
      loginUser: this.options.pool.options.login.user,
      timeoutMs: this.options.limits.rollbackTimeoutMs,
    };
    auditSession(this.link, server, options, (lost) => {
      if (lost !== undefined) this.#serverGone(lost.lastWords ?? errorResponse(serverLostError(lost.reason)));
      else this.#audited(server, wasPinned);
    });
  }

  #audited(server: Server, wasPinned: boolean): void {
    const pinned = this.link.pins.length > 0;
    this.link.recorder?.concluded(this.#needsSession);
    if (this.#state !== 'waiting') {
      server.state.unclean ||= this.#keepsServer;
      this.#unlink();
      this.#handBack(server);
      this.#finish();
      return;
    }
    this.#link(server);
    if (!this.#keepsServer) {
      // What waits gets a connection anew: this one may have lost the client's settings (RESET).
      this.#release(server);
      this.#resumeInput();
      return;
    }
    if (pinned && !wasPinned && !this.options.pool.pin(server)) {
      this.abort(TOO_MANY_PINNED);
      return;
    }
    if (!this.#prepareSettings(server)) return;
    this.#resumeInput();
    if (this.link.server === server) this.#progress();
  }

  /** The client keeps the connection: it is idle, but nobody else's. */
  #stayPinned(): void {
    this.link.recorder?.concluded(this.#needsSession);
    if (this.#closeWhenIdle !== undefined) this.abort(this.#closeWhenIdle);
    else if (this.#inputEnded && !this.#reader.blocked) this.#clientGone('client closed the connection');
  }

  #release(server: Server): void {
    // Its read buffer still holds what the client has not taken: the next answer would overwrite it.
    if (this.#outputPaused) return;
    this.#unlink();
    this.#state = 'idle';
    this.#handBack(server);
    this.#afterIdle();
  }

  #unlink(): void {
    this.link.unlink();
    this.#requests.reset();
    this.#answers.reset();
  }

  #handBack(server: Server): void {
    handBack(server, this.options.pool, this.options.limits.rollbackTimeoutMs);
  }

  #afterIdle(): void {
    if (this.#state !== 'idle') return;
    if (this.#recordWith !== undefined) this.#startRecording();
    if (this.#closeWhenIdle !== undefined) this.#close(this.#closeWhenIdle);
    else if (this.#inputEnded && !this.#reader.blocked) this.#clientGone('client closed the connection');
  }

  #serverLost(reason: string): void {
    // The server has said why itself.
    this.#serverGone(this.#answers.fatal ? undefined : errorResponse(serverLostError(reason)));
  }

  #serverFailed(code: string, message: string): void {
    this.link.server?.close('protocol_error');
    this.#serverGone(errorResponse({ severity: 'FATAL', code, message }));
  }

  /** `lastWords`: what the client is still to be told. */
  #serverGone(lastWords: Buffer | undefined): void {
    this.link.recorder?.aborted();
    this.#unlink();
    if (!this.link.clientGone) this.#client.end(lastWords);
    this.link.clientGone = true;
    this.#finish();
  }

  /** The server is not read from until the client has taken what there is. */
  #clientIsSlow(): void {
    if (this.#outputPaused) return;
    this.#outputPaused = true;
    const server = this.link.server;
    this.#client.whenFlushed(() => {
      this.#outputPaused = false;
      if (this.link.server !== server || server === undefined) return;
      server.socket.resume();
      this.#progress();
    });
  }

  #cancelServer(server: Server): void {
    sendCancel(server, this.options.pool.options.login.address, this.options.limits.cancelTimeoutMs);
  }

  // The end

  #clientEnded(): void {
    this.#inputEnded = true;
    this.#inputOver();
  }

  /** The client sends no more: it is served to the end of what it has sent, as far as that has one. */
  #inputOver(): void {
    const server = this.link.server;
    if (this.#state === 'idle') this.#clientGone('client closed the connection');
    if (this.#state !== 'active' || server === undefined) return;
    if (!this.#owesAnswers(server)) this.#clientGone('client closed the connection');
    else if (staysInBlock(server)) this.#patience ??= setTimeout(() => this.#patienceOver(), HALF_CLOSED_PATIENCE_MS);
  }

  /** Whether answers are to come without anything more from the client. */
  #owesAnswers(server: Server): boolean {
    const { answers } = server.state;
    if (this.#reader.streaming || answers.copyIn) return false;
    return this.#reader.blocked || answers.answerDue || answers.doubt !== undefined;
  }

  #patienceOver(): void {
    this.#patience = undefined;
    if (this.link.server === undefined || staysInBlock(this.link.server)) {
      this.#clientGone('client closed the connection');
    }
  }

  /** The client cannot be served any more: what it left on the server is finished or undone. */
  #clientGone(reason: string): void {
    if (this.#state === 'closed' || this.#state === 'leaving') return;
    this.#closeReason = reason;
    this.link.clientGone = true;
    this.#reader.stop();
    const server = this.link.server;
    if (this.#state === 'waiting') {
      this.options.pool.leave(this);
      this.#state = 'leaving';
      if (server === undefined) this.#finish();
      return;
    }
    if (server === undefined) {
      this.#finish();
      return;
    }
    this.#flushToServer();
    this.#state = 'leaving';
    if (this.#keepsServer) server.state.unclean = true;
    this.#outputPaused = false;
    server.socket.resume();
    this.#depart(server);
  }

  #depart(server: Server): void {
    const { answers } = server.state;
    const how = departure(server, this.#reader.streaming);
    if (how === 'close') {
      if (answers.length > 0) this.#cancelServer(server);
      this.#abandon(server);
      return;
    }
    this.#departed = true;
    if (how === 'cancel' || (this.options.limits.cancelOnDisconnect && answers.requests > 0)) this.#insist(server);
    this.#leave(server);
  }

  /** Cancels what the server runs for nobody, until it is quiet. */
  #insist(server: Server): void {
    const cancel = (): void => {
      if (server.cancels === 0) this.#cancelServer(server);
    };
    this.#cancelling ??= new InsistentCancel(
      cancel,
      () => this.#abandon(server),
      this.options.limits.rollbackTimeoutMs,
    );
  }

  #abandon(server: Server): void {
    server.close('unclean');
    this.link.recorder?.aborted();
    this.#unlink();
    this.#finish();
  }

  /** Goes on with leaving once the server has answered everything. */
  #leave(server: Server): void {
    if (!this.#departed || this.link.server !== server) return;
    const { answers } = server.state;
    if (!answers.quiet || !this.#answers.atMessageStart) {
      // Sent ahead, it got into a block only now.
      if (answers.requests > 0 && staysInBlock(server)) this.#insist(server);
      return;
    }
    this.#cancelling?.stop();
    if (server.cancels > 0) {
      // What was to be cancelled has ended: the cancel must not hit what cleans up after it.
      server.onCancelsDone = () => this.#leave(server);
      return;
    }
    // Nobody takes over any more what its last transaction left; and a rollback undoes neither PREPARE nor an advisory lock.
    server.state.unclean ||= this.link.watch.auditDue || this.link.watch.take() !== undefined;
    this.#unlink();
    if (server.status !== TransactionStatus.Idle) this.link.recorder?.aborted();
    rollBack(server, this.options.limits.rollbackTimeoutMs, (usable) => {
      if (usable) this.#handBack(server);
      this.#finish();
    });
  }

  #close(reason: ErrorFields): void {
    this.#client.end(errorResponse(reason));
    this.link.clientGone = true;
    this.#closeReason = reason.message;
    this.#finish();
  }

  #finish(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.link.clientGone = true;
    clearTimeout(this.#patience);
    this.#cancelling?.stop();
    this.#reader.stop();
    if (!this.#client.over) this.#client.end(this.#parting);
    this.link.statements.dispose();
    this.link.recorder?.closed();
    this.options.onClosed(this, this.#closeReason);
  }
}
