import { isIPv4 } from 'node:net';
import type { Config } from '../../config/config.ts';
import { databaseLabel, mirroringLabel } from '../../config/entry-labels.ts';
import { findUser, mirrorCredentials } from '../../config/server-login.ts';
import type { MirroringConfig } from '../../config/mirroring-schema.ts';

/** What the files allow and an operator would hardly want, one line each. */
export function configWarnings(config: Config): string[] {
  return [
    ...loginWarnings(config),
    ...loopWarnings(config),
    ...config.mirroring.flatMap((mirroring) => mirrorWarnings(config, mirroring)),
  ];
}

function loginWarnings({ files, general, users }: Config): string[] {
  const warnings: string[] = [];
  if (users.length === 0 && general.auth_user === undefined) {
    warnings.push(`${files.users}: no [[users]]: nobody can log in`);
  }
  if (general.auth_type === 'trust' && !isLoopback(general.host)) {
    warnings.push(`${files.config}: general.auth_type: "trust" lets in whoever reaches ${general.host}`);
  }
  if (general.auth_type === 'plain' && !general.tls_client_required && !isLoopback(general.host)) {
    const danger = 'passwords may cross the network in plain text: set tls_client_required';
    warnings.push(`${files.config}: general.auth_type: "plain": ${danger}`);
  }
  return warnings;
}

/** A database behind pgmirror's own address would send its clients round in a circle. */
function loopWarnings({ files, general, databases }: Config): string[] {
  return databases
    .filter(
      ({ host, port }) => port === general.port && (host === general.unix_socket_dir || isOwnHost(host, general.host)),
    )
    .map(({ name }) => `${files.config}: ${databaseLabel(name)}: its address is pgmirror's own`);
}

function isOwnHost(host: string, own: string): boolean {
  const everywhere = own === '0.0.0.0' || own === '::';
  return host === own || (isLoopback(host) && (everywhere || isLoopback(own)));
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

function mirrorWarnings(config: Config, mirroring: MirroringConfig): string[] {
  const key = mirroringLabel(mirroring.source_db, mirroring.destination_db);
  const where = `${config.files.config}: ${key}`;
  const warnings: string[] = [];
  if (mirroring.exposure === 0) warnings.push(`${where}.exposure: 0, nothing is mirrored`);
  const destination = config.databases.find((database) => database.name === mirroring.destination_db);
  if (destination === undefined) return warnings;
  if (config.general.auth_user !== undefined && destination.user === undefined) {
    const missing = `no ${databaseLabel(destination.name)}.user`;
    warnings.push(`${where}: transactions of users that auth_query finds are dropped as no_user: ${missing}`);
  }
  for (const name of sourceUsers(config, mirroring.source_db)) {
    const credentials = mirrorCredentials(config, name, destination);
    if (credentials === undefined) {
      const missing = `no [[users]] entry for ${destination.name} and no ${databaseLabel(destination.name)}.user`;
      warnings.push(`${where}: transactions of ${name} are dropped as no_user: ${missing}`);
    } else if (credentials.verifierOnly) {
      const missing = `only a SCRAM verifier is known for ${destination.name}, which cannot log in: give server_password`;
      warnings.push(`${where}: transactions of ${name} are dropped as no_user: ${missing}`);
    }
  }
  return warnings;
}

/** Names of the users who may use a database, each once. */
function sourceUsers({ users }: Config, database: string): string[] {
  const names = new Set(users.map((user) => user.name));
  return [...names].filter((name) => findUser(users, name, database) !== undefined);
}
