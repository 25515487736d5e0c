import { connect } from 'node:net';
import type { Socket, TcpNetConnectOpts, IpcNetConnectOpts } from 'node:net';
import { nodeTls } from '../util/node-tls.ts';
import type { ServerTlsOptions } from './server-tls.ts';
import { tlsConnectOptions } from './server-tls.ts';
import { describeTls } from './describe-tls.ts';
import { receiveDirectly } from './direct-reading.ts';
import { readOnWhenUnwritable } from './reading-socket.ts';
import { sharedLookup } from './shared-lookup.ts';
import { tlsServerEndPoint } from './tls-server-end-point.ts';

/** Where a PostgreSQL listens. A host that begins with `/` is the directory of its unix socket, as in libpq. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  /** Where exactly, of the several machines that a name may stand for; the host's name is still what TLS verifies. */
  readonly ip?: string | undefined;
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

/** So much may be queued within the TLS layer before the writer is asked to wait. */
const TLS_BACKLOG_BYTES = 65_536;

/** What is known of an encrypted connection. */
export interface ServerEncryption {
  /** What it was made with: a CancelRequest for its session is protected alike. */
  readonly options: ServerTlsOptions;
  /** The tls-server-end-point data of the server's certificate, if it has any. */
  readonly channelBinding: Buffer | undefined;
  /** Version and cipher suite, as `TLSv1.3/TLS_AES_256_GCM_SHA384`. */
  readonly description: string;
}

/** The socket path of a server in a directory, as libpq spells it. */
export function socketPath(address: ServerAddress): string {
  return `${address.host}/.s.PGSQL.${address.port}`;
}

/**
 * A connection to a PostgreSQL server. Reads into one buffer that is used again (`onread`), so that an answer is
 * forwarded without an allocation; whoever forwards it must not keep the chunk, and pauses the socket until a chunk
 * that could not be passed on at once has been.
 *
 * It begins in plain text; `secure` makes it a TLS connection. There each chunk is a buffer of its own.
 */
export class ServerSocket {
  #address: ServerAddress;
  #socket: Socket;
  #encryption: ServerEncryption | undefined;
  #handler: ServerSocketHandler | undefined;
  #kept: Buffer[] = [];
  #error: Error | undefined;
  #closed = false;
  #destroyed = false;

  private constructor(address: ServerAddress) {
    this.#address = address;
    const onread = {
      buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
      callback: (length: number, buffer: Uint8Array): boolean => {
        this.#received(buffer as Buffer, length);
        return true;
      },
    };
    const { host, ip = host, port } = address;
    const target = host.startsWith('/')
      ? ({ path: socketPath(address), onread } satisfies IpcNetConnectOpts)
      : ({ host: ip, port, lookup: sharedLookup, noDelay: true, onread } satisfies TcpNetConnectOpts);
    this.#socket = connect(target);
    readOnWhenUnwritable(this.#socket);
    this.#socket.on('error', this.#failed);
    this.#socket.on('close', this.#ended);
  }

  /** Connects, or rejects with the socket's error (`ECONNREFUSED` …), or with `ETIMEDOUT` after `timeoutMs`. */
  static connect(address: ServerAddress, options: { readonly timeoutMs: number }): Promise<ServerSocket> {
    return new Promise((resolve, reject) => {
      const server = new ServerSocket(address);
      const timer = setTimeout(() => {
        server.destroy();
        reject(
          Object.assign(new Error(`no connection within ${Math.ceil(options.timeoutMs)} ms`), { code: 'ETIMEDOUT' }),
        );
      }, options.timeoutMs);
      server.#socket.once('connect', () => {
        clearTimeout(timer);
        server.#socket.setKeepAlive(true, 60_000);
        server.#handler = undefined;
        server.#address = { ...address, ip: server.#socket.remoteAddress };
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

  /** Where it leads. A CancelRequest for its session has to go to the same machine, whatever the name stands for by now. */
  get address(): ServerAddress {
    return this.#address;
  }

  /** `undefined`: the connection is in plain text. */
  get encryption(): ServerEncryption | undefined {
    return this.#encryption;
  }

  /**
   * Does the client's side of a TLS handshake, which the server has agreed to. Rejects where it fails or the connection
   * ends; the deadline is the caller's, who destroys the socket. Takes the handler.
   */
  secure(options: ServerTlsOptions): Promise<void> {
    const plain = this.#socket;
    plain.off('close', this.#ended);
    const secure = nodeTls().connect({ ...tlsConnectOptions(options, this.#address.host), socket: plain });
    this.#socket = secure;
    readOnWhenUnwritable(secure);
    secure.on('error', this.#failed);
    secure.on('close', this.#ended);
    return new Promise((resolve, reject) => {
      secure.once('secureConnect', () => {
        const certificate = secure.getPeerX509Certificate();
        const channelBinding = certificate === undefined ? undefined : tlsServerEndPoint(certificate.raw);
        this.#encryption = { options, channelBinding, description: describeTls(secure) };
        this.#handler = undefined;
        const receive = (chunk: Buffer): void => this.#received(chunk, chunk.length);
        secure.on('data', receive);
        receiveDirectly(secure, receive);
        resolve();
      });
      this.#handler = {
        bytes: () => undefined,
        closed: (error) => reject(handshakeError(error)),
      };
    });
  }

  /** Bytes not yet taken by the kernel. Where it takes no more, what the server has said is read to its end all the same. */
  get writableLength(): number {
    return this.#socket.writableLength;
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

  /** Sends what is queued, and tells the server that there is no more; what it says meanwhile is still read. */
  endSending(): void {
    this.#socket.end();
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

  readonly #failed = (error: Error): void => {
    this.#error ??= error instanceof AggregateError ? allFailed(error) : error;
  };

  readonly #ended = (): void => {
    this.#closed = true;
    if (!this.#destroyed) this.#handler?.closed(this.#error);
  };
}

/** A name that stands for several addresses, none of which could be connected to: Node's error for that has no text. */
function allFailed(error: AggregateError): Error {
  const text = error.errors.map((one) => (one instanceof Error ? one.message : String(one))).join('; ');
  return Object.assign(new Error(text, { cause: error }), { code: (error as NodeJS.ErrnoException).code });
}

/** Why a handshake failed, in words for whoever configures pgmirror and not Node. */
function handshakeError(error: Error | undefined): Error {
  if (error === undefined) return new Error('the server closed the connection during the TLS handshake');
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (!/CERT|ISSUER|ALTNAME/.test(code)) return error;
  const reason = message.replace(/; if the root CA is installed locally.*$/s, '');
  const text = `the server's certificate is not accepted: ${reason} (tls_verify, tls_server_ca_certificate)`;
  return Object.assign(new Error(text, { cause: error }), { code });
}
