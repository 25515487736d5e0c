import { randomBytes, timingSafeEqual } from 'node:crypto';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { AuthenticationError } from './authentication-error.ts';
import {
  CHANNEL_BINDING_TYPE,
  hmac,
  RAW_NONCE_LENGTH,
  SCRAM_SHA_256,
  SCRAM_SHA_256_PLUS,
  storedKeyOf,
  xor,
} from './scram-keys.ts';
import type { ScramKeys } from './scram-keys.ts';
import { decodeBase64, isPrintable, malformed, ScramAttributes } from './scram-message.ts';

/**
 * The most iterations a server may ask for. They cost CPU here, so an unbounded count is an attack: this many take about
 * a tenth of a second. It is what OWASP advises for PBKDF2-HMAC-SHA-256, the most that is found in earnest.
 */
const MAX_ITERATIONS = 600_000;

/** What one exchange needs. */
export interface ScramClientOptions {
  /** The keys for the salt and iteration count of the server. */
  keysFor(salt: Buffer, iterations: number): Promise<ScramKeys>;
  /** The mechanisms the server offers. */
  readonly mechanisms: readonly string[];
  /** The tls-server-end-point data of the server's certificate. */
  readonly channelBinding?: Buffer | undefined;
  /** For tests; else random. */
  readonly nonce?: string | undefined;
}

/**
 * The client's side of one SCRAM exchange (RFC 5802, RFC 7677). `first`, then `final` with server-first-message, then
 * `verify` with server-final-message: only when that returned has the server proved to know the password. With channel
 * binding data, SCRAM-SHA-256-PLUS is taken wherever it is offered. Throws ProtocolError for malformed messages,
 * AuthenticationError for the rest.
 */
export class ScramClient {
  /** The mechanism chosen. */
  readonly mechanism: string;
  readonly #options: ScramClientOptions;
  readonly #gs2Header: string;
  readonly #nonce: string;
  #state: 'first' | 'final' | 'verify' | 'over' = 'first';
  #serverSignature: Buffer = Buffer.alloc(0);

  constructor(options: ScramClientOptions) {
    this.#options = options;
    this.mechanism = choose(options);
    this.#nonce = options.nonce ?? randomBytes(RAW_NONCE_LENGTH).toString('base64');
    if (this.mechanism === SCRAM_SHA_256_PLUS) this.#gs2Header = `p=${CHANNEL_BINDING_TYPE},,`;
    // "y": we could, the server says it cannot. If someone removed PLUS from its list, it will notice (RFC 5802,
    // section 6).
    else this.#gs2Header = options.channelBinding === undefined ? 'n,,' : 'y,,';
  }

  /** client-first-message. The user name is left empty, as libpq does: the server takes the StartupMessage's. */
  first(): string {
    this.#enter('first');
    this.#state = 'final';
    return `${this.#gs2Header}n=,r=${this.#nonce}`;
  }

  /** server-first-message → client-final-message. */
  async final(message: string): Promise<string> {
    this.#enter('final');
    const { nonce, salt, iterations } = readServerFirst(message, this.#nonce);
    const keys = await this.#options.keysFor(salt, iterations);
    const withoutProof = `c=${this.#channelBindingInput()},r=${nonce}`;
    const authMessage = `n=,r=${this.#nonce},${message},${withoutProof}`;
    const proof = xor(keys.clientKey, hmac(storedKeyOf(keys.clientKey), authMessage));
    this.#serverSignature = hmac(keys.serverKey, authMessage);
    this.#state = 'verify';
    return `${withoutProof},p=${proof.toString('base64')}`;
  }

  /** Checks server-final-message: returns only if the server knows the password or its verifier. */
  verify(message: string): void {
    this.#enter('verify');
    const attributes = new ScramAttributes(message);
    if (attributes.next === 'e') {
      const reason = attributes
        .value('e')
        .replaceAll(/[^\x21-\x7e]/g, '?')
        .slice(0, 60);
      throw new AuthenticationError(`error received from server in SCRAM exchange: ${reason}`, '28P01');
    }
    const signature = decodeBase64(attributes.value('v'));
    attributes.end();
    if (signature?.length !== this.#serverSignature.length) throw malformed('invalid server signature');
    if (!timingSafeEqual(signature, this.#serverSignature)) {
      throw new AuthenticationError('incorrect server signature: the server does not know the password');
    }
  }

  #enter(step: 'first' | 'final' | 'verify'): void {
    const state = this.#state;
    this.#state = 'over';
    if (state !== step) throw new ProtocolError('unexpected SCRAM message');
  }

  #channelBindingInput(): string {
    const { channelBinding } = this.#options;
    const bound = this.mechanism === SCRAM_SHA_256_PLUS && channelBinding !== undefined ? channelBinding : '';
    return Buffer.concat([Buffer.from(this.#gs2Header), Buffer.from(bound)]).toString('base64');
  }
}

function choose({ mechanisms, channelBinding }: ScramClientOptions): string {
  if (channelBinding !== undefined && mechanisms.includes(SCRAM_SHA_256_PLUS)) return SCRAM_SHA_256_PLUS;
  if (mechanisms.includes(SCRAM_SHA_256)) return SCRAM_SHA_256;
  throw new AuthenticationError('the server offers no SASL mechanism that is supported (SCRAM-SHA-256)');
}

function readServerFirst(
  message: string,
  clientNonce: string,
): { readonly nonce: string; readonly salt: Buffer; readonly iterations: number } {
  const attributes = new ScramAttributes(message);
  const nonce = attributes.value('r');
  // A server that adds nothing of its own would let an old exchange be replayed.
  if (!isPrintable(nonce) || !nonce.startsWith(clientNonce) || nonce.length === clientNonce.length) {
    throw new ProtocolError('invalid SCRAM response: nonce does not match');
  }
  const salt = decodeBase64(attributes.value('s'));
  if (salt === undefined || salt.length === 0) throw malformed('invalid salt');
  const count = attributes.value('i');
  if (!/^[1-9][0-9]{0,9}$/.test(count)) throw malformed('invalid iteration count');
  attributes.end();
  const iterations = Number(count);
  if (iterations > MAX_ITERATIONS) {
    throw new AuthenticationError(
      `the server asks for ${iterations} SCRAM iterations; at most ${MAX_ITERATIONS} are done`,
    );
  }
  return { nonce, salt, iterations };
}
