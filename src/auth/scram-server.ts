import { randomBytes, timingSafeEqual } from 'node:crypto';
import { ProtocolError } from '../protocol/protocol-error.ts';
import {
  CHANNEL_BINDING_TYPE,
  hmac,
  RAW_NONCE_LENGTH,
  SCRAM_KEY_LENGTH,
  SCRAM_SHA_256,
  SCRAM_SHA_256_PLUS,
  ScramKeys,
  storedKeyOf,
  xor,
} from './scram-keys.ts';
import { decodeBase64, isPrintable, malformed, ScramAttributes } from './scram-message.ts';
import type { ScramVerifier } from './scram-verifier.ts';

/** What one exchange needs. */
export interface ScramServerOptions {
  readonly verifier: ScramVerifier;
  /** The verifier is a mock: the exchange looks like any other and fails. */
  readonly doomed?: boolean | undefined;
  /**
   * The tls-server-end-point data of the client's connection: SCRAM-SHA-256-PLUS is offered with it, and only with it.
   */
  readonly channelBinding?: Buffer | undefined;
  /** For tests; else random. */
  readonly nonce?: string | undefined;
}

/**
 * The server's side of one SCRAM exchange (RFC 5802, RFC 7677), as PostgreSQL's auth-scram.c has it.
 *
 * `first` takes client-first-message and answers server-first-message; `final` then takes client-final-message and
 * answers server-final-message, or nothing where the proof does not fit. Both throw ProtocolError for what no honest
 * client sends; after that the exchange is over. The messages are latin1 texts, one character for each byte. The user
 * name within them is ignored: the one of the StartupMessage counts.
 */
export class ScramServer {
  readonly #options: ScramServerOptions;
  #state: 'first' | 'final' | 'over' = 'first';
  #boundInput = '';
  #binding = false;
  #nonce = '';
  #authMessage = '';
  #keys: ScramKeys | undefined;

  constructor(options: ScramServerOptions) {
    this.#options = options;
  }

  /** The mechanisms to offer, best first. */
  get mechanisms(): readonly string[] {
    return this.#options.channelBinding === undefined ? [SCRAM_SHA_256] : [SCRAM_SHA_256_PLUS, SCRAM_SHA_256];
  }

  /**
   * After success: the keys the client proved to have, which open every server with the same salt and iteration count.
   */
  get keys(): ScramKeys | undefined {
    return this.#keys;
  }

  /** client-first-message → server-first-message. */
  first(mechanism: string, message: string): string {
    this.#enter('first');
    if (!this.mechanisms.includes(mechanism)) {
      throw new ProtocolError('client selected an invalid SASL authentication mechanism');
    }
    this.#binding = mechanism === SCRAM_SHA_256_PLUS;
    const attributes = new ScramAttributes(message);
    this.#readGs2Header(attributes, message);
    const bare = attributes.rest;
    const clientNonce = readClientNonce(attributes);
    const { verifier, nonce = randomBytes(RAW_NONCE_LENGTH).toString('base64') } = this.#options;
    this.#nonce = clientNonce + nonce;
    const answer = `r=${this.#nonce},s=${verifier.salt.toString('base64')},i=${verifier.iterations}`;
    this.#authMessage = `${bare},${answer}`;
    this.#state = 'final';
    return answer;
  }

  /** client-final-message → server-final-message; `undefined`: the proof does not fit, or nothing would have. */
  final(message: string): string | undefined {
    this.#enter('final');
    const attributes = new ScramAttributes(message);
    this.#checkChannelBinding(attributes.value('c'));
    if (!sameText(attributes.value('r'), this.#nonce)) {
      throw new ProtocolError('invalid SCRAM response: nonce does not match');
    }
    while (attributes.next !== 'p') attributes.skip();
    const proof = decodeBase64(attributes.value('p'));
    if (proof?.length !== SCRAM_KEY_LENGTH) throw malformed('malformed proof');
    attributes.end();
    const authMessage = `${this.#authMessage},${message.slice(0, message.lastIndexOf(',p='))}`;
    const { verifier, doomed = false } = this.#options;
    const clientKey = xor(proof, hmac(verifier.storedKey, authMessage));
    // The proof is computed in a doomed exchange, too, so that it takes as long.
    if (!timingSafeEqual(storedKeyOf(clientKey), verifier.storedKey) || doomed) return undefined;
    const { salt, iterations, serverKey } = verifier;
    this.#keys = new ScramKeys({ salt, iterations, clientKey, serverKey });
    return `v=${hmac(serverKey, authMessage).toString('base64')}`;
  }

  // Whatever a step throws ends the exchange: nothing can be tried twice.
  #enter(step: 'first' | 'final'): void {
    const state = this.#state;
    this.#state = 'over';
    if (state !== step) throw new ProtocolError('unexpected SCRAM message');
  }

  // gs2-header = gs2-cbind-flag "," [ authzid ] "," (RFC 5802, section 7)
  #readGs2Header(attributes: ScramAttributes, message: string): void {
    if (attributes.next === 'p') this.#readBindingType(attributes);
    else this.#readFlagWithoutBinding(attributes);
    if (attributes.next === 'a') {
      throw new ProtocolError('client uses authorization identity, but it is not supported', '0A000');
    }
    attributes.comma();
    this.#boundInput = message.slice(0, message.length - attributes.rest.length);
  }

  #readBindingType(attributes: ScramAttributes): void {
    if (!this.#binding) {
      throw malformed(
        'SCRAM-SHA-256 without channel binding was selected, but the message includes channel binding data',
      );
    }
    if (attributes.value('p') !== CHANNEL_BINDING_TYPE) {
      throw new ProtocolError('unsupported SCRAM channel-binding type');
    }
  }

  #readFlagWithoutBinding(attributes: ScramAttributes): void {
    if (attributes.next !== 'n' && attributes.next !== 'y') throw malformed('unexpected channel-binding flag');
    if (this.#binding) {
      throw malformed('SCRAM-SHA-256-PLUS was selected, but the message does not include channel binding data');
    }
    // Someone between us removed SCRAM-SHA-256-PLUS from the list of mechanisms (RFC 5802, section 6).
    if (attributes.next === 'y' && this.#options.channelBinding !== undefined) {
      throw new ProtocolError(
        'SCRAM channel binding negotiation error: the client supports channel binding but thinks the server does not',
        '28000',
      );
    }
    attributes.skipCharacter();
    attributes.comma();
  }

  // c = base64(gs2-header [ cbind-data ]): the client repeats the header it sent, protected by the proof.
  #checkChannelBinding(received: string): void {
    const data = this.#binding ? (this.#options.channelBinding ?? Buffer.alloc(0)) : Buffer.alloc(0);
    const expected = Buffer.concat([Buffer.from(this.#boundInput, 'latin1'), data]).toString('base64');
    if (sameText(received, expected)) return;
    if (this.#binding) throw new ProtocolError('SCRAM channel binding check failed', '28000');
    throw new ProtocolError('unexpected SCRAM channel-binding attribute in client-final-message');
  }
}

// [reserved-mext ","] username "," nonce ["," extensions]
function readClientNonce(attributes: ScramAttributes): string {
  if (attributes.next === 'm') {
    throw new ProtocolError('client requires an unsupported SCRAM extension', '0A000');
  }
  attributes.value('n');
  const nonce = attributes.value('r');
  if (!isPrintable(nonce)) throw malformed('non-printable characters in SCRAM nonce');
  while (attributes.next !== '') attributes.skip();
  return nonce;
}

function sameText(left: string, right: string): boolean {
  const leftBytes = Buffer.from(left, 'latin1');
  const rightBytes = Buffer.from(right, 'latin1');
  return leftBytes.length === rightBytes.length && timingSafeEqual(leftBytes, rightBytes);
}
