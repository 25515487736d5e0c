import type { Config } from '../../config/config.ts';
import type { MirroringConfig } from '../../config/mirroring-schema.ts';
import { findUser, mirrorCredentials, ownCredentials, sourceCredentials } from '../../config/server-login.ts';
import type { ServerCredentials } from '../../config/server-login.ts';
import type { CheckedLogin } from './logins.ts';

/** A login that was made. */
export interface WorkingLogin extends CheckedLogin {
  readonly isSuperuser: boolean;
}

/**
 * Whose statements run on a mirror as a superuser though they do not on the source, a line for each: what the source does not
 * let them do is done there.
 */
export function elevations(config: Config, mirroring: MirroringConfig, working: readonly WorkingLogin[]): string[] {
  const source = config.databases.find(({ name }) => name === mirroring.source_db);
  const destination = config.databases.find(({ name }) => name === mirroring.destination_db);
  if (source === undefined || destination === undefined) return [];
  const isSuperuser = (role: CheckedLogin['role'], name: string, login: ServerCredentials | undefined): boolean =>
    working.some(
      (made) =>
        made.role === role && made.database.name === name && made.credentials.user === login?.user && made.isSuperuser,
    );
  const line = (
    who: string,
    onSource: ServerCredentials | undefined,
    onMirror: ServerCredentials | undefined,
  ): string[] => {
    if (!isSuperuser('mirror', destination.name, onMirror)) return [];
    if (isSuperuser('source', source.name, onSource)) return [];
    return [`what ${who} may not do on the source is done on the mirror, as the superuser ${onMirror?.user ?? ''}`];
  };
  const names = [...new Set(config.users.map(({ name }) => name))];
  const ofUsers = names.flatMap((name) => {
    const user = findUser(config.users, name, source.name);
    return user === undefined
      ? []
      : line(name, sourceCredentials(user, source), mirrorCredentials(config, name, destination));
  });
  if (config.general.auth_user === undefined) return ofUsers;
  return [...ofUsers, ...line('a user that auth_query finds', ownCredentials(source), ownCredentials(destination))];
}
