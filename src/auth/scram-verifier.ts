import { createHmac, randomBytes } from 'node:crypto';
import { Redacted } from './redacted.ts';
import { decodeBase64 } from './scram-message.ts';
import { deriveScramKeys, SCRAM_KEY_LENGTH, SCRAM_SHA_256, storedKeyOf } from './scram-keys.ts';

/** PostgreSQL's default (SCRAM_SHA_256_DEFAULT_ITERATIONS, `scram_iterations`). */
const DEFAULT_ITERATIONS = 4096;
/** PostgreSQL's salts (SCRAM_DEFAULT_SALT_LEN). */
const SALT_LENGTH = 16;
/** PostgreSQL keeps the count in an int. */
const MAX_STORED_ITERATIONS = 0x7fffffff;

/**
 * What a server stores of a password: enough to check a login, not enough to log in elsewhere (RFC 5802, section 3).
 */
export class ScramVerifier extends Redacted {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;

  constructor(parts: {
    readonly iterations: number;
    readonly salt: Buffer;
    readonly storedKey: Buffer;
    readonly serverKey: Buffer;
  }) {
    super();
    this.iterations = parts.iterations;
    this.salt = parts.salt;
    this.storedKey = parts.storedKey;
    this.serverKey = parts.serverKey;
  }
}

/** A password or password hash that cannot be used. The message never quotes it. */
export class InvalidSecretError extends Error {
  override readonly name = 'InvalidSecretError';
  readonly code = 'INVALID_SECRET';
}

/** Derives a verifier as CREATE ROLE … PASSWORD does. Without `salt`, a random one. */
export async function deriveScramVerifier(
  password: Buffer,
  options: { readonly salt?: Buffer | undefined; readonly iterations?: number | undefined } = {},
): Promise<ScramVerifier> {
  if (password.length === 0) throw new InvalidSecretError('the password is empty');
  const { salt = randomBytes(SALT_LENGTH), iterations = DEFAULT_ITERATIONS } = options;
  const { clientKey, serverKey } = await deriveScramKeys(password, salt, iterations);
  return new ScramVerifier({ iterations, salt, storedKey: storedKeyOf(clientKey), serverKey });
}

/** Whether a stored password claims to be a SCRAM verifier. */
export function isScramVerifier(stored: string): boolean {
  return stored.startsWith(`${SCRAM_SHA_256}$`);
}

/** Parses `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, as pg_authid.rolpassword has it. */
export function parseScramVerifier(stored: string): ScramVerifier {
  const [, iterationsText = '', saltText = '', storedKeyText = '', serverKeyText = ''] =
    /^SCRAM-SHA-256\$([1-9][0-9]{0,9}):([^$:]+)\$([^$:]+):([^$:]+)$/.exec(stored) ?? [];
  const iterations = Number(iterationsText);
  const salt = decodeBase64(saltText);
  const storedKey = decodeBase64(storedKeyText);
  const serverKey = decodeBase64(serverKeyText);
  if (iterations < 1 || iterations > MAX_STORED_ITERATIONS) throw malformedVerifier('iteration count');
  if (salt === undefined || salt.length === 0) throw malformedVerifier('salt');
  if (storedKey?.length !== SCRAM_KEY_LENGTH) throw malformedVerifier('StoredKey');
  if (serverKey?.length !== SCRAM_KEY_LENGTH) throw malformedVerifier('ServerKey');
  return new ScramVerifier({ iterations, salt, storedKey, serverKey });
}

/** The text form that parseScramVerifier reads. It is a secret. */
export function formatScramVerifier(verifier: ScramVerifier): string {
  const [salt, storedKey, serverKey] = [verifier.salt, verifier.storedKey, verifier.serverKey].map((bytes) =>
    bytes.toString('base64'),
  );
  return `${SCRAM_SHA_256}$${verifier.iterations}:${salt}$${storedKey}:${serverKey}`;
}

/**
 * The salt that goes with a user name for which no verifier is stored: the same in every attempt, as a real one would
 * be, and not to be told from one without `secret` (PostgreSQL: scram_mock_salt). All threads and instances behind one
 * address should share the secret.
 */
export function saltOfUser(secret: Buffer, userName: string): Buffer {
  return createHmac('sha256', secret).update(userName, 'utf8').digest().subarray(0, SALT_LENGTH);
}

/** A verifier no password fits, for going through the motions with a user who does not exist. */
export function mockScramVerifier(secret: Buffer, userName: string): ScramVerifier {
  return new ScramVerifier({
    iterations: DEFAULT_ITERATIONS,
    salt: saltOfUser(secret, userName),
    storedKey: Buffer.alloc(SCRAM_KEY_LENGTH),
    serverKey: Buffer.alloc(SCRAM_KEY_LENGTH),
  });
}

function malformedVerifier(part: string): InvalidSecretError {
  return new InvalidSecretError(
    `not a SCRAM verifier: ${part} malformed (SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey> expected)`,
  );
}
