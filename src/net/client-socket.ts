import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { describeTls } from './describe-tls.ts';
import { receiveAsUsual, receiveDirectly } from './direct-reading.ts';
import type { TlsAcceptor } from './tls-acceptor.ts';

/** Whoever serves a client's connection at the moment. */
export interface ClientSocketHandler {
  bytes(chunk: Buffer): void;
  /** The client will send no more; it may still read. */
  ended(): void;
  /** The connection is over. Not called after `destroy()` or `end()`. */
  closed(): void;
}

/** What is known of an encrypted connection. */
export interface ClientEncryption {
  /** The tls-server-end-point data of the certificate that the client was shown. */
  readonly channelBinding: Buffer | undefined;
  /** The protocol that was agreed on by ALPN. */
  readonly alpnProtocol: string | undefined;
  /** Version and cipher suite, as `TLSv1.3/TLS_AES_256_GCM_SHA384`. */
  readonly description: string;
  /** Why the client's certificate is not accepted, where one is asked for. */
  readonly certificateProblem: string | undefined;
}

/** So much may be queued within the TLS layer before the writer is asked to wait. */
const TLS_BACKLOG_BYTES = 65_536;

/**
 * A client's connection, in plain text or encrypted. Chunks are the receiver's to keep: each is a buffer of its own.
 *
 * It begins in plain text. `secure` turns it into a TLS connection, once; nothing else may be asked of it until that is
 * done, but to end it.
 */
export class ClientSocket {
  #socket: Socket;
  #handler: ClientSocketHandler | undefined;
  #over = false;
  #handshaking = false;
  #encryption: ClientEncryption | undefined;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** It came over a unix socket. */
  readonly isLocal: boolean;

  constructor(socket: Socket, options: { readonly isLocal?: boolean } = {}) {
    this.#socket = socket;
    this.isLocal = options.isLocal ?? false;
    this.remoteAddress = socket.remoteAddress ?? 'unix';
    this.remotePort = socket.remotePort ?? 0;
    this.#listen(socket);
  }

  set handler(handler: ClientSocketHandler) {
    this.#handler = handler;
  }

  /** `undefined`: the connection is in plain text. */
  get encryption(): ClientEncryption | undefined {
    return this.#encryption;
  }

  /** Bytes not yet taken by the kernel. */
  get writableLength(): number {
    return this.#socket.writableLength;
  }

  /** Bytes that have come and that nobody was shown; only while it is paused. */
  get unreadLength(): number {
    return this.#socket.readableLength;
  }

  get over(): boolean {
    return this.#over;
  }

  /** There is no connection any more, whereas one that is over may still have something to deliver. */
  get closed(): boolean {
    return this.#socket.closed;
  }

  /** Calls back when there is no connection any more, whoever ended it. */
  whenClosed(callback: () => void): void {
    this.#socket.once('close', callback);
  }

  /**
   * Sends; false when the writer is to wait for `whenFlushed`. The bytes must stay as they are until then. In plain text
   * that is when some are still queued in this process. A TLS connection has copied them, and is content with less.
   */
  write(bytes: Uint8Array): boolean {
    if (this.#encryption === undefined) {
      this.#socket.write(bytes);
      return this.#socket.writableLength === 0;
    }
    // TLS reports a write as done in a later turn of the event loop, even where all of it is with the kernel.
    this.#socket.write(Buffer.from(bytes));
    return this.#socket.writableLength < TLS_BACKLOG_BYTES;
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

  /**
   * Does the server's side of a TLS handshake; `hello` are bytes of it that were received already. `done` is told why it
   * failed, or nothing: then the handler gets what was decrypted. It is not called where the connection ends before.
   */
  secure(acceptor: TlsAcceptor, hello: Buffer | undefined, done: (failure: string | undefined) => void): void {
    const plain = this.#socket;
    this.#handshaking = true;
    plain.pause();
    plain.off('data', this.#received);
    receiveAsUsual(plain);
    plain.off('end', this.#ended);
    if (hello !== undefined) plain.unshift(hello);
    acceptor.accept(plain, (handshake) => {
      if ('socket' in handshake) this.#secured(handshake.socket, acceptor);
      if (!this.#over) done('socket' in handshake ? undefined : handshake.failure);
    });
  }

  /**
   * Sends what is queued and these last bytes, says that there is no more, and closes when the client has closed, or after
   * a while.
   */
  end(lastBytes?: Uint8Array): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#handshaking) {
      // There is no way to say anything: in plain text nobody would understand it.
      this.#socket.destroy();
      return;
    }
    const destroy = (): void => void this.#socket.destroy();
    let timer = setTimeout(destroy, LINGER_MS).unref();
    this.#socket.on('close', () => clearTimeout(timer));
    this.#socket.once('finish', () => {
      clearTimeout(timer);
      if (!this.#socket.destroyed) timer = setTimeout(destroy, FAREWELL_MS).unref();
    });
    // What the client still sends is read and forgotten: closing before it has ended would reset the connection, and the
    // last message might be lost with it.
    this.#socket.on('data', ignore);
    this.#socket.resume();
    if (lastBytes === undefined) this.#socket.end();
    else this.#socket.end(lastBytes);
  }

  /** Closes at once. */
  destroy(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  #secured(secure: TLSSocket, acceptor: TlsAcceptor): void {
    const plain = this.#socket;
    this.#handshaking = false;
    // The TLS connection ends with it, and may have more to deliver before it says so.
    plain.off('close', this.#closed);
    this.#socket = secure;
    const unaccepted = acceptor.asksForCertificate && !secure.authorized;
    this.#encryption = {
      channelBinding: acceptor.channelBinding,
      alpnProtocol: secure.alpnProtocol || undefined,
      description: describeTls(secure),
      certificateProblem: unaccepted ? String(secure.authorizationError ?? 'not verified') : undefined,
    };
    this.#listen(secure);
    if (this.#over) secure.destroy();
  }

  #listen(socket: Socket): void {
    socket.on('data', this.#received);
    receiveDirectly(socket, this.#received);
    socket.on('end', this.#ended);
    socket.on('error', ignore);
    socket.on('close', this.#closed);
  }

  readonly #received = (chunk: Buffer): void => this.#handler?.bytes(chunk);

  readonly #ended = (): void => {
    if (!this.#over) this.#handler?.ended();
  };

  readonly #closed = (): void => {
    if (this.#over) return;
    this.#over = true;
    this.#handler?.closed();
  };
}

/** One for all sockets. */
function ignore(): void {}

/** How long a client may take to close when it was told that there is no more. */
const FAREWELL_MS = 1_000;
/** How long it may take to read its last message. */
const LINGER_MS = 5_000;
