import { isUtf8 } from 'node:buffer';
import { randomBytes, timingSafeEqual } from 'node:crypto';
import {
  authenticationCleartextPassword,
  authenticationMd5Password,
  authenticationOk,
  authenticationSasl,
  authenticationSaslContinue,
  authenticationSaslFinal,
} from '../protocol/backend-messages.ts';
import { Frontend, HEADER_LENGTH } from '../protocol/message-types.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { MD5_SALT_LENGTH, md5Response } from './md5.ts';
import {
  MAX_PASSWORD_MESSAGE_LENGTH,
  parsePasswordMessage,
  parseSaslInitialResponse,
  parseSaslResponse,
} from './password-message.ts';
import { ScramServer } from './scram-server.ts';
import { mockScramVerifier } from './scram-verifier.ts';
import { ServerPassword } from './server-password.ts';
import { matchesPlainPassword } from './user-secret.ts';
import type { UserSecret } from './user-secret.ts';

/** How clients prove who they are (`auth_type`). */
export type AuthType = 'scram' | 'md5' | 'plain' | 'trust';

/** Who wants to log in, and what is known of them. */
export interface ClientVerifierOptions {
  readonly authType: AuthType;
  /** As in the StartupMessage. */
  readonly userName: string;
  /**
   * `undefined`: there is no such user, or not for this database. The exchange then looks like any other, and fails
   * like one.
   */
  readonly user: UserSecret | undefined;
  /** Makes the salts shown for users without a verifier (saltOfUser): random, the same in all threads. */
  readonly mockSecret: Buffer;
  /** The tls-server-end-point data of the client's TLS connection; without it SCRAM-SHA-256-PLUS is not offered. */
  readonly channelBinding?: Buffer | undefined;
}

/** What the ErrorResponse to the client says (FATAL), and what only the log may say. */
export interface LoginFailure {
  readonly code: string;
  readonly message: string;
  readonly logDetail?: string | undefined;
}

/**
 * What to do next: send these bytes, and with an outcome the exchange is over. The bytes of `ok` end in
 * AuthenticationOk.
 */
export interface VerificationStep {
  readonly send?: Buffer;
  readonly outcome?: 'ok' | 'failed';
  /** With the outcome `failed`. */
  readonly failure?: LoginFailure;
}

/** One way of asking: an answer to a message, which may throw ProtocolError. */
interface Exchange {
  start(): VerificationStep;
  receive(message: Buffer): VerificationStep | Promise<VerificationStep>;
}

/**
 * Checks one client's login. No socket: `start` gives the first bytes to send, `receive` takes each message of the
 * client in turn, whole, with its header. A promise comes back only from `plain`, where keys must be derived; no
 * message may be fed before it settles. Failure of any kind is an outcome, never an exception. Wrong password, unknown
 * user and a user whose stored secret does not fit the method look alike to the client.
 *
 * `scram`: SCRAM-SHA-256, -PLUS with channel binding. `md5`: MD5, but SCRAM for a user of whom only a verifier is
 * stored, as PostgreSQL does (which tells that there is such a user: unknown ones are asked for MD5). `plain`: the
 * password in plain text. `trust`: every known user is let in.
 */
export class ClientVerifier {
  readonly #options: ClientVerifierOptions;
  readonly #exchange: Exchange;
  #learnt: ServerPassword | undefined;
  #expecting = true;

  constructor(options: ClientVerifierOptions) {
    this.#options = options;
    this.#exchange = this.#exchangeFor(options);
  }

  /** After success: what the client showed that a server login can be made with, if anything. */
  get learnt(): ServerPassword | undefined {
    return this.#learnt;
  }

  /** The first Authentication message; with `trust` already the outcome. */
  start(): VerificationStep {
    return this.#note(this.#exchange.start());
  }

  /** Takes the client's next message. */
  receive(type: number, message: Buffer): VerificationStep | Promise<VerificationStep> {
    if (!this.#expecting) return this.#broken(new ProtocolError('unexpected message during authentication'));
    this.#expecting = false;
    try {
      checkPasswordMessage(type, message);
      const step = this.#exchange.receive(message);
      return step instanceof Promise ? step.then((settled) => this.#note(settled)) : this.#note(step);
    } catch (error) {
      if (error instanceof ProtocolError) return this.#broken(error);
      throw error;
    }
  }

  #note(step: VerificationStep): VerificationStep {
    this.#expecting = step.outcome === undefined;
    return step;
  }

  #broken(error: ProtocolError): VerificationStep {
    return { outcome: 'failed', failure: { code: error.code, message: error.message } };
  }

  #refused(logDetail?: string): VerificationStep {
    const { authType, userName, user } = this.#options;
    const [code, method] = authType === 'trust' ? ['28000', '"trust"'] : ['28P01', 'password'];
    return {
      outcome: 'failed',
      failure: {
        code,
        message: `${method} authentication failed for user "${userName}"`,
        logDetail:
          user === undefined
            ? 'there is no such user, or not for this database'
            : (logDetail ?? 'the password does not match'),
      },
    };
  }

  #accepted(...before: Buffer[]): VerificationStep {
    return { send: Buffer.concat([...before, authenticationOk()]), outcome: 'ok' };
  }

  #exchangeFor({ authType, user }: ClientVerifierOptions): Exchange {
    if (authType === 'trust') return this.#trust();
    if (authType === 'plain') return this.#plain();
    if (authType === 'md5' && (user === undefined || user.md5Hash !== undefined)) return this.#md5();
    return this.#scram();
  }

  #trust(): Exchange {
    const step = (): VerificationStep => (this.#options.user === undefined ? this.#refused() : this.#accepted());
    return { start: step, receive: step };
  }

  #plain(): Exchange {
    const { userName, user: secret, mockSecret } = this.#options;
    return {
      start: () => ({ send: authenticationCleartextPassword() }),
      receive: (message) => {
        // A copy: the comparison ends after this call, and with it the caller's promise to keep the bytes.
        const password = Buffer.from(parsePasswordMessage(message));
        return matchesPlainPassword(password, { userName, secret, mock: mockScramVerifier(mockSecret, userName) }).then(
          (matches) => {
            if (!matches) return this.#refused();
            // A password in another encoding was checked byte by byte, and cannot be kept as a text.
            if (isUtf8(password)) this.#learnt = ServerPassword.fromText(password.toString('utf8'));
            return this.#accepted();
          },
        );
      },
    };
  }

  #md5(): Exchange {
    const salt = randomBytes(MD5_SALT_LENGTH);
    const hash = this.#options.user?.md5Hash;
    return {
      start: () => ({ send: authenticationMd5Password(salt) }),
      receive: (message) => {
        const sent = parsePasswordMessage(message);
        const expected = Buffer.from(md5Response(hash ?? 'md5', salt));
        const matches = sent.length === expected.length && timingSafeEqual(sent, expected);
        if (!matches || hash === undefined) return this.#refused();
        this.#learnt = ServerPassword.fromMd5Hash(hash);
        return this.#accepted();
      },
    };
  }

  #scram(): Exchange {
    const { user, userName, mockSecret, channelBinding } = this.#options;
    const verifier = user?.scramVerifier;
    // The mock is made for every user, so that those who exist take as long.
    const mock = mockScramVerifier(mockSecret, userName);
    const server = new ScramServer({
      verifier: verifier ?? mock,
      doomed: verifier === undefined,
      channelBinding,
    });
    let mechanism: string | undefined;
    let challenged = false;
    const challenge = (selected: string, response: string): VerificationStep => {
      challenged = true;
      return { send: authenticationSaslContinue(server.first(selected, response)) };
    };
    return {
      start: () => ({ send: authenticationSasl(server.mechanisms) }),
      receive: (message) => {
        if (challenged) return this.#finishScram(server, parseSaslResponse(message));
        if (mechanism !== undefined) return challenge(mechanism, parseSaslResponse(message));
        const initial = parseSaslInitialResponse(message);
        mechanism = initial.mechanism;
        // Without an initial response the first challenge is an empty one (manual, "SASL Authentication").
        if (initial.response === undefined) return { send: authenticationSaslContinue('') };
        return challenge(mechanism, initial.response);
      },
    };
  }

  #finishScram(server: ScramServer, response: string): VerificationStep {
    const final = server.final(response);
    if (final === undefined || server.keys === undefined) {
      const lacksVerifier = this.#options.user?.scramVerifier === undefined;
      return this.#refused(lacksVerifier ? 'an MD5 hash is stored, which SCRAM cannot use' : undefined);
    }
    this.#learnt = ServerPassword.fromScramKeys(server.keys);
    return this.#accepted(authenticationSaslFinal(final));
  }
}

function checkPasswordMessage(type: number, message: Buffer): void {
  if (type !== Frontend.Password) {
    throw new ProtocolError(`expected password response, got message type ${type}`);
  }
  if (message.length < HEADER_LENGTH || message.length > MAX_PASSWORD_MESSAGE_LENGTH + HEADER_LENGTH) {
    throw new ProtocolError('invalid message length');
  }
}
