import type { CancelKey } from '../protocol/cancel-key.ts';
import type { ServerPassword } from '../auth/server-password.ts';
import type { UserSecret } from '../auth/user-secret.ts';
import { ClientVerifier } from '../auth/verify-client.ts';
import type { AuthType, VerificationStep } from '../auth/verify-client.ts';
import type { ClientSocket } from '../net/client-socket.ts';
import { ALPN_PROTOCOL } from '../net/tls-acceptor.ts';
import type { TlsAcceptor } from '../net/tls-acceptor.ts';
import { errorResponse, negotiateProtocolVersion } from '../protocol/backend-messages.ts';
import { GSSENC_REQUEST_CODE, PROTOCOL_3_2, SSL_REQUEST_CODE } from '../protocol/frontend-messages.ts';
import { MessageCollector } from '../protocol/message-collector.ts';
import { Frontend } from '../protocol/message-types.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { parseStartupPacket, startupPacketLength, unsupportedProtocol } from '../protocol/startup-packet.ts';
import type { StartupPacket } from '../protocol/startup-packet.ts';
import { startupOptions } from '../session/startup-options.ts';

/** The longest password or SASL message (PG_MAX_AUTH_TOKEN_LENGTH in libpq/auth.h). */
const MAX_AUTH_MESSAGE = 65_535;

/** Which kind of walsender a connection is to, if to one. */
export type Replication = 'none' | 'physical' | 'logical';

/** Who logs in, and to what. */
export interface LoginRequest {
  readonly user: string;
  readonly database: string;
  readonly settings: ReadonlyMap<string, string>;
  readonly replication: Replication;
  /** The protocol version that is spoken with it. */
  readonly protocolVersion: number;
}

/** How a user of a database proves who it is; `secret` undefined: there is no such user, which must not show. */
export interface LookedUp {
  readonly authType: AuthType;
  readonly secret: UserSecret | undefined;
  /** A database had to be asked, for this login. */
  readonly asked?: boolean;
}

/** What startup asks its owner. */
export interface StartupHost {
  readonly mockSecret: Buffer;
  /** Who is meant. A promise, where somebody else has to be asked; it rejects where that cannot be done now. */
  lookUp(request: LoginRequest): LookedUp | Promise<LookedUp>;
  /** Whether there were too many failed logins from the client's address. */
  tooManyFailures(client: ClientSocket): boolean;
  /** A CancelRequest came. A promise, where others have to take it; it never rejects. */
  cancel(key: CancelKey): Promise<void> | undefined;
  /**
   * The client has shown who it is; it owns the socket from now on. `backlog`: bytes behind its last message. `learnt`:
   * what it showed that its servers can be logged in to with.
   */
  loggedIn(client: ClientSocket, request: LoginRequest, backlog: Buffer, learnt: ServerPassword | undefined): void;
  /** A database was asked who this is, and then nobody gave a proof of being it. Comes before `over`. */
  askedInVain(): void;
  /** The connection ended without a login. `failure` where somebody was refused. */
  over(failure?: StartupFailure): void;
}

/** Why somebody was refused. */
export interface StartupFailure {
  readonly user: string;
  readonly database: string;
  readonly reason: string;
  /** It was the proof of identity that failed. */
  readonly unproven: boolean;
}

/** What keeps somebody out: what is said to it, and to the log. */
interface Objection {
  readonly code: string;
  readonly message: string;
  readonly reason: string;
}

const TOO_MANY = 'too many failed logins from this address, try again later';
const TOO_MANY_FAILURES: Objection = { code: '28000', message: TOO_MANY, reason: TOO_MANY };

/** Encryption as the listener has it. */
export interface StartupTls {
  /** `undefined`: there is no TLS. */
  readonly acceptor: TlsAcceptor | undefined;
  /** Over TCP nobody logs in without. */
  readonly required: boolean;
}

/** The type of the TLS record that a handshake begins with (RFC 8446, section 5.1). */
const TLS_HANDSHAKE = 0x16;

/**
 * A connection up to its login (manual, "Start-up"): an SSLRequest is answered `S` where there is TLS, and else `N`, as
 * is a GSSENCRequest; a TLS handshake may also begin at once ("direct SSL negotiation"). A CancelRequest is passed on, a
 * StartupMessage leads to authentication. One deadline holds from the accepted socket to the end of it.
 */
export class Startup {
  readonly #client: ClientSocket;
  readonly #host: StartupHost;
  readonly #timer: NodeJS.Timeout;
  #bytes: Buffer = Buffer.alloc(0);
  #isFirst = true;
  /** What came behind the StartupMessage. */
  #early: Buffer = Buffer.alloc(0);
  #phase: 'packet' | 'handshake' | 'authentication' | 'over' = 'packet';
  readonly #tls: StartupTls;
  #encryptionAsked = { ssl: false, gssenc: false };
  #collector = new MessageCollector({ maxLength: MAX_AUTH_MESSAGE });
  #verifier: ClientVerifier | undefined;
  #verifying = false;
  /** A message has begun to come. */
  #collecting = false;
  #request: LoginRequest | undefined;
  #asked = false;

  constructor(
    client: ClientSocket,
    host: StartupHost,
    options: { readonly timeoutMs: number; readonly tls: StartupTls },
  ) {
    this.#client = client;
    this.#host = host;
    this.#tls = options.tls;
    this.#timer = setTimeout(() => this.#tooLate(), options.timeoutMs);
    client.handler = {
      bytes: (chunk) => this.#received(chunk),
      ended: () => this.#end(),
      closed: () => this.#end(),
    };
  }

  /** Ends the connection with a FATAL message. */
  refuse(code: string, message: string): void {
    this.#end(errorResponse({ severity: 'FATAL', code, message }));
  }

  #received(chunk: Buffer): void {
    if (this.#phase === 'over' || this.#phase === 'handshake') return;
    try {
      if (this.#phase === 'packet') this.#packetBytes(chunk);
      else this.#authenticationBytes(chunk);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // PostgreSQL closes without a word where the very length is wrong: it may not be its protocol at all.
      if (error.message.startsWith('invalid length')) this.#end();
      else this.refuse(error.code, error.message);
    }
  }

  #packetBytes(chunk: Buffer): void {
    if (this.#isFirst && chunk[0] === TLS_HANDSHAKE) {
      this.#directTls(chunk);
      return;
    }
    this.#isFirst = false;
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const length = startupPacketLength(this.#bytes);
    if (length === undefined || this.#bytes.length < length) return;
    const packet = parseStartupPacket(this.#bytes.subarray(0, length));
    const rest = this.#bytes.subarray(length);
    this.#bytes = Buffer.alloc(0);
    if (packet.kind === 'ssl' || packet.kind === 'gssenc') this.#encryption(packet.kind, rest);
    else if (packet.kind === 'cancel') this.#cancel(packet);
    else this.#startup(packet, rest);
  }

  /** Who asked takes the end of the connection for a sign that what it asks next is not hit. */
  #cancel(key: CancelKey): void {
    const taken = this.#host.cancel(key);
    if (taken === undefined) return this.#end();
    this.#client.pause();
    void taken.then(() => this.#end());
  }

  #encryption(kind: 'ssl' | 'gssenc', rest: Buffer): void {
    const what = kind === 'ssl' ? 'SSL' : 'GSSAPI encryption';
    // Nothing may come before the answer: it would pass for the beginning of what is encrypted (CVE-2021-23214).
    this.#client.pause();
    if (rest.length > 0 || this.#client.unreadLength > 0) {
      throw new ProtocolError(`received unencrypted data after ${what} request`);
    }
    const isEncrypted = this.#client.encryption !== undefined;
    if (this.#encryptionAsked[kind] || isEncrypted) {
      throw unsupportedProtocol(kind === 'ssl' ? SSL_REQUEST_CODE : GSSENC_REQUEST_CODE);
    }
    this.#encryptionAsked[kind] = true;
    const acceptor = kind === 'ssl' ? this.#acceptor : undefined;
    this.#client.write(Buffer.from(acceptor === undefined ? 'N' : 'S'));
    if (acceptor === undefined) this.#client.resume();
    else this.#handshake(acceptor, undefined);
  }

  // Direct SSL negotiation: the handshake comes without being announced, and names the protocol that it is for.
  #directTls(hello: Buffer): void {
    const acceptor = this.#acceptor;
    if (acceptor === undefined) this.#end();
    else this.#handshake(acceptor, hello);
  }

  /** As in PostgreSQL, what is local is not encrypted. */
  get #acceptor(): TlsAcceptor | undefined {
    return this.#client.isLocal ? undefined : this.#tls.acceptor;
  }

  #handshake(acceptor: TlsAcceptor, hello: Buffer | undefined): void {
    this.#phase = 'handshake';
    this.#isFirst = false;
    this.#client.secure(acceptor, hello, (failure) => {
      if (this.#phase !== 'handshake') return;
      this.#phase = 'packet';
      if (failure !== undefined) {
        this.#end(undefined, this.#failure(`the TLS handshake failed: ${failure}`));
      } else if (hello !== undefined && this.#client.encryption?.alpnProtocol !== ALPN_PROTOCOL) {
        // Else another protocol's client could be made to speak this one (ALPACA).
        this.refuse('08P01', 'received direct SSL connection request without ALPN protocol negotiation extension');
      }
    });
  }

  #failure(reason: string, unproven = false): StartupFailure {
    const { user = '', database = '' } = this.#request ?? {};
    return { user, database, reason, unproven };
  }

  /** What keeps a client out before it is asked for anything. */
  #objection(): Objection | undefined {
    const { encryption, isLocal } = this.#client;
    const code = '28000';
    if (this.#tls.required && encryption === undefined && !isLocal) {
      const message = 'connection requires TLS (tls_client_required)';
      return { code, message, reason: message };
    }
    if (encryption?.certificateProblem !== undefined) {
      const message = 'connection requires a valid client certificate';
      return { code, message, reason: `${message}: ${encryption.certificateProblem}` };
    }
    return this.#host.tooManyFailures(this.#client) ? TOO_MANY_FAILURES : undefined;
  }

  #object({ code, message, reason }: Objection): void {
    this.#end(errorResponse({ severity: 'FATAL', code, message }), this.#failure(reason));
  }

  #startup(packet: StartupPacket & { kind: 'startup' }, rest: Buffer): void {
    const user = packet.parameters.get('user') ?? '';
    if (user === '') throw new ProtocolError('no PostgreSQL user name specified in startup packet', '28000');
    const { settings, protocolOptions } = parsedOptions(packet.parameters);
    // As PostgreSQL, only who asks for more than there is hears of it.
    const version = Math.min(packet.version, PROTOCOL_3_2);
    if (packet.version > version || protocolOptions.length > 0) {
      this.#client.write(negotiateProtocolVersion(version, protocolOptions));
    }
    this.#request = { ...loginRequest(user, packet.parameters, settings), protocolVersion: version };
    this.#early = rest;
    const objection = this.#objection();
    if (objection !== undefined) {
      this.#object(objection);
      return;
    }
    this.#phase = 'authentication';
    const lookedUp = this.#host.lookUp(this.#request);
    if (lookedUp instanceof Promise) this.#awaitLookUp(lookedUp);
    else this.#authenticate(lookedUp);
  }

  #awaitLookUp(lookedUp: Promise<LookedUp>): void {
    this.#client.pause();
    this.#verifying = true;
    lookedUp.then(
      (found) => {
        this.#verifying = false;
        if (this.#phase === 'over') return;
        this.#client.resume();
        this.#authenticate(found);
      },
      () => this.refuse('08006', 'users cannot be looked up at the moment'),
    );
  }

  #authenticate({ authType, secret, asked = false }: LookedUp): void {
    this.#asked = asked;
    this.#verifier = new ClientVerifier({
      authType,
      userName: this.#request?.user ?? '',
      user: secret,
      mockSecret: this.#host.mockSecret,
      channelBinding: this.#client.encryption?.channelBinding,
    });
    this.#step(this.#verifier.start());
    const early = this.#early;
    this.#early = Buffer.alloc(0);
    if (early.length > 0) this.#received(early);
  }

  #authenticationBytes(chunk: Buffer): void {
    // Nobody sends ahead of an answer here, and nothing is kept for who does.
    if (this.#verifying) throw new ProtocolError('unexpected message during authentication');
    // Known by its first byte, what is no password message is not waited for.
    if (!this.#collecting && chunk[0] !== Frontend.Password) {
      throw new ProtocolError(`expected password response, got message type ${chunk[0]}`);
    }
    this.#collecting = true;
    this.#collector.push(chunk, (type, message) => {
      this.#collecting = false;
      if (this.#phase !== 'authentication' || this.#verifying) return false;
      const step = this.#verifier?.receive(type, message);
      if (step instanceof Promise) {
        this.#verifying = true;
        step.then(
          (settled) => {
            this.#verifying = false;
            this.#step(settled);
          },
          () => this.refuse('XX000', 'authentication failed'),
        );
      } else if (step !== undefined) this.#step(step);
      return this.#phase === 'authentication' ? undefined : false;
    });
  }

  #step(step: VerificationStep): void {
    if (this.#phase === 'over') return;
    // Others may have failed while this one was asked: who asks to be asked many times at once has no more attempts for it.
    if (step.outcome !== undefined && this.#host.tooManyFailures(this.#client)) {
      this.#object(TOO_MANY_FAILURES);
      return;
    }
    if (step.outcome === 'failed') {
      const { code, message, logDetail } = step.failure ?? { code: '28000', message: 'authentication failed' };
      this.#end(errorResponse({ severity: 'FATAL', code, message }), this.#failure(logDetail ?? message, true));
      return;
    }
    if (step.send !== undefined) this.#client.write(step.send);
    if (step.outcome !== 'ok' || this.#request === undefined) return;
    this.#phase = 'over';
    clearTimeout(this.#timer);
    const backlog = Buffer.concat([this.#collector.takeRest(), this.#early]);
    this.#host.loggedIn(this.#client, this.#request, backlog, this.#verifier?.learnt);
  }

  #tooLate(): void {
    this.#end(errorResponse({ severity: 'FATAL', code: '08P01', message: 'canceling authentication due to timeout' }));
  }

  #end(lastBytes?: Buffer, failure?: StartupFailure): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    clearTimeout(this.#timer);
    this.#client.end(lastBytes);
    if (this.#asked && failure === undefined) this.#host.askedInVain();
    this.#host.over(failure);
  }
}

function loginRequest(
  user: string,
  parameters: ReadonlyMap<string, string>,
  settings: ReadonlyMap<string, string>,
): Omit<LoginRequest, 'protocolVersion'> {
  return {
    user,
    database: parameters.get('database') || user,
    settings,
    replication: replicationOf(parameters.get('replication') ?? 'off'),
  };
}

// Beginnings of the words of a boolean will do, as everywhere in PostgreSQL (parse_bool).
function replicationOf(value: string): Replication {
  if (value === 'database') return 'logical';
  if (/^(?:t|tr|tru|true|y|ye|yes|on|1)$/i.test(value)) return 'physical';
  if (/^(?:f|fa|fal|fals|false|n|no|of|off|0)$/i.test(value)) return 'none';
  throw new ProtocolError(`invalid value for parameter "replication": "${value}"`, '22023');
}

function parsedOptions(parameters: ReadonlyMap<string, string>): ReturnType<typeof startupOptions> {
  try {
    return startupOptions(parameters);
  } catch (error) {
    throw new ProtocolError(error instanceof Error ? error.message : String(error), '42601');
  }
}
