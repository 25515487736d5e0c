import type { Config } from '../../config/config.ts';
import type { DatabaseConfig } from '../../config/database-schema.ts';
import { findUser, mirrorCredentials, sourceCredentials, type ServerCredentials } from '../../config/server-login.ts';

/** One login that pgmirror would make. */
export interface CheckedLogin {
  readonly role: 'source' | 'mirror';
  readonly database: DatabaseConfig;
  readonly credentials: ServerCredentials;
}

/**
 * The logins towards a database, each once: as a mirror, for the users of its sources; else as a source, for its own
 * users. A database that is both is both.
 */
export function loginsTo(config: Config, database: DatabaseConfig): CheckedLogin[] {
  const names = [...new Set(config.users.map((user) => user.name))];
  const sources = config.mirroring
    .filter((mirroring) => mirroring.destination_db === database.name)
    .map((mirroring) => mirroring.source_db);
  const asMirror = names
    .filter((name) => sources.some((source) => findUser(config.users, name, source) !== undefined))
    .map((name) => mirrorCredentials(config, name, database));
  const isSource = sources.length === 0 || config.mirroring.some((mirroring) => mirroring.source_db === database.name);
  const asSource = isSource
    ? names.map((name) => findUser(config.users, name, database.name)).filter((user) => user !== undefined)
    : [];
  return [
    ...distinct(asSource.map((user) => sourceCredentials(user, database))).map(
      (credentials) => ({ role: 'source', database, credentials }) as const,
    ),
    ...distinct(asMirror.filter((credentials) => credentials !== undefined)).map(
      (credentials) => ({ role: 'mirror', database, credentials }) as const,
    ),
  ];
}

function distinct(logins: readonly ServerCredentials[]): ServerCredentials[] {
  return [...new Map(logins.map((login) => [JSON.stringify([login.user, login.password]), login])).values()];
}
