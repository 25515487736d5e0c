import type { Config } from '../../config/config.ts';
import type { DatabaseConfig } from '../../config/database-schema.ts';
import {
  findUser,
  lookupCredentials,
  mirrorCredentials,
  ownCredentials,
  sourceCredentials,
  type ServerCredentials,
} from '../../config/server-login.ts';

/** One login that pgmirror would make. */
export interface CheckedLogin {
  readonly role: 'source' | 'mirror';
  readonly database: DatabaseConfig;
  readonly credentials: ServerCredentials;
}

/**
 * The logins towards a database, each once: as a mirror, for the users of its sources; else as a source, for its own
 * users, and for looking up others. A database that is both is both.
 */
export function loginsTo(config: Config, database: DatabaseConfig): CheckedLogin[] {
  const names = [...new Set(config.users.map((user) => user.name))];
  const sources = config.mirroring
    .filter((mirroring) => mirroring.destination_db === database.name)
    .map((mirroring) => mirroring.source_db);
  // Users that are looked up log in as nobody but the database's own user, or as themselves, which cannot be tried here.
  const own = config.general.auth_user === undefined ? undefined : ownCredentials(database);
  const asMirror = names
    .filter((name) => sources.some((source) => findUser(config.users, name, source) !== undefined))
    .map((name) => mirrorCredentials(config, name, database));
  const asSource = names
    .map((name) => findUser(config.users, name, database.name))
    .filter((user) => user !== undefined)
    .map((user) => sourceCredentials(user, database));
  const isSource = sources.length === 0 || config.mirroring.some((mirroring) => mirroring.source_db === database.name);
  return [
    ...(isSource ? distinct([...asSource, own, lookupCredentials(config, database)]) : []).map(
      (credentials) => ({ role: 'source', database, credentials }) as const,
    ),
    ...(sources.length > 0 ? distinct([...asMirror, own]) : []).map(
      (credentials) => ({ role: 'mirror', database, credentials }) as const,
    ),
  ];
}

function distinct(logins: readonly (ServerCredentials | undefined)[]): ServerCredentials[] {
  const known = logins.filter((login) => login !== undefined);
  return [...new Map(known.map((login) => [JSON.stringify([login.user, login.password]), login])).values()];
}
