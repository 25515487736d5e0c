import { createHash, createHmac, pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';
import { Redacted } from './redacted.ts';
import { saslprep } from './saslprep.ts';

/** The mechanism without channel binding (RFC 7677). */
export const SCRAM_SHA_256 = 'SCRAM-SHA-256';
/** The mechanism with channel binding. */
export const SCRAM_SHA_256_PLUS = 'SCRAM-SHA-256-PLUS';
/** The only kind of channel binding PostgreSQL has (RFC 5929, section 4). */
export const CHANNEL_BINDING_TYPE = 'tls-server-end-point';
/** Bytes of a nonce before it becomes base64, as in PostgreSQL (SCRAM_RAW_NONCE_LEN). */
export const RAW_NONCE_LENGTH = 18;
/** Bytes of every key, signature and proof of SCRAM-SHA-256. */
export const SCRAM_KEY_LENGTH = 32;

const pbkdf2InThreadPool = promisify(pbkdf2);

/**
 * What a password becomes with one salt and iteration count (RFC 5802, section 3). Enough to log in, without the
 * password, to every server that stores the same salt and iteration count for it.
 */
export class ScramKeys extends Redacted {
  readonly salt: Buffer;
  readonly iterations: number;
  readonly clientKey: Buffer;
  readonly serverKey: Buffer;

  constructor(keys: {
    readonly salt: Buffer;
    readonly iterations: number;
    readonly clientKey: Buffer;
    readonly serverKey: Buffer;
  }) {
    super();
    this.salt = keys.salt;
    this.iterations = keys.iterations;
    this.clientKey = keys.clientKey;
    this.serverKey = keys.serverKey;
  }
}

/** Derives the keys. The costly part runs in the thread pool: 4096 iterations take about half a millisecond there. */
export async function deriveScramKeys(password: Buffer, salt: Buffer, iterations: number): Promise<ScramKeys> {
  const saltedPassword = await pbkdf2InThreadPool(saslprep(password), salt, iterations, SCRAM_KEY_LENGTH, 'sha256');
  return new ScramKeys({
    salt,
    iterations,
    clientKey: hmac(saltedPassword, 'Client Key'),
    serverKey: hmac(saltedPassword, 'Server Key'),
  });
}

/**
 * HMAC-SHA-256 of a text, one byte a character: SCRAM messages are handled as latin1, which keeps every byte as it
 * came.
 */
export function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'latin1').digest();
}

/** StoredKey of a ClientKey. */
export function storedKeyOf(clientKey: Buffer): Buffer {
  return createHash('sha256').update(clientKey).digest();
}

/** ClientProof from ClientKey and ClientSignature, and ClientKey from the proof and the signature. */
export function xor(left: Buffer, right: Buffer): Buffer {
  const result = Buffer.alloc(SCRAM_KEY_LENGTH);
  for (let at = 0; at < SCRAM_KEY_LENGTH; at++) result[at] = (left[at] ?? 0) ^ (right[at] ?? 0);
  return result;
}
