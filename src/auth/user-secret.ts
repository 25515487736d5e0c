import { timingSafeEqual } from 'node:crypto';
import { isMd5Hash, md5Hash } from './md5.ts';
import { Redacted } from './redacted.ts';
import { deriveScramKeys, storedKeyOf } from './scram-keys.ts';
import { deriveScramVerifier, InvalidSecretError, isScramVerifier, parseScramVerifier } from './scram-verifier.ts';
import type { ScramVerifier } from './scram-verifier.ts';

/** Where a user's secret comes from: exactly one of `password` and `passwordHash` (a SCRAM verifier, or `md5…`). */
export interface UserSecretSource {
  readonly userName: string;
  readonly password?: string | undefined;
  readonly passwordHash?: string | undefined;
  /**
   * The salt to use with `password`: saltOfUser(), so that all threads show clients the same one, reload or not. Else
   * random.
   */
  readonly salt?: Buffer | undefined;
}

/**
 * What is known of a user's password, for checking logins. Made once, when the configuration is loaded: a login then
 * costs three HMACs.
 */
export class UserSecret extends Redacted {
  readonly #scramVerifier: ScramVerifier | undefined;
  readonly #md5Hash: string | undefined;

  /** Use deriveUserSecret. */
  constructor(known: { readonly scramVerifier?: ScramVerifier; readonly md5Hash?: string }) {
    super();
    this.#scramVerifier = known.scramVerifier;
    this.#md5Hash = known.md5Hash;
  }

  /** `undefined` where only an MD5 hash is known: SCRAM cannot be done with that. */
  get scramVerifier(): ScramVerifier | undefined {
    return this.#scramVerifier;
  }

  /** `undefined` where only a SCRAM verifier is known. */
  get md5Hash(): string | undefined {
    return this.#md5Hash;
  }
}

/** Throws InvalidSecretError for an empty password, a malformed hash, or both or none of the two. */
export async function deriveUserSecret(source: UserSecretSource): Promise<UserSecret> {
  const { userName, password, passwordHash, salt } = source;
  if ((password === undefined) === (passwordHash === undefined)) {
    throw new InvalidSecretError('either a password or a password hash is needed');
  }
  if (password !== undefined) {
    const scramVerifier = await deriveScramVerifier(Buffer.from(password, 'utf8'), { salt });
    return new UserSecret({ scramVerifier, md5Hash: md5Hash(password, userName) });
  }
  const hash = passwordHash ?? '';
  if (isMd5Hash(hash)) return new UserSecret({ md5Hash: hash });
  if (isScramVerifier(hash)) return new UserSecret({ scramVerifier: parseScramVerifier(hash) });
  throw new InvalidSecretError('not a password hash: a SCRAM verifier or "md5" and 32 hexadecimal digits expected');
}

/** What a password in plain text is checked against. */
export interface PlainPasswordCheck {
  readonly userName: string;
  readonly secret: UserSecret | undefined;
  /** For users without a verifier. */
  readonly mock: ScramVerifier;
}

/**
 * Whether a password sent in plain text is the user's. Always derives keys, in the thread pool, so that unknown users
 * and those with an MD5 hash take as long as the rest.
 */
export async function matchesPlainPassword(password: Buffer, check: PlainPasswordCheck): Promise<boolean> {
  const { userName, secret, mock } = check;
  const verifier = secret?.scramVerifier ?? mock;
  const { clientKey } = await deriveScramKeys(password, verifier.salt, verifier.iterations);
  const matchesVerifier = timingSafeEqual(storedKeyOf(clientKey), verifier.storedKey);
  const sent = Buffer.from(md5Hash(password, userName));
  const matchesHash = timingSafeEqual(sent, Buffer.from(secret?.md5Hash ?? 'md5'.padEnd(sent.length, '-')));
  if (secret === undefined || password.length === 0) return false;
  return secret.scramVerifier === undefined ? matchesHash : matchesVerifier;
}
