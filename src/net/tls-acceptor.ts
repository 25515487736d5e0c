import { X509Certificate, constants } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Server, TLSSocket } from 'node:tls';
import { nodeTls } from '../util/node-tls.ts';
import { tlsServerEndPoint } from './tls-server-end-point.ts';

/** The name of PostgreSQL's protocol in ALPN (manual, "SSL Session Encryption"). */
export const ALPN_PROTOCOL = 'postgresql';

/** TLS towards clients; texts in PEM. Plain data, so that it can be sent to a thread. */
export interface ClientTlsOptions {
  /** The certificate, and those between it and the root. */
  readonly certificate: string;
  readonly privateKey: string;
  /** Who must have signed the certificate that every TLS client then has to show. */
  readonly clientCa: string | undefined;
}

/** What became of a handshake. */
export type Handshake = { readonly socket: TLSSocket } | { readonly failure: string };

/**
 * Makes TLS connections out of accepted sockets, with one certificate. On reload a new one takes its place: connections
 * made by the old one go on, but no session of its can be resumed with the new one.
 */
export class TlsAcceptor {
  /** The tls-server-end-point data that SCRAM-SHA-256-PLUS binds to; `undefined`: it cannot be offered. */
  readonly channelBinding: Buffer | undefined;
  /** Whether clients must show a certificate. */
  readonly asksForCertificate: boolean;
  readonly #server: Server;
  readonly #waiting = new Map<string, (handshake: Handshake) => void>();

  /** Throws where certificate and key are none, or do not belong together. */
  constructor(options: ClientTlsOptions) {
    this.channelBinding = tlsServerEndPoint(new X509Certificate(options.certificate).raw);
    this.asksForCertificate = options.clientCa !== undefined;
    this.#server = nodeTls().createServer({
      cert: options.certificate,
      key: options.privateKey,
      ca: options.clientCa,
      requestCert: this.asksForCertificate,
      // A client without a valid certificate is told so in PostgreSQL's protocol.
      rejectUnauthorized: false,
      ALPNProtocols: [ALPN_PROTOCOL],
      // Sessions are long: resuming them is not worth the tickets, as in PostgreSQL. Nor is renegotiation.
      secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    });
    this.#server.on('secureConnection', (socket) => this.#settle(socket, { socket }));
    this.#server.on('tlsClientError', (error, socket) => this.#settle(socket, { failure: error.message }));
  }

  /**
   * Begins the server's side of a handshake on a socket that nobody reads from; bytes in its read buffer belong to it.
   * `done` is called once, unless the socket closes before.
   */
  accept(socket: Socket, done: (handshake: Handshake) => void): void {
    const key = peerKey(socket);
    this.#waiting.set(key, done);
    socket.once('close', () => {
      if (this.#waiting.get(key) === done) this.#waiting.delete(key);
    });
    this.#server.emit('connection', socket);
  }

  #settle(socket: TLSSocket, handshake: Handshake): void {
    const key = peerKey(socket);
    const done = this.#waiting.get(key);
    this.#waiting.delete(key);
    if (done === undefined) socket.destroy();
    else done(handshake);
  }
}

// The server does not say which socket a TLS connection was made from. Its two ends name it: TLS is spoken over TCP only.
function peerKey(socket: Socket): string {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
