import type { UserSecret } from '../auth/user-secret.ts';
import { ClientVerifier } from '../auth/verify-client.ts';
import type { AuthType, VerificationStep } from '../auth/verify-client.ts';
import type { ClientSocket } from '../net/client-socket.ts';
import { errorResponse, negotiateProtocolVersion } from '../protocol/backend-messages.ts';
import { PROTOCOL_3_0 } from '../protocol/frontend-messages.ts';
import { MessageCollector } from '../protocol/message-collector.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { parseStartupPacket, startupPacketLength } from '../protocol/startup-packet.ts';
import type { StartupPacket } from '../protocol/startup-packet.ts';
import { startupOptions } from '../session/startup-options.ts';

/** The longest password or SASL message (PG_MAX_AUTH_TOKEN_LENGTH in libpq/auth.h). */
const MAX_AUTH_MESSAGE = 65_535;

/** Who logs in, and to what. */
export interface LoginRequest {
  readonly user: string;
  readonly database: string;
  readonly settings: ReadonlyMap<string, string>;
  readonly replication: boolean;
}

/** What startup asks its owner. */
export interface StartupHost {
  readonly mockSecret: Buffer;
  /** How a user of a database proves who it is; `secret` undefined: there is no such user, which must not show. */
  lookUp(request: LoginRequest): { readonly authType: AuthType; readonly secret: UserSecret | undefined };
  /** A CancelRequest came. */
  cancel(processId: number, secretKey: Buffer): void;
  /** The client has shown who it is; it owns the socket from now on. `backlog`: bytes behind its last message. */
  loggedIn(client: ClientSocket, request: LoginRequest, backlog: Buffer): void;
  /** The connection ended without a login. `failure` where somebody was refused. */
  over(failure?: { readonly user: string; readonly reason: string }): void;
}

/**
 * A connection up to its login (manual, "Start-up"): SSLRequest and GSSENCRequest are answered `N`, a CancelRequest is
 * passed on, a StartupMessage leads to authentication. One deadline holds from the accepted socket to the end of it.
 */
export class Startup {
  readonly #client: ClientSocket;
  readonly #host: StartupHost;
  readonly #timer: NodeJS.Timeout;
  #bytes: Buffer = Buffer.alloc(0);
  #phase: 'packet' | 'authentication' | 'over' = 'packet';
  #encryptionAsked = { ssl: false, gssenc: false };
  #collector = new MessageCollector({ maxLength: MAX_AUTH_MESSAGE });
  #verifier: ClientVerifier | undefined;
  #verifying = false;
  #request: LoginRequest | undefined;

  constructor(client: ClientSocket, host: StartupHost, options: { readonly timeoutMs: number }) {
    this.#client = client;
    this.#host = host;
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
    if (this.#phase === 'over') return;
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
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const length = startupPacketLength(this.#bytes);
    if (length === undefined || this.#bytes.length < length) return;
    const packet = parseStartupPacket(this.#bytes.subarray(0, length));
    const rest = this.#bytes.subarray(length);
    this.#bytes = Buffer.alloc(0);
    if (packet.kind === 'ssl' || packet.kind === 'gssenc') this.#encryption(packet.kind, rest);
    else if (packet.kind === 'cancel') {
      this.#host.cancel(packet.processId, packet.secretKey);
      this.#end();
    } else this.#startup(packet, rest);
  }

  #encryption(kind: 'ssl' | 'gssenc', rest: Buffer): void {
    const what = kind === 'ssl' ? 'SSL' : 'GSSAPI encryption';
    if (rest.length > 0) throw new ProtocolError(`received unencrypted data after ${what} request`);
    if (this.#encryptionAsked[kind]) throw new ProtocolError(`unsupported frontend protocol: second ${what} request`);
    this.#encryptionAsked[kind] = true;
    this.#client.write(Buffer.from('N'));
  }

  #startup(packet: StartupPacket & { kind: 'startup' }, rest: Buffer): void {
    const user = packet.parameters.get('user') ?? '';
    if (user === '') throw new ProtocolError('no PostgreSQL user name specified in startup packet', '28000');
    const { settings, protocolOptions } = parsedOptions(packet.parameters);
    if (packet.version !== PROTOCOL_3_0 || protocolOptions.length > 0) {
      this.#client.write(negotiateProtocolVersion(PROTOCOL_3_0, protocolOptions));
    }
    const replication = packet.parameters.get('replication') ?? 'false';
    const request: LoginRequest = {
      user,
      database: packet.parameters.get('database') || user,
      settings,
      replication: !/^(?:false|off|no|0)$/i.test(replication),
    };
    const { authType, secret } = this.#host.lookUp(request);
    this.#request = request;
    this.#phase = 'authentication';
    const mockSecret = this.#host.mockSecret;
    this.#verifier = new ClientVerifier({ authType, userName: user, user: secret, mockSecret });
    this.#step(this.#verifier.start());
    if (rest.length > 0) this.#received(rest);
  }

  #authenticationBytes(chunk: Buffer): void {
    // Nobody sends ahead of an answer here, and nothing is kept for who does.
    if (this.#verifying) throw new ProtocolError('unexpected message during authentication');
    this.#collector.push(chunk, (type, message) => {
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
    if (step.outcome === 'failed') {
      const { code, message, logDetail } = step.failure ?? { code: '28000', message: 'authentication failed' };
      const reason = logDetail ?? message;
      this.#end(errorResponse({ severity: 'FATAL', code, message }), { user: this.#request?.user ?? '', reason });
      return;
    }
    if (step.send !== undefined) this.#client.write(step.send);
    if (step.outcome !== 'ok' || this.#request === undefined) return;
    this.#phase = 'over';
    clearTimeout(this.#timer);
    this.#host.loggedIn(this.#client, this.#request, this.#collector.takeRest());
  }

  #tooLate(): void {
    this.#end(errorResponse({ severity: 'FATAL', code: '08P01', message: 'canceling authentication due to timeout' }));
  }

  #end(lastBytes?: Buffer, failure?: { user: string; reason: string }): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    clearTimeout(this.#timer);
    this.#client.end(lastBytes);
    this.#host.over(failure);
  }
}

function parsedOptions(parameters: ReadonlyMap<string, string>): ReturnType<typeof startupOptions> {
  try {
    return startupOptions(parameters);
  } catch (error) {
    throw new ProtocolError(error instanceof Error ? error.message : String(error), '42601');
  }
}
