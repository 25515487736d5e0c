import { saltOfUser } from '../auth/scram-verifier.ts';
import { ServerPassword } from '../auth/server-password.ts';
import { deriveUserSecret } from '../auth/user-secret.ts';
import type { UserSecret } from '../auth/user-secret.ts';
import { LOOKUP_PARAMETERS, UserLookup } from '../pool/user-lookup.ts';
import { monotonicNow } from '../util/clock.ts';
import type { PoolerDatabase, UserLookupOptions } from './pooler-options.ts';

/** What was found, nothing included, is believed so long: a password that was changed holds no longer than this. */
const BELIEVED_MS = 10_000;
const MAX_REMEMBERED = 1_000;

interface Finding {
  readonly until: number;
  readonly secret: Promise<UserSecret | undefined>;
}

/**
 * The users that users.toml lacks, as their databases tell (`auth_user`, `auth_query`). Many logins of one user within a
 * short time are one question; a login that failed is a reason to ask again.
 */
export class LookedUpUsers {
  readonly #mockSecret: Buffer;
  readonly #log: (message: string, fields: object) => void;
  readonly #lookups = new Map<string, UserLookup>();
  readonly #found = new Map<string, Finding>();

  constructor(mockSecret: Buffer, log: (message: string, fields: object) => void) {
    this.#mockSecret = mockSecret;
    this.#log = log;
  }

  /** Whether what `find` gives is known, or being found out, without another question to the database. */
  knows(user: string, database: string): boolean {
    const known = this.#found.get(keyOf(user, database));
    return known !== undefined && known.until > monotonicNow();
  }

  /** `undefined`: there is no such user. Rejects where the database cannot be asked. */
  find(user: string, database: PoolerDatabase, lookup: UserLookupOptions): Promise<UserSecret | undefined> {
    const key = keyOf(user, database.name);
    const known = this.#found.get(key);
    if (known !== undefined && known.until > monotonicNow()) return known.secret;
    const secret = this.#ask(user, database, lookup);
    this.#found.delete(key);
    this.#found.set(key, { until: monotonicNow() + BELIEVED_MS, secret });
    for (const oldest of this.#found.keys()) {
      if (this.#found.size <= MAX_REMEMBERED) break;
      this.#found.delete(oldest);
    }
    secret.catch((error: unknown) => {
      if (this.#found.get(key)?.secret === secret) this.#found.delete(key);
      const reason = error instanceof Error ? error.message : String(error);
      this.#log('users cannot be looked up', { database: database.name, user, reason });
    });
    return secret;
  }

  /** A login of this user failed: its password may have been changed. */
  forget(user: string, database: string): void {
    this.#found.delete(keyOf(user, database));
  }

  /** Forgets everything, and closes its connections. */
  clear(): void {
    for (const lookup of this.#lookups.values()) lookup.close();
    this.#lookups.clear();
    this.#found.clear();
  }

  async #ask(user: string, database: PoolerDatabase, lookup: UserLookupOptions): Promise<UserSecret | undefined> {
    const stored = await this.#lookupOf(database, lookup).find(user);
    if (stored === undefined || stored === '') return undefined;
    // Shown by pg_roles in place of every password, they would be one that everybody knows.
    if (/^\*+$/.test(stored)) throw new Error('auth_query gives asterisks: pg_authid and pg_shadow have the passwords');
    const isHash = /^(?:SCRAM-SHA-256\$|md5[0-9a-f]{32}$)/.test(stored);
    const secret = isHash ? { passwordHash: stored } : { password: stored };
    return await deriveUserSecret({ userName: user, ...secret, salt: saltOfUser(this.#mockSecret, user) });
  }

  #lookupOf(database: PoolerDatabase, { user, password, query, timeoutMs }: UserLookupOptions): UserLookup {
    let lookup = this.#lookups.get(database.name);
    if (lookup === undefined) {
      const login = {
        address: database.address,
        tls: database.tls,
        database: database.databaseName,
        user,
        password: password === undefined ? undefined : ServerPassword.fromText(password),
        parameters: LOOKUP_PARAMETERS,
        timeoutMs,
      };
      lookup = new UserLookup(login, query);
      this.#lookups.set(database.name, lookup);
    }
    return lookup;
  }
}

function keyOf(user: string, database: string): string {
  return JSON.stringify([database, user]);
}
