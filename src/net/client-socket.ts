import type { Socket } from 'node:net';

/** Whoever serves a client's connection at the moment. */
export interface ClientSocketHandler {
  bytes(chunk: Buffer): void;
  /** The client will send no more; it may still read. */
  ended(): void;
  /** The connection is over. Not called after `destroy()` or `end()`. */
  closed(): void;
}

/** A client's connection. Chunks are the receiver's to keep: each is a buffer of its own. */
export class ClientSocket {
  readonly #socket: Socket;
  #handler: ClientSocketHandler | undefined;
  #over = false;
  readonly remoteAddress: string;
  readonly remotePort: number;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.remoteAddress = socket.remoteAddress ?? 'unix';
    this.remotePort = socket.remotePort ?? 0;
    socket.on('data', (chunk: Buffer) => this.#handler?.bytes(chunk));
    socket.on('end', () => {
      if (!this.#over) this.#handler?.ended();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#over) return;
      this.#over = true;
      this.#handler?.closed();
    });
  }

  set handler(handler: ClientSocketHandler) {
    this.#handler = handler;
  }

  /** Bytes not yet taken by the kernel. */
  get writableLength(): number {
    return this.#socket.writableLength;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Sends; false when some of it is still queued in this process. The bytes must stay as they are until then. */
  write(bytes: Uint8Array): boolean {
    this.#socket.write(bytes);
    return this.#socket.writableLength === 0;
  }

  /** Calls back once everything written so far is with the kernel, or never will be. */
  whenFlushed(callback: () => void): void {
    this.#socket.write('', () => callback());
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Sends what is queued and these last bytes, then closes. A client that does not read is cut off after a while. */
  end(lastBytes?: Uint8Array): void {
    if (this.#over) return;
    this.#over = true;
    const timer = setTimeout(() => this.#socket.destroy(), LINGER_MS);
    timer.unref();
    this.#socket.on('close', () => clearTimeout(timer));
    // What the client still sends is read and forgotten: closing with unread bytes would reset the connection, and the
    // last message would be lost with it.
    this.#socket.on('data', () => undefined);
    this.#socket.resume();
    if (lastBytes === undefined) this.#socket.end();
    else this.#socket.end(lastBytes);
    this.#socket.once('finish', () => this.#socket.destroySoon());
  }

  /** Closes at once. */
  destroy(): void {
    this.#over = true;
    this.#socket.destroy();
  }
}

/** How long a client may take to read its last message. */
const LINGER_MS = 5_000;
