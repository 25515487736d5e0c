import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/**
 * The client's side of SCRAM-SHA-256 without channel binding (RFC 5802 section 3, RFC 7677), as short as it can be: the tests' own,
 * so that they do not prove a program by itself. ASCII passwords only.
 */
export class ScramLogin {
  readonly #password: string;
  readonly #firstBare = `n=,r=${randomBytes(18).toString('base64')}`;
  #serverSignature = '';

  constructor(password: string) {
    this.#password = password;
  }

  /** client-first-message. */
  first(): string {
    return `n,,${this.#firstBare}`;
  }

  /** client-final-message for a server-first-message. */
  final(serverFirst: string): string {
    const field = (name: string): string => new RegExp(`(?:^|,)${name}=([^,]*)`).exec(serverFirst)?.[1] ?? '';
    const salted = pbkdf2Sync(this.#password, Buffer.from(field('s'), 'base64'), Number(field('i')), 32, 'sha256');
    const clientKey = hmac(salted, 'Client Key');
    const withoutProof = `c=biws,r=${field('r')}`;
    const authMessage = `${this.#firstBare},${serverFirst},${withoutProof}`;
    const signature = hmac(createHash('sha256').update(clientKey).digest(), authMessage);
    const proof = clientKey.map((byte, index) => byte ^ (signature[index] ?? 0));
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), authMessage).toString('base64');
    return `${withoutProof},p=${Buffer.from(proof).toString('base64')}`;
  }

  /** Whether a server-final-message proves that the server knows the password too. */
  accepts(serverFinal: string): boolean {
    return serverFinal === `v=${this.#serverSignature}`;
  }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
