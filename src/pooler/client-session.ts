import type { RecordingDesk } from '../mirror/record/recording-desk.ts';
import type { ClientSocket, ClientSocketHandler } from '../net/client-socket.ts';
import type { CheckoutError, Waiter } from '../pool/waiting-line.ts';
import type { ErrorFields } from '../protocol/backend-messages.ts';
import type { ProtocolError } from '../protocol/protocol-error.ts';
import { TransactionStatus } from '../protocol/message-types.ts';
import type { ServerSession } from '../session/server-session.ts';
import { monotonicNow } from '../util/clock.ts';
import { AnswerRelay } from './answer-relay.ts';
import type { AnswerListener } from './answer-relay.ts';
import { sendCancel } from './cancel.ts';
import { ClientInput } from './client-input.ts';
import type { InputOwner } from './client-input.ts';
import { handBack } from './hand-back.ts';
import { LinkedUser } from './linked-user.ts';
import { RequestRelay } from './request-relay.ts';
import { CANCELLED, TOO_MANY_PINNED } from './session-errors.ts';
import { SessionEnding } from './session-ending.ts';
import type { EndingOwner } from './session-ending.ts';
import { auditOptions, auditSession } from './session-findings.ts';
import { SessionLink } from './session-link.ts';
import type { Server, SessionState } from './session-link.ts';
import type { ClientSessionOptions } from './session-options.ts';
import { SessionPreparation } from './session-preparation.ts';
import type { PreparationOwner } from './session-preparation.ts';
import { SessionTimeouts, whatIsWaitedFor } from './session-timeouts.ts';
import type { WaitsFor } from './session-timeouts.ts';
import { SlowOutput } from './slow-output.ts';
import { countTransactions, mirrorsNeedSession, objectionTo, takeOverSets } from './transaction-end.ts';

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
 *
 * It is itself what its parts call back: for each of ten thousand idle clients, that is a dozen functions less.
 */
export class ClientSession
  implements Waiter<ServerSession>, ClientSocketHandler, AnswerListener, InputOwner, PreparationOwner, EndingOwner
{
  readonly options: ClientSessionOptions;
  readonly link: SessionLink;
  readonly #client: ClientSocket;
  readonly #input: ClientInput;
  readonly #requests: RequestRelay;
  readonly #answers: AnswerRelay;
  readonly #output: SlowOutput;
  readonly #ending: SessionEnding;
  readonly #preparation: SessionPreparation;
  readonly #timeouts: SessionTimeouts;
  #closeWhenIdle: ErrorFields | undefined;
  readonly #serverUser: LinkedUser;
  readonly connectedAt = Date.now();
  #hasAsked = false;
  #waitingSince = 0;

  constructor(options: ClientSessionOptions) {
    this.options = options;
    this.#client = options.client;
    this.link = new SessionLink(options);
    this.#timeouts = new SessionTimeouts(options.limits);
    // Times are read when they count; what is said of messages and statements here holds for the whole session.
    const { limits, absentName } = options;
    this.#requests = new RequestRelay(this.link, options.assembly, { ...limits, absentName });
    this.#answers = new AnswerRelay(this.link, this.#requests, this);
    this.#input = new ClientInput(this.link, this.#requests, { ...limits, assembly: options.assembly }, this);
    this.#output = new SlowOutput(this.link, this);
    const parts = { link: this.link, input: this.#input, answers: this.#answers, output: this.#output };
    this.#ending = new SessionEnding(options, parts, this);
    this.#serverUser = new LinkedUser(this.link, this.#answers, this.#ending);
    this.#preparation = new SessionPreparation({ ...parts, ending: this.#ending }, this, limits.rollbackTimeoutMs);
  }

  get state(): SessionState {
    return this.link.state;
  }

  /** The client has sent something since its login. */
  get hasAsked(): boolean {
    return this.#hasAsked;
  }

  /** Milliseconds for which it has waited for a server connection, 0: it does not. */
  get waits(): number {
    return this.link.state === 'waiting' && this.link.server === undefined ? monotonicNow() - this.#waitingSince : 0;
  }

  /** Takes the client over from its login; `backlog` came behind its last login message; `ended`: and no more will. */
  start(backlog: Buffer, ended = false): void {
    this.#client.handler = this;
    if (backlog.length > 0) this.bytes(backlog);
    if (ended) this.ended();
  }

  /** Session mode: the client has had this server connection since its login. */
  keep(server: Server): void {
    this.#assigned(server);
    this.#preparation.giveSettings(server);
  }

  /** Another connection asks to cancel what runs here. */
  cancel(): void {
    if (this.link.state === 'waiting' && this.link.server === undefined) {
      this.options.pool.leave(this);
      this.refuse(CANCELLED);
      return;
    }
    const server = this.link.server;
    if (server === undefined) return;
    if (server.state.answers.length > 0) this.cancelServer(server);
    else this.#input.cancelWhenSent();
  }

  /** Ends the session as soon as it is idle, at once where it is, with this FATAL message. */
  closeWhenIdle(reason: ErrorFields): void {
    if (this.link.state === 'idle' && !this.#input.pending) this.#ending.close(reason);
    else if (this.#pinnedIdle) this.abort(reason);
    else this.#closeWhenIdle = reason;
  }

  /** It keeps its server connection, and waits for a request. */
  get #pinnedIdle(): boolean {
    return this.link.state === 'active' && this.keepsServer && !this.#input.pending && this.#waitsFor() === 'request';
  }

  /** Outside a transaction, too. */
  get keepsServer(): boolean {
    return this.link.pins.length > 0 || this.options.mode === 'session';
  }

  /** Called every so often: ends what takes too long. `elapsedMs`: since the last call. */
  sweep(elapsedMs: number): void {
    const waitsFor = this.#waitsFor();
    const error = this.#timeouts.sweep(waitsFor, elapsedMs);
    if (error === undefined) return;
    if (waitsFor === 'answer' && this.link.server !== undefined) this.cancelServer(this.link.server);
    this.abort(error);
  }

  #waitsFor(): WaitsFor {
    const { server, state } = this.link;
    if (state === 'idle') return 'request';
    if (state !== 'active' || server === undefined) return undefined;
    const waitsFor = whatIsWaitedFor(server, this.#input);
    // One that has not read all of its answer yet is not idle.
    return waitsFor === 'request' && this.#output.paused ? undefined : waitsFor;
  }

  #isEndedBy(objection: ErrorFields | undefined): boolean {
    if (objection !== undefined) this.abort(objection);
    return objection !== undefined;
  }

  /** Ends the session now; a transaction under way is rolled back. */
  abort(reason: ErrorFields): void {
    this.#ending.abort(reason);
  }

  /** As `abort`, and the server is not waited for: a transaction under way is rolled back by its going away. */
  cut(reason: ErrorFields): void {
    this.abort(reason);
    const server = this.link.server;
    if (this.link.state === 'leaving' && server !== undefined) this.#ending.abandon(server);
  }

  /** The source has a mirror now: the client is recorded from its next transaction on. */
  recordFromNextTransaction(desk: RecordingDesk): void {
    const { database, user } = this.options;
    this.link.recordLater((settings) => desk.open({ database, user, settings }));
    if (this.link.state === 'idle') this.link.startRecording();
  }

  granted(server: Server): void {
    this.link.statistics.waitTime += monotonicNow() - this.#waitingSince;
    this.#assigned(server);
    if (this.#preparation.giveSettings(server)) this.#input.resume();
  }

  refused(error: CheckoutError): void {
    this.refuse({ severity: 'ERROR', code: error.code, message: error.message });
  }

  /** The client sends no more: it is served to the end of what it has sent, as far as that has one. */
  inputOver(): void {
    this.#ending.inputOver();
  }

  // From the client

  bytes(chunk: Buffer): void {
    if (this.link.state === 'closed' || this.link.state === 'leaving') return;
    this.#hasAsked = true;
    this.link.statistics.received += chunk.length;
    const { streaming } = this.#input;
    // Nothing that it sends shortens the time for which the server is waited for.
    const { answerDue } = this.link.answers;
    if (this.#input.take(chunk) && !answerDue) this.#timeouts.activity();
    // All that was asked may have been answered before a long message was there whole.
    if (streaming && !this.#input.streaming) this.progress();
  }

  ended(): void {
    this.#input.end();
  }

  closed(): void {
    this.#ending.clientGone('client closed the connection');
  }

  // The server connection

  checkout(): Server | undefined {
    const server = this.options.pool.checkout(this, this.link.settings.key);
    if (server === undefined) {
      this.link.state = 'waiting';
      this.#waitingSince = monotonicNow();
      return undefined;
    }
    this.#assigned(server);
    return this.#preparation.giveSettings(server) ? server : undefined;
  }

  /** The pool has given it a server connection. */
  #assigned(server: Server): void {
    this.link.statistics.assignments++;
    if (this.options.pool.options.resetAlways) this.link.recorder?.start.sessionReset();
    this.#link(server);
  }

  /** Takes the server connection over, from the pool or from what pgmirror did on it for the client. */
  #link(server: Server): void {
    this.link.link(server);
    this.link.state = 'active';
    server.setUser(this.#serverUser);
  }

  prepared(server: Server): void {
    this.#link(server);
    this.#input.resume();
    if (this.keepsServer && this.link.server === server) this.progress();
  }

  forgetSequences(server: Server): void {
    this.#preparation.forgetSequences(server);
  }

  showStatements(server: Server): void {
    this.#preparation.showStatements(server);
  }

  refuse(error: ErrorFields): void {
    this.#withoutServer(() => this.#input.refuse(error));
  }

  tryAgain(): void {
    this.#withoutServer(() => this.#input.resume());
  }

  /** What waits for a server connection goes on without the one it was to have. */
  #withoutServer(goOn: () => void): void {
    if (this.link.state === 'leaving' || this.link.state === 'closed') {
      this.#ending.finish();
      return;
    }
    this.link.state = 'idle';
    goOn();
    // Half a message was shown: nothing has been refused to anybody yet.
    this.#afterIdle();
  }

  clientIsSlow(): void {
    this.#output.pause();
  }

  brokenServer(error: ProtocolError): void {
    this.#ending.serverFailed(error);
  }

  /** The server answered something: the connection may go back, or what waited for the answer may go on. */
  progress(): void {
    const server = this.link.server;
    if (server === undefined) return;
    this.#timeouts.activity();
    if (this.link.state === 'leaving') {
      this.#ending.progress();
      return;
    }
    if (this.#isEndedBy(objectionTo(this.link, server, this.options.mode))) return;
    // Amid a message nothing else can be said.
    if (server.state.answers.doubt !== undefined && !this.#input.streaming) {
      this.#requests.askDoubt(server);
      this.#input.flush();
    }
    const answers = server.state.answers;
    // What waits is not sent before it is known what the transaction did to the client's settings.
    const auditFirst = this.link.watch.auditDue && answers.quiet && server.status === TransactionStatus.Idle;
    if (this.#input.blocked && !auditFirst) this.#input.resume();
    const done = answers.quiet && server.status === TransactionStatus.Idle && !this.#input.streaming;
    if (this.link.server !== server || !this.#answers.atMessageStart) return;
    // The server's last words came right behind its answer: the client has them, and goes with the connection.
    if (this.#answers.fatal) return;
    if (done) this.#transactionEnded(server);
    else if (this.#input.isOver) this.inputOver();
  }

  /** The server is idle and owes nothing: what the transaction left in its session decides what becomes of it. */
  #transactionEnded(server: Server): void {
    if (this.#output.paused || this.link.state !== 'active') return;
    server.state.sequencesOf = this.link.statements;
    countTransactions(this.link, server);
    if (this.link.watch.auditDue) {
      this.#audit(server);
      return;
    }
    takeOverSets(this.link, server);
    if (this.keepsServer) this.#stayPinned();
    else this.#release(server);
  }

  /** Asks the session what was done to it. Input waits meanwhile. */
  #audit(server: Server): void {
    this.link.state = 'waiting';
    const wasPinned = this.link.pins.length > 0;
    auditSession(this.link, server, auditOptions(this.options), (lost) => {
      if (lost !== undefined) this.#ending.taskLost(lost);
      else this.#audited(server, wasPinned);
    });
  }

  #audited(server: Server, wasPinned: boolean): void {
    const pinned = this.link.pins.length > 0;
    this.link.recorder?.concluded(mirrorsNeedSession(this.link));
    if (this.#ending.hasLeft(server)) return;
    this.#link(server);
    if (this.#isEndedBy(objectionTo(this.link, server, this.options.mode))) return;
    if (!this.keepsServer) return this.#release(server);
    if (pinned && !wasPinned && !this.options.pool.pin(server)) return this.abort(TOO_MANY_PINNED);
    if (!this.#preparation.giveSettings(server)) return;
    this.#input.resume();
    if (this.link.server === server) this.progress();
  }

  /** The client keeps the connection: it is idle, but nobody else's. */
  #stayPinned(): void {
    this.link.startRecording();
    this.link.recorder?.concluded(mirrorsNeedSession(this.link));
    if (this.#closeWhenIdle !== undefined) this.abort(this.#closeWhenIdle);
    else this.#ending.inputServed();
  }

  #release(server: Server): void {
    // Its read buffer still holds what the client has not taken: the next answer would overwrite it.
    if (this.#output.paused) return;
    this.link.recorder?.concluded(false);
    this.unlink();
    this.link.state = 'idle';
    this.handBack(server);
    this.#afterIdle();
    // What waits gets a connection anew: this one may have lost the client's settings (RESET), or be about to be cancelled.
    if (this.#input.blocked) this.#input.resume();
  }

  unlink(): void {
    this.link.unlink();
    this.#requests.reset();
    this.#answers.reset();
  }

  handBack(server: Server): void {
    handBack(server, this.options.pool, this.options.limits.rollbackTimeoutMs);
  }

  #afterIdle(): void {
    if (this.link.state !== 'idle') return;
    this.link.startRecording();
    if (this.#closeWhenIdle !== undefined) this.#ending.close(this.#closeWhenIdle);
    else this.#ending.inputServed();
  }

  stopWaiting(): void {
    this.options.pool.leave(this);
  }

  /** Asks the server to cancel what it does; whoever wanted it so, a mirror's is cancelled as late. */
  cancelServer(server: Server): void {
    this.link.recorder?.cancelled();
    sendCancel(server, this.options.limits.cancelTimeoutMs);
  }
}
