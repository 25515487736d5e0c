import { ServerPassword } from '../auth/server-password.ts';
import { parseScramVerifier, saltOfUser } from '../auth/scram-verifier.ts';
import { UserSecret, deriveUserSecret } from '../auth/user-secret.ts';
import type { UserSecretSource } from '../auth/user-secret.ts';
import type { PoolerDatabase, PoolerOptions, PoolerRoute, PoolerUser, UserLookupOptions } from './pooler-options.ts';

/** A user whose database there is not: that is told to who has shown who it is, as PostgreSQL does. */
interface Astray {
  readonly secret: UserSecret | undefined;
}

/** Where a client that may log in is led. */
export interface DirectoryEntry {
  readonly secret: UserSecret | undefined;
  readonly database: PoolerDatabase;
  readonly route: PoolerRoute;
  /** It is not known here whether there is such a user: its database is to be asked. */
  readonly lookup: UserLookupOptions | undefined;
}

/** Who may log in where: derived once from the options, so that a login costs no key derivation. */
export class Directory {
  readonly #secrets: ReadonlyMap<string, UserSecret>;
  readonly #users: ReadonlyMap<string, PoolerUser>;
  readonly #databases: ReadonlyMap<string, PoolerDatabase>;
  readonly adminSecret: UserSecret | undefined;
  /** Stands for a user without a password, whom `trust` lets in. */
  readonly trusted = new UserSecret({});

  private constructor(
    options: PoolerOptions,
    secrets: ReadonlyMap<string, UserSecret>,
    adminSecret: UserSecret | undefined,
  ) {
    this.#secrets = secrets;
    this.#users = new Map(options.users.map((user) => [user.name, user]));
    this.#databases = new Map(options.databases.map((database) => [database.name, database]));
    this.adminSecret = adminSecret;
  }

  /** `mockSecret` makes the salts, the same in all threads. What `before` has derived is not derived again. */
  static async derive(options: PoolerOptions, mockSecret: Buffer, before?: Directory): Promise<Directory> {
    const sources = new Map<string, UserSecretSource>();
    for (const { name, routes } of options.users) {
      const salt = saltOfUser(mockSecret, name);
      for (const { password, passwordHash } of routes) {
        if (password === undefined && passwordHash === undefined) continue;
        sources.set(secretKey(name, password, passwordHash), { userName: name, password, passwordHash, salt });
      }
    }
    const known = before === undefined ? new Map<string, UserSecret>() : before.#secrets;
    const derived = await Promise.all(
      [...sources].map(async ([key, source]) => [key, known.get(key) ?? (await deriveUserSecret(source))] as const),
    );
    const { hashes } = options.admin;
    const admin = hashes && new UserSecret({ scramVerifier: parseScramVerifier(hashes.scram), md5Hash: hashes.md5 });
    return new Directory(options, new Map(derived), admin);
  }

  /** The way of a user to a database; `undefined` where one of the two is unknown, or not for the other. */
  find(user: string, database: string): DirectoryEntry | undefined {
    const target = this.#databases.get(database);
    if (target === undefined) return undefined;
    const known = this.#users.get(user);
    // Who is configured at all is what the configuration says, for every database.
    if (known === undefined) return lookedUpEntry(user, target);
    const route = known.routes.find((candidate) => candidate.database === database);
    if (route === undefined) return undefined;
    return { secret: this.#secretOf(user, route), database: target, route, lookup: undefined };
  }

  hasDatabase(name: string): boolean {
    return this.#databases.has(name);
  }

  /** A user of users.toml that asks for a database that is not there; it has the secret of its first entry. */
  findAstray(user: string, database: string): Astray | undefined {
    const route = this.#users.get(user)?.routes[0];
    if (route === undefined || this.hasDatabase(database)) return undefined;
    return { secret: this.#secretOf(user, route) };
  }

  #secretOf(user: string, { password, passwordHash }: PoolerRoute): UserSecret | undefined {
    return this.#secrets.get(secretKey(user, password, passwordHash));
  }
}

function lookedUpEntry(user: string, database: PoolerDatabase): DirectoryEntry | undefined {
  const lookup = database.userLookup;
  if (lookup === undefined) return undefined;
  const route = { ...lookup.route, serverUser: lookup.route.serverUser ?? user };
  return { secret: undefined, database, route, lookup };
}

// A user may have a password for each database: entries of the same one share what is derived from it.
function secretKey(user: string, password: string | undefined, passwordHash: string | undefined): string {
  return JSON.stringify([user, password, passwordHash]);
}

/** What a server login is made with; `undefined` where nothing is known. */
export function serverPassword(password: string | undefined): ServerPassword | undefined {
  return password === undefined || password === '' ? undefined : ServerPassword.fromText(password);
}
