import type { ServerSocket } from '../net/server-socket.ts';
import { MessageCollector } from '../protocol/message-collector.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';

/** One whole message of the server, header included. */
export interface ServerMessage {
  readonly type: number;
  readonly message: Buffer;
}

/**
 * A dialogue with a server, message by message, within one deadline: for logins, never for the relay. What arrives
 * waits in line until `next` asks for it, up to `maxBytes` in all, so that a server cannot fill the memory while we
 * compute. The first thing that goes wrong (deadline, end of the connection, a length that cannot be, too many bytes)
 * ends it: `failed` rejects, and so does everything asked later.
 *
 * Takes the socket's handler. `end` stops the clock; the socket's next owner then sets its own handler.
 */
export class ServerConversation {
  /** Rejects when the conversation fails; never resolves. */
  readonly failed: Promise<never>;
  readonly #socket: ServerSocket;
  readonly #collector: MessageCollector;
  readonly #fail: (error: Error) => void;
  readonly #timer: NodeJS.Timeout;
  readonly #line: ServerMessage[] = [];
  #bytesLeft: number;
  #failure: Error | undefined;
  #ended: Error | undefined;
  #waiting: ((message: ServerMessage) => void) | undefined;

  constructor(socket: ServerSocket, options: { readonly timeoutMs: number; readonly maxBytes: number }) {
    const { promise, reject } = Promise.withResolvers<never>();
    this.failed = promise;
    // Whoever asks for the next message is told as well: nobody needs to listen here.
    promise.catch(() => undefined);
    this.#fail = (error) => {
      this.#failure ??= error;
      reject(error);
    };
    this.#socket = socket;
    this.#bytesLeft = options.maxBytes;
    this.#collector = new MessageCollector({ maxLength: options.maxBytes });
    this.#timer = setTimeout(() => this.#fail(timeoutError()), Math.max(options.timeoutMs, 0));
    socket.handler = {
      bytes: (chunk) => this.#received(chunk),
      closed: (error) => this.#closed(error ?? new Error('the server closed the connection')),
    };
  }

  /** Sends. Throws when the conversation has failed meanwhile. */
  send(bytes: Buffer): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#socket.write(bytes);
  }

  /** The server's next message. One at a time. */
  async next(): Promise<ServerMessage> {
    const first = this.#line.shift();
    if (first !== undefined) return first;
    if (this.#ended !== undefined) this.#fail(this.#ended);
    const arrival = new Promise<ServerMessage>((resolve) => (this.#waiting = resolve));
    return Promise.race([arrival, this.failed]);
  }

  /** Whether the server sent more than was asked for, a part of a message included. */
  get hasMore(): boolean {
    return this.#line.length > 0 || this.#collector.takeRest().length > 0;
  }

  /** Stops the clock. */
  end(): void {
    clearTimeout(this.#timer);
  }

  #received(chunk: Buffer): void {
    if (this.#failure !== undefined) return;
    this.#bytesLeft -= chunk.length;
    if (this.#bytesLeft < 0) {
      this.#fail(new ProtocolError('the server sends too much before the login is over'));
      return;
    }
    try {
      this.#collector.push(chunk, (type, message) => this.#arrived({ type, message }));
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  // What came before the end is still heard: most often it says why.
  #closed(error: Error): void {
    this.#ended = error;
    if (this.#line.length === 0) this.#fail(error);
  }

  #arrived(message: ServerMessage): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#line.push(message);
    else waiting(message);
  }
}

function timeoutError(): Error {
  return Object.assign(new Error('the login was not over in time'), { code: 'ETIMEDOUT' });
}
