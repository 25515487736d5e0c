import { passwordMessage, saslInitialResponse, saslResponse } from '../protocol/frontend-messages.ts';
import { HEADER_LENGTH } from '../protocol/message-types.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { AuthenticationError } from './authentication-error.ts';
import { MD5_SALT_LENGTH, md5Response } from './md5.ts';
import { ScramClient } from './scram-client.ts';
import type { ServerPassword } from './server-password.ts';

/** The kinds of Authentication messages (manual, "Message Formats"). */
const Request = { Ok: 0, CleartextPassword: 3, Md5Password: 5, Sasl: 10, SaslContinue: 11, SaslFinal: 12 } as const;

/** Kinds that are part of the protocol and not supported. */
const UNSUPPORTED: ReadonlyMap<number, string> = new Map([
  [2, 'Kerberos V5'],
  [4, 'crypt'],
  [6, 'SCM credential'],
  [7, 'GSSAPI'],
  [8, 'GSSAPI'],
  [9, 'SSPI'],
]);

type State = 'start' | 'password-sent' | 'sasl-initial' | 'sasl-response' | 'sasl-verified' | 'over';

/**
 * What the server may ask in which state. AuthenticationOk is missing in the middle of SCRAM: a server that ends the
 * exchange before its signature was verified has not proved to know the password.
 */
const ALLOWED: Readonly<Record<State, readonly number[]>> = {
  start: [Request.Ok, Request.CleartextPassword, Request.Md5Password, Request.Sasl],
  'password-sent': [Request.Ok],
  'sasl-initial': [Request.SaslContinue],
  'sasl-response': [Request.SaslFinal],
  'sasl-verified': [Request.Ok],
  over: [],
};

/** As whom to log in. */
export interface ServerAuthenticationOptions {
  readonly user: string;
  /** `undefined`: none is known, which does where the server trusts us. */
  readonly password: ServerPassword | undefined;
  /** The tls-server-end-point data of the server's certificate; with it SCRAM-SHA-256-PLUS is preferred. */
  readonly channelBinding?: Buffer | undefined;
}

/** What to send, if anything; `done` after AuthenticationOk. */
export interface LoginStep {
  readonly send?: Buffer;
  readonly done: boolean;
}

/**
 * Answers the Authentication messages of one server. No socket: each message goes to `receive`, whole, with its header,
 * one after the other. Rejects with ProtocolError or AuthenticationError, after which the login is over.
 */
export class ServerAuthentication {
  readonly #options: ServerAuthenticationOptions;
  #state: State = 'start';
  #scram: ScramClient | undefined;

  constructor(options: ServerAuthenticationOptions) {
    this.#options = options;
  }

  /** Takes one Authentication message. */
  async receive(message: Buffer): Promise<LoginStep> {
    if (message.length < HEADER_LENGTH + 4) throw new ProtocolError('invalid length of authentication request');
    const request = message.readInt32BE(HEADER_LENGTH);
    const state = this.#state;
    this.#state = 'over';
    if (!ALLOWED[state].includes(request)) throw unexpected(request, state);
    const data = message.subarray(HEADER_LENGTH + 4);
    if (request === Request.Ok) return { done: true };
    return { done: false, ...(await this.#answer(request, data)) };
  }

  async #answer(request: number, data: Buffer): Promise<{ send?: Buffer }> {
    switch (request) {
      case Request.CleartextPassword:
        this.#state = 'password-sent';
        return { send: passwordMessage(this.#password.text()) };
      case Request.Md5Password:
        return { send: this.#answerMd5(data) };
      case Request.Sasl:
        return { send: this.#answerSasl(data) };
      case Request.SaslContinue: {
        const response = await this.#scramClient.final(data.toString('latin1'));
        this.#state = 'sasl-response';
        return { send: saslResponse(response) };
      }
      default:
        this.#scramClient.verify(data.toString('latin1'));
        this.#state = 'sasl-verified';
        return {};
    }
  }

  #answerMd5(salt: Buffer): Buffer {
    if (salt.length !== MD5_SALT_LENGTH) throw new ProtocolError('invalid length of authentication request');
    this.#state = 'password-sent';
    return passwordMessage(md5Response(this.#password.md5Hash(this.#options.user), salt));
  }

  #answerSasl(list: Buffer): Buffer {
    const password = this.#password;
    this.#scram = new ScramClient({
      mechanisms: parseMechanisms(list),
      keysFor: (salt, iterations) => password.scramKeys(salt, iterations),
      channelBinding: this.#options.channelBinding,
    });
    this.#state = 'sasl-initial';
    return saslInitialResponse(this.#scram.mechanism, this.#scram.first());
  }

  get #password(): ServerPassword {
    const { password, user } = this.#options;
    if (password === undefined) {
      throw new AuthenticationError(`the server asks for a password, and none is known for user "${user}"`);
    }
    return password;
  }

  get #scramClient(): ScramClient {
    if (this.#scram === undefined) throw new Error('SCRAM message before SCRAM began');
    return this.#scram;
  }
}

// Names, each with its zero byte, and a zero byte at the end.
function parseMechanisms(list: Buffer): string[] {
  const names = list.toString('latin1').split('\0');
  if (names.length < 2 || names.pop() !== '' || names.pop() !== '' || names.includes('')) {
    throw new ProtocolError('invalid list of SASL mechanisms');
  }
  return names;
}

function unexpected(request: number, state: State): Error {
  const unsupported = UNSUPPORTED.get(request);
  if (unsupported !== undefined) {
    return new AuthenticationError(`the server asks for ${unsupported} authentication, which is not supported`);
  }
  if (request === Request.Ok && state !== 'over') {
    return new AuthenticationError('the server ended SCRAM authentication without proving that it knows the password');
  }
  return new ProtocolError(`unexpected authentication request ${request}`);
}
