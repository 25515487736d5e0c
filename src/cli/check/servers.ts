import { ServerPassword } from '../../auth/server-password.ts';
import type { Config } from '../../config/config.ts';
import type { DatabaseConfig } from '../../config/database-schema.ts';
import { controlled } from '../../config/controlled.ts';
import { mirroringLabel } from '../../config/entry-labels.ts';
import type { MirroringConfig } from '../../config/mirroring-schema.ts';
import { mirrorObjections } from '../../mirror/replay/mirror-objections.ts';
import { connectServer } from '../../pool/connect-server.ts';
import type { ServerLogin } from '../../pool/connect-server.ts';
import { terminate } from '../../protocol/frontend-messages.ts';
import { printable } from '../report/words.ts';
import { loginsTo, type CheckedLogin } from './logins.ts';
import { elevations, type WorkingLogin } from './rights.ts';

/**
 * Logs in to every source and mirror and runs the safety checks of each mirror. Prints one line a check and gives the
 * number of those that failed.
 */
export async function checkServers(config: Config, print: (line: string) => void): Promise<number> {
  let failures = 0;
  const working: WorkingLogin[] = [];
  for (const database of config.databases) {
    const logins = loginsTo(config, database);
    if (logins.length === 0) print(`warning: ${database.name} at ${address(database)}: not tried, no login is known`);
    for (const login of logins) {
      if (login.credentials.verifierOnly) {
        print(`warning: ${described(login)}: not tried, only a SCRAM verifier is known, with which nobody can log in`);
        continue;
      }
      try {
        working.push({ ...login, isSuperuser: await logIn(login, config) });
        print(`${described(login)}: fine`);
      } catch (error) {
        failures++;
        print(`${described(login)}: failed: ${oneLine(error)}`);
      }
    }
  }
  for (const mirroring of config.mirroring) failures += await checkMirror(config, mirroring, working, print);
  return failures;
}

function described({ role, database, credentials }: CheckedLogin): string {
  return `${role} ${database.name} at ${address(database)} as ${credentials.user}`;
}

function address({ host, port }: DatabaseConfig): string {
  if (host.startsWith('/')) return `${host}/.s.PGSQL.${port}`;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether it is a superuser's login. Rejects where it cannot be made. */
async function logIn(login: CheckedLogin, config: Config): Promise<boolean> {
  const { socket, parameters } = await connectServer(serverLogin(login, config));
  socket.write(terminate());
  socket.whenFlushed(() => socket.destroy());
  return parameters.get('is_superuser') === 'on';
}

function serverLogin({ database, credentials }: CheckedLogin, { general, tls }: Config): ServerLogin {
  const { user, password } = credentials;
  return {
    address: { host: database.host, port: database.port },
    tls: tls.servers,
    database: database.database_name,
    user,
    password: password === undefined ? undefined : ServerPassword.fromText(password),
    parameters: { ...database.parameters, application_name: 'pgmirror check' },
    timeoutMs: general.connect_timeout,
  };
}

async function checkMirror(
  config: Config,
  mirroring: MirroringConfig,
  working: readonly WorkingLogin[],
  print: (line: string) => void,
): Promise<number> {
  const name = mirroringLabel(mirroring.source_db, mirroring.destination_db);
  const source = working.find((login) => login.role === 'source' && login.database.name === mirroring.source_db);
  const mirror = working.find((login) => login.role === 'mirror' && login.database.name === mirroring.destination_db);
  if (source === undefined || mirror === undefined) {
    print(`${name}: safety not checked, for want of a login to ${source === undefined ? 'the source' : 'the mirror'}`);
    return 1;
  }
  try {
    const logins = { source: serverLogin(source, config), mirror: serverLogin(mirror, config) };
    const isControl = controlled(config.mirroring, mirroring) !== undefined;
    const rules = { level: mirroring.level, allowSideEffects: mirroring.allow_side_effects, isControl };
    const objections = await mirrorObjections(connectServer, logins, rules);
    for (const elevation of elevations(config, mirroring, working)) print(`warning: ${name}: ${elevation}`);
    for (const objection of objections) print(`${name}: would be refused: ${objection}`);
    if (objections.length === 0) print(`${name}: safe to mirror`);
    return objections.length;
  } catch (error) {
    print(`${name}: safety not checked: ${oneLine(error)}`);
    return 1;
  }
}

function oneLine(error: unknown): string {
  const text = error instanceof Error && error.message !== '' ? error.message : String(error);
  return printable(text).replaceAll(/\s+/g, ' ');
}
