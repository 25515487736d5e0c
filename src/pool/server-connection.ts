import type { ServerSocket } from '../net/server-socket.ts';
import { errorFieldMap } from '../protocol/backend-messages.ts';
import { terminate } from '../protocol/frontend-messages.ts';
import { Backend, TransactionStatus } from '../protocol/message-types.ts';
import { MessageCollector } from '../protocol/message-collector.ts';
import { monotonicNow } from '../util/clock.ts';
import type { LoggedInServer } from './connect-server.ts';

/** Whoever uses a server connection at the moment: a client's session, or a task of the pool's own. */
export interface ServerUser {
  /** Bytes from the server: a view valid only during the call. */
  bytes(chunk: Buffer): void;
  /** The connection was lost; it has left its pool. */
  lost(reason: string): void;
  /** Takes out the beginning of a message whose rest has not come: another has the connection now. */
  takeRest?(): Buffer;
}

/** Why a server connection was closed. */
export type ServerCloseReason =
  | 'idle_timeout'
  | 'server_lifetime'
  | 'lost'
  | 'protocol_error'
  | 'unclean'
  | 'cleanup_failed'
  | 'replaced'
  | 'room_for_others'
  | 'made_way'
  | 'paused'
  | 'removed'
  | 'shutdown';

/** The longest message taken from an idle server: it has little to say. */
const IDLE_MESSAGE_LIMIT = 65_536;

/**
 * A logged-in connection to a server, with what is true of its session whoever uses it. `State` is what the layer above
 * keeps for each session (settings, prepared statements, owed answers): the pool does not look into it.
 *
 * A connection is used by at most one ServerUser. While it is idle it listens itself: notices and parameter changes are
 * taken in, anything else means that the connection cannot be used any more.
 */
export class ServerConnection<State> {
  readonly socket: ServerSocket;
  readonly processId: number;
  readonly secretKey: Buffer;
  readonly connectedAt = monotonicNow();
  /** Its share of idle and lifetime limits: connections opened together do not all close together. */
  readonly patience = 0.9 + Math.random() / 10;
  readonly state: State;
  /** What the server reported while nobody used the connection, for the layer above. */
  readonly #onParameter: (name: string, value: string) => void;
  readonly #onClosed: (connection: ServerConnection<State>, reason: ServerCloseReason) => void;
  /** Transaction status of the last ReadyForQuery. */
  status: number = TransactionStatus.Idle;
  /** CancelRequests on their way to this server: it must not change hands until they have arrived. */
  cancels = 0;
  /** Called when the last of them has arrived. */
  onCancelsDone: (() => void) | undefined;
  /** Kept by a client outside a transaction: counts apart from the pool. */
  pinned = false;
  /** To be closed at hand-back. */
  retired = false;
  idleSince = monotonicNow();
  requests = 0;
  transactions = 0;
  #user: ServerUser | undefined;
  #idleMessages = new MessageCollector({ maxLength: IDLE_MESSAGE_LIMIT });
  #closed = false;

  constructor(
    server: LoggedInServer,
    state: State,
    onParameter: (name: string, value: string) => void,
    onClosed: (connection: ServerConnection<State>, reason: ServerCloseReason) => void,
  ) {
    this.socket = server.socket;
    this.processId = server.processId;
    this.secretKey = server.secretKey;
    this.state = state;
    this.#onParameter = onParameter;
    this.#onClosed = onClosed;
    this.socket.handler = {
      bytes: (chunk) => this.received(chunk),
      closed: (error) => this.#lost(error?.message ?? 'server closed the connection unexpectedly'),
    };
  }

  get user(): ServerUser | undefined {
    return this.#user;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Gives the connection to `user`, or takes it back with `undefined`. */
  setUser(user: ServerUser | undefined): void {
    const before = this.#user;
    const rest = before === undefined ? this.#idleMessages.takeRest() : before.takeRest?.();
    this.#user = user;
    if (user === undefined) this.idleSince = monotonicNow();
    if (rest !== undefined && rest.length > 0) this.received(rest);
  }

  /** Waits until no CancelRequest is on its way any more; takes in what the server says, as while it is idle. */
  awaitCancels(done: () => void): void {
    this.setUser({
      bytes: (chunk) => this.#idleBytes(chunk),
      lost: () => undefined,
      takeRest: () => this.#idleMessages.takeRest(),
    });
    this.onCancelsDone = done;
  }

  /** Hands bytes of the server to the user, or takes them in where there is none. */
  received(chunk: Buffer): void {
    if (this.#closed) return;
    if (this.#user) this.#user.bytes(chunk);
    else this.#idleBytes(chunk);
  }

  /** Closes; its user is not told. In mid-request the server sees the connection go, and rolls back. */
  close(reason: ServerCloseReason): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#user = undefined;
    // Behind part of a message a good-bye would pass for the rest of it.
    const polite = this.status === TransactionStatus.Idle && reason !== 'protocol_error' && reason !== 'unclean';
    // A server that does not read would keep a polite good-bye, and with it the socket, for ever.
    if (polite && this.socket.writableLength === 0) this.socket.end(terminate());
    else this.socket.destroy();
    this.#onClosed(this, reason);
  }

  /** One CancelRequest more is on its way (+1), or has arrived (-1). */
  countCancel(change: 1 | -1): void {
    this.cancels += change;
    if (this.cancels > 0) return;
    const done = this.onCancelsDone;
    this.onCancelsDone = undefined;
    done?.();
  }

  #lost(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    const user = this.#user;
    this.#user = undefined;
    this.#onClosed(this, 'lost');
    user?.lost(reason);
  }

  #idleBytes(chunk: Buffer): void {
    try {
      this.#idleMessages.push(chunk, (type, message) => this.#idleMessage(type, message));
    } catch {
      this.close('protocol_error');
    }
  }

  #idleMessage(type: number, message: Buffer): false | void {
    if (type === Backend.NoticeResponse || type === Backend.NotificationResponse) return;
    if (type === Backend.ParameterStatus) {
      const nameEnd = message.indexOf(0, 5);
      this.#onParameter(
        message.toString('utf8', 5, nameEnd),
        message.toString('utf8', nameEnd + 1, message.length - 1),
      );
      return;
    }
    const reason = type === Backend.ErrorResponse ? errorFieldMap(message).get('M') : undefined;
    if (reason === undefined) this.close('protocol_error');
    else {
      this.socket.destroy();
      this.#lost(reason);
    }
    return false;
  }
}
