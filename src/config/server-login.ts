import type { Config } from './config.ts';
import type { DatabaseConfig } from './database-schema.ts';
import { isScramVerifier, type UserConfig } from './user-schema.ts';

/** How pgmirror logs in to a server in a user's place. */
export interface ServerCredentials {
  readonly user: string;
  readonly password: string | undefined;
  /** Only a SCRAM verifier is known, with which nobody can log in to another server. */
  readonly verifierOnly: boolean;
}

/** The entry of [[users]] for a name and a database: one that names the database goes before one for all of them. */
export function findUser(users: readonly UserConfig[], name: string, database: string): UserConfig | undefined {
  const entries = users.filter((user) => user.name === name);
  return entries.find((user) => user.databases.includes(database)) ?? entries.find((user) => user.all_databases);
}

/** Towards a source: the entry's own server_user, else the database's user, else the client's name and password. */
export function sourceCredentials(user: UserConfig, database: DatabaseConfig): ServerCredentials {
  const own =
    user.server_user === undefined && user.server_password === undefined ? ownCredentials(database) : undefined;
  return own ?? entryCredentials(user);
}

/**
 * Towards a mirror: the entry of [[users]] of the same name for the destination, else the destination's own user; without
 * either there is nobody to log in as, and the transaction is dropped (`no_user`).
 */
export function mirrorCredentials(
  config: Pick<Config, 'users'>,
  name: string,
  destination: DatabaseConfig,
): ServerCredentials | undefined {
  const entry = findUser(config.users, name, destination.name);
  return entry === undefined ? ownCredentials(destination) : entryCredentials(entry);
}

/** As whom a database is asked for the users that users.toml lacks (`auth_user`). */
export function lookupCredentials(
  { general, users }: Pick<Config, 'general' | 'users'>,
  database: DatabaseConfig,
): ServerCredentials | undefined {
  const name = general.auth_user;
  if (name === undefined) return undefined;
  const entry = findUser(users, name, database.name) ?? users.find((user) => user.name === name);
  const password = entry?.server_password ?? entry?.password;
  const own = database.user === name ? database.password : undefined;
  return { user: name, password: password ?? own, verifierOnly: false };
}

/**
 * As whom pgmirror logs in to a source for itself, with no client there: as the first of its users whose password is
 * known, else as its own user, else as who looks up users; `undefined`: it cannot.
 */
export function unattendedCredentials(
  config: Pick<Config, 'general' | 'users'>,
  database: DatabaseConfig,
): ServerCredentials | undefined {
  for (const name of new Set(config.users.map((user) => user.name))) {
    const user = findUser(config.users, name, database.name);
    const credentials = user && sourceCredentials(user, database);
    if (credentials?.verifierOnly === false) return credentials;
  }
  return ownCredentials(database) ?? lookupCredentials(config, database);
}

/** The login that a database has in place of its clients' own. */
export function ownCredentials({ user, password }: DatabaseConfig): ServerCredentials | undefined {
  return user === undefined ? undefined : { user, password, verifierOnly: false };
}

function entryCredentials(user: UserConfig): ServerCredentials {
  const password = user.server_password ?? user.password;
  const verifierOnly =
    password === undefined && user.password_hash !== undefined && isScramVerifier(user.password_hash);
  return { user: user.server_user ?? user.name, password, verifierOnly };
}
