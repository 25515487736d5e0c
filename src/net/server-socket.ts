import { connect } from 'node:net';
import type { Socket, TcpNetConnectOpts, IpcNetConnectOpts } from 'node:net';

/** Where a PostgreSQL listens. A host that begins with `/` is the directory of its unix socket, as in libpq. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

/** Whoever owns a server's connection at the moment. */
export interface ServerSocketHandler {
  /** Bytes from the server: a view of a buffer that is used again, valid only during the call. */
  bytes(chunk: Buffer): void;
  /** The connection is over, whatever way it ended; once, and never after `destroy()`. */
  closed(error: Error | undefined): void;
}

/** Large enough for a burst of answers in one system call, small enough to have one for each server connection. */
const READ_BUFFER_BYTES = 65_536;

/** The socket path of a server in a directory, as libpq spells it. */
export function socketPath(address: ServerAddress): string {
  return `${address.host}/.s.PGSQL.${address.port}`;
}

/**
 * A connection to a PostgreSQL server. Reads into one buffer that is used again (`onread`), so that an answer is
 * forwarded without an allocation; whoever forwards it must not keep the chunk, and pauses the socket until a chunk
 * that could not be passed on at once has been.
 */
export class ServerSocket {
  readonly #socket: Socket;
  #handler: ServerSocketHandler | undefined;
  #kept: Buffer[] = [];
  #error: Error | undefined;
  #closed = false;
  #destroyed = false;

  private constructor(address: ServerAddress) {
    const onread = {
      buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
      callback: (length: number, buffer: Uint8Array): boolean => {
        this.#received(buffer as Buffer, length);
        return true;
      },
    };
    const target = address.host.startsWith('/')
      ? ({ path: socketPath(address), onread } satisfies IpcNetConnectOpts)
      : ({ host: address.host, port: address.port, noDelay: true, onread } satisfies TcpNetConnectOpts);
    this.#socket = connect(target);
    this.#socket.on('error', (error) => (this.#error = error));
    this.#socket.on('close', () => this.#ended());
  }

  /** Connects, or rejects with the socket's error (`ECONNREFUSED` …), or with `ETIMEDOUT` after `timeoutMs`. */
  static connect(address: ServerAddress, options: { readonly timeoutMs: number }): Promise<ServerSocket> {
    return new Promise((resolve, reject) => {
      const server = new ServerSocket(address);
      const timer = setTimeout(() => {
        server.destroy();
        reject(Object.assign(new Error(`no connection within ${options.timeoutMs} ms`), { code: 'ETIMEDOUT' }));
      }, options.timeoutMs);
      server.#socket.once('connect', () => {
        clearTimeout(timer);
        server.#socket.setKeepAlive(true, 60_000);
        server.#handler = undefined;
        resolve(server);
      });
      server.#handler = {
        bytes: () => undefined,
        closed: (error) => {
          clearTimeout(timer);
          reject(error ?? new Error('connection closed while connecting'));
        },
      };
    });
  }

  /** Who gets what arrives. Bytes and an end that came while nobody was set are delivered now. */
  set handler(handler: ServerSocketHandler) {
    this.#handler = handler;
    const kept = this.#kept;
    this.#kept = [];
    for (const chunk of kept) handler.bytes(chunk);
    if (this.#closed && !this.#destroyed) handler.closed(this.#error);
  }

  /** Bytes not yet taken by the kernel. */
  get writableLength(): number {
    return this.#socket.writableLength;
  }

  /** Sends; false when some of it is still queued in this process. The bytes must stay as they are until then. */
  write(bytes: Uint8Array): boolean {
    this.#socket.write(bytes);
    return this.#socket.writableLength === 0;
  }

  /** Calls back once everything written so far is with the kernel (an empty write: 'drain' may never come). */
  whenFlushed(callback: () => void): void {
    this.#socket.write('', () => {
      if (!this.#closed) callback();
    });
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Sends what is queued, closes, and calls nobody any more. */
  end(lastBytes: Uint8Array): void {
    this.#destroyed = true;
    this.#socket.end(lastBytes);
    this.#socket.destroySoon();
  }

  /** Closes at once and calls nobody any more. */
  destroy(): void {
    this.#destroyed = true;
    this.#socket.destroy();
  }

  #received(buffer: Buffer, length: number): void {
    if (this.#destroyed) return;
    const chunk = length === buffer.length ? buffer : buffer.subarray(0, length);
    if (this.#handler) this.#handler.bytes(chunk);
    else this.#kept.push(Buffer.from(chunk));
  }

  #ended(): void {
    this.#closed = true;
    if (!this.#destroyed) this.#handler?.closed(this.#error);
  }
}
