import { ServerPassword } from '../auth/server-password.ts';
import { saltOfUser } from '../auth/scram-verifier.ts';
import { UserSecret, deriveUserSecret } from '../auth/user-secret.ts';
import type { PoolerDatabase, PoolerOptions, PoolerRoute, PoolerUser } from './pooler-options.ts';

/** Where a client that may log in is led. */
export interface DirectoryEntry {
  readonly secret: UserSecret | undefined;
  readonly database: PoolerDatabase;
  readonly route: PoolerRoute;
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

  /** `mockSecret` makes the salts, the same in all threads. */
  static async derive(options: PoolerOptions, mockSecret: Buffer): Promise<Directory> {
    const derived = await Promise.all(
      options.users.map(async (user): Promise<[string, UserSecret] | undefined> => {
        if (user.password === undefined && user.passwordHash === undefined) return undefined;
        const source = { userName: user.name, password: user.password, passwordHash: user.passwordHash };
        return [user.name, await deriveUserSecret({ ...source, salt: saltOfUser(mockSecret, user.name) })];
      }),
    );
    const { password, user } = options.admin;
    const admin =
      password === undefined
        ? undefined
        : await deriveUserSecret({ userName: user, password, salt: saltOfUser(mockSecret, user) });
    return new Directory(options, new Map(derived.filter((entry) => entry !== undefined)), admin);
  }

  /** The way of a user to a database; `undefined` where one of the two is unknown, or not for the other. */
  find(user: string, database: string): DirectoryEntry | undefined {
    const route = this.#users.get(user)?.routes.find((candidate) => candidate.database === database);
    const target = this.#databases.get(database);
    if (route === undefined || target === undefined) return undefined;
    return { secret: this.#secrets.get(user), database: target, route };
  }
}

/** What a server login is made with; `undefined` where nothing is known. */
export function serverPassword(password: string | undefined): ServerPassword | undefined {
  return password === undefined || password === '' ? undefined : ServerPassword.fromText(password);
}
