import { AuthenticationError } from './authentication-error.ts';
import { isMd5Hash, md5Hash } from './md5.ts';
import { Redacted } from './redacted.ts';
import { deriveScramKeys } from './scram-keys.ts';
import type { ScramKeys } from './scram-keys.ts';
import { InvalidSecretError } from './scram-verifier.ts';

type Known =
  | { readonly kind: 'text'; readonly text: string; readonly isForProof: boolean }
  | { readonly kind: 'md5'; readonly hash: string }
  | { readonly kind: 'scram'; readonly keys: ScramKeys };

/**
 * What pgmirror holds to log in to a server: a password, or what stands for one: an MD5 hash (for servers that ask for
 * MD5), or the keys learnt from a client's SCRAM login (for servers that store the same verifier). The keys of the last
 * salt are kept, so that a pool that opens many connections derives them once.
 */
export class ServerPassword extends Redacted {
  readonly #known: Known;
  #last: { readonly salt: Buffer; readonly iterations: number; readonly keys: Promise<ScramKeys> } | undefined;

  private constructor(known: Known) {
    super();
    this.#known = known;
  }

  /**
   * Throws InvalidSecretError for what no server could be sent: an empty password, or a zero byte within. `isForProof`: it
   * is proved to be known, and never sent itself, whatever the server asks for.
   */
  static fromText(text: string, { isForProof = false }: { readonly isForProof?: boolean } = {}): ServerPassword {
    if (text === '') throw new InvalidSecretError('the password is empty');
    if (text.includes('\0')) throw new InvalidSecretError('the password holds a zero byte');
    return new ServerPassword({ kind: 'text', text, isForProof });
  }

  /** Throws InvalidSecretError for anything but `md5…`. */
  static fromMd5Hash(hash: string): ServerPassword {
    if (!isMd5Hash(hash)) throw new InvalidSecretError('not an MD5 hash');
    return new ServerPassword({ kind: 'md5', hash });
  }

  static fromScramKeys(keys: ScramKeys): ServerPassword {
    return new ServerPassword({ kind: 'scram', keys });
  }

  /** Whether both open the same doors. Both are known here: nobody learns anything from how long this takes. */
  isSameAs(other: ServerPassword): boolean {
    return fingerprint(this.#known) === fingerprint(other.#known);
  }

  /** The password itself. Throws AuthenticationError where it is not known, or not to be sent. */
  text(): string {
    if (this.#known.kind === 'text' && this.#known.isForProof) {
      throw new AuthenticationError('the server asks for the password itself, which is not sent to anybody');
    }
    if (this.#known.kind === 'text') return this.#known.text;
    throw new AuthenticationError('the server asks for the password itself, and only a hash of it is known');
  }

  /** The MD5 hash for this user. Throws AuthenticationError where it cannot be known. */
  md5Hash(userName: string): string {
    if (this.#known.kind === 'md5') return this.#known.hash;
    if (this.#known.kind === 'text') return md5Hash(this.#known.text, userName);
    throw new AuthenticationError('the server asks for an MD5 password, and only SCRAM keys are known');
  }

  /** The keys for a server's salt and iteration count. Rejects with AuthenticationError where they cannot be known. */
  async scramKeys(salt: Buffer, iterations: number): Promise<ScramKeys> {
    if (this.#known.kind === 'md5') {
      throw new AuthenticationError('the server asks for SCRAM, and only an MD5 hash of the password is known');
    }
    if (this.#known.kind === 'scram') {
      const { keys } = this.#known;
      if (keys.iterations === iterations && keys.salt.equals(salt)) return keys;
      throw new AuthenticationError(
        'the server stores another salt or iteration count than the verifier of the keys: the password is needed',
      );
    }
    if (this.#last?.iterations !== iterations || !this.#last.salt.equals(salt)) {
      this.#last = { salt, iterations, keys: deriveScramKeys(Buffer.from(this.#known.text, 'utf8'), salt, iterations) };
    }
    return this.#last.keys;
  }
}

function fingerprint(known: Known): string {
  if (known.kind === 'text') return `text ${known.text}`;
  if (known.kind === 'md5') return known.hash;
  const { salt, iterations, clientKey } = known.keys;
  return `scram ${iterations} ${salt.toString('hex')} ${clientKey.toString('hex')}`;
}
