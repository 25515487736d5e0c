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
  if (user.server_user === undefined && user.server_password === undefined && database.user !== undefined) {
    return { user: database.user, password: database.password, verifierOnly: false };
  }
  return entryCredentials(user);
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
  if (entry !== undefined) return entryCredentials(entry);
  if (destination.user === undefined) return undefined;
  return { user: destination.user, password: destination.password, verifierOnly: false };
}

function entryCredentials(user: UserConfig): ServerCredentials {
  const password = user.server_password ?? user.password;
  const verifierOnly =
    password === undefined && user.password_hash !== undefined && isScramVerifier(user.password_hash);
  return { user: user.server_user ?? user.name, password, verifierOnly };
}
