import { errorResponse } from '../protocol/backend-messages.ts';
import type { ErrorFields } from '../protocol/backend-messages.ts';
import { TransactionStatus } from '../protocol/message-types.ts';
import type { ProtocolError } from '../protocol/protocol-error.ts';
import type { AnswerRelay } from './answer-relay.ts';
import type { ClientInput } from './client-input.ts';
import { Departure, rollBack } from './departure.ts';
import { HalfClosed } from './half-closed.ts';
import type { LostServer } from './server-task.ts';
import { serverLostError } from './session-errors.ts';
import type { Server, SessionLink } from './session-link.ts';
import type { ClientSessionOptions } from './session-options.ts';
import type { SlowOutput } from './slow-output.ts';

const CLIENT_CLOSED = 'client closed the connection';

/** What its end needs of a session. */
export interface EndingOwner {
  /** It has a server connection outside a transaction, too. */
  readonly keepsServer: boolean;
  /** Asks the server to cancel what it runs. */
  cancelServer(server: Server): void;
  /** The server connection is not the session's any more. */
  unlink(): void;
  /** Gives a server connection that nothing is left on back to the pool. */
  handBack(server: Server): void;
  /** Leaves the line of those who wait for a server connection. */
  stopWaiting(): void;
}

/**
 * How a client's session ends: as soon as what the client has left on its server is finished or undone. It holds nothing
 * then, and its owner has been told.
 */
export class SessionEnding {
  readonly #link: SessionLink;
  readonly #options: ClientSessionOptions;
  readonly #input: ClientInput;
  readonly #answers: AnswerRelay;
  readonly #output: SlowOutput;
  readonly #owner: EndingOwner;
  #reason = '';
  /** The client was given up amid a message to it. */
  #cutOff = false;
  #halfClosed: HalfClosed | undefined;
  #departure: Departure | undefined;

  constructor(
    options: ClientSessionOptions,
    parts: {
      readonly link: SessionLink;
      readonly input: ClientInput;
      readonly answers: AnswerRelay;
      readonly output: SlowOutput;
    },
    owner: EndingOwner,
  ) {
    this.#options = options;
    this.#link = parts.link;
    this.#input = parts.input;
    this.#answers = parts.answers;
    this.#output = parts.output;
    this.#owner = owner;
  }

  /** The client sends no more: it is served to the end of what it has sent, as far as that has one. */
  inputOver(): void {
    const { server, state } = this.#link;
    if (state === 'idle') this.clientGone(CLIENT_CLOSED);
    if (state !== 'active' || server === undefined) return;
    this.#halfClosed ??= new HalfClosed(this.#link, this.#input, () => this.clientGone(CLIENT_CLOSED));
    this.#halfClosed.progress(server, this.#output.paused);
  }

  /** A client that sends no more has been served to the end. */
  inputServed(): void {
    if (this.#input.isOver && !this.#input.blocked) this.clientGone(CLIENT_CLOSED);
  }

  /** The client cannot be served any more: what it left on the server is finished or undone. */
  clientGone(reason: string): void {
    const link = this.#link;
    const { server, state } = link;
    if (state === 'closed' || state === 'leaving') return;
    this.#reason = reason;
    this.#cutOff = this.#answers.amidMessage;
    link.clientGone = true;
    this.#input.stop();
    if (state === 'waiting') {
      this.#owner.stopWaiting();
      link.state = 'leaving';
      if (server === undefined) this.finish();
      return;
    }
    if (server === undefined) {
      this.finish();
      return;
    }
    this.#input.flush();
    link.state = 'leaving';
    if (this.#owner.keepsServer) server.state.unclean = true;
    // What it has not taken lies in the server's read buffer, which is about to be used again.
    if (this.#output.paused) link.client.destroy();
    this.#output.forget();
    const { rollbackTimeoutMs, cancelOnDisconnect } = this.#options.limits;
    this.#departure = new Departure(server, rollbackTimeoutMs, {
      atMessageStart: () => this.#answers.atMessageStart,
      cancel: () => this.#owner.cancelServer(server),
      abandon: () => this.abandon(server),
      quiet: () => this.#leave(server),
    });
    this.#departure.begin(this.#input.streaming, cancelOnDisconnect);
  }

  /** Ends the session now, with this FATAL message; a transaction under way is rolled back. */
  abort(reason: ErrorFields): void {
    const { client, state } = this.#link;
    if (state === 'closed' || state === 'leaving') return;
    // What the client has not taken lies in the server's read buffer, which is about to be used again.
    if (this.#output.paused) client.destroy();
    else client.end(this.#answers.amidMessage ? undefined : errorResponse(reason));
    this.clientGone(reason.message);
  }

  /** The server connection was lost; it may have said why itself. */
  serverLost(reason: string): void {
    this.#serverGone(this.#answers.fatal ? undefined : errorResponse(serverLostError(reason)));
  }

  /** The server connection was lost while pgmirror did something on it for the client. */
  taskLost({ reason, lastWords }: LostServer): void {
    this.#serverGone(lastWords ?? errorResponse(serverLostError(reason)));
  }

  /** The server connection was closed: what pgmirror did on it for the client failed. */
  taskFailed(error: ErrorFields): void {
    this.#serverGone(errorResponse({ ...error, severity: 'FATAL' }));
  }

  /** The server broke the protocol. */
  serverFailed({ code, message }: ProtocolError): void {
    this.#link.server?.close('protocol_error');
    this.#serverGone(errorResponse({ severity: 'FATAL', code, message }));
  }

  /** The server connection is gone. `lastWords`: what the client is still to be told. */
  #serverGone(lastWords: Buffer | undefined): void {
    const link = this.#link;
    const { amidMessage } = this.#answers;
    link.recorder?.aborted();
    this.#owner.unlink();
    link.withheld?.letGo();
    if (!link.clientGone) link.client.end(amidMessage ? undefined : lastWords);
    link.clientGone = true;
    this.finish();
  }

  /** The server answered something to a client that has gone. */
  progress(): void {
    this.#departure?.progress();
  }

  /** Ends the session without waiting for its server: a transaction under way is rolled back by its going away. */
  abandon(server: Server): void {
    server.close('unclean');
    this.#link.recorder?.aborted();
    this.#owner.unlink();
    this.finish();
  }

  /** The server has answered everything that the client left. */
  #leave(server: Server): void {
    const { recorder, watch } = this.#link;
    if (this.#link.server !== server) return;
    // Nobody takes over any more what its last transaction left; and a rollback undoes neither PREPARE nor an advisory lock.
    server.state.unclean ||= watch.auditDue || watch.take() !== undefined;
    server.retired ||= watch.connections || watch.seeded;
    this.#owner.unlink();
    if (server.status !== TransactionStatus.Idle) recorder?.aborted();
    rollBack(server, this.#options.limits.rollbackTimeoutMs, (usable) => {
      if (usable) this.#owner.handBack(server);
      this.finish();
    });
  }

  /** Ends a session that is idle, with this FATAL message. */
  close(reason: ErrorFields): void {
    this.#link.client.end(errorResponse(reason));
    this.#reason = reason.message;
    this.finish();
  }

  /** Whether the client went while it waited for what was done on the server: then that goes back, and the session ends. */
  hasLeft(server: Server): boolean {
    if (this.#link.state === 'waiting') return false;
    server.state.unclean ||= this.#owner.keepsServer;
    this.#owner.unlink();
    this.#owner.handBack(server);
    this.finish();
    return true;
  }

  /** The session has no server connection any more. */
  finish(): void {
    const link = this.#link;
    if (link.state === 'closed') return;
    link.state = 'closed';
    link.clientGone = true;
    this.#halfClosed?.end();
    this.#departure?.end();
    this.#input.stop();
    if (!link.client.over) link.client.end(this.#cutOff ? undefined : this.#input.parting);
    link.statements.dispose();
    link.recorder?.closed();
    this.#options.onClosed(this.#reason);
  }
}
