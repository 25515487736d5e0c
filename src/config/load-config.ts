import { checkConfigFile } from './check-config-file.ts';
import { checkUsersFile } from './check-users-file.ts';
import type { Section } from './check-section.ts';
import { ConfigError } from './config-error.ts';
import type { Config } from './config.ts';
import type { databaseSchema, DatabaseConfig } from './database-schema.ts';
import { deepFreeze } from './deep-freeze.ts';
import type { GeneralConfig } from './general-schema.ts';
import type { mirroringSchema, MirroringConfig } from './mirroring-schema.ts';
import { ProblemList } from './problem-list.ts';
import { readTomlFile } from './read-toml-file.ts';
import { readSections, readUserSections, type Sections, type UserSections } from './sections.ts';
import { readTlsFiles, type TlsConfig } from './tls-files.ts';
import type { userSchema, UserConfig } from './user-schema.ts';

/**
 * Reads both files and checks them, each key by itself and then between keys. Throws a ConfigError that names every
 * problem of both.
 */
export function loadConfig(
  paths: { readonly config: string; readonly users: string },
  environment: NodeJS.ProcessEnv,
): Config {
  const configFile = readTomlFile(paths.config, 'a pgmirror.toml (another path: --config FILE)');
  const usersFile = readTomlFile(
    paths.users,
    'a users.toml with [[users]] tables, or an empty one (another path: --users FILE)',
  );
  const configProblems = new ProblemList(paths.config);
  const usersProblems = new ProblemList(paths.users);

  const sections = 'tables' in configFile ? readSections(configFile.tables, environment, configProblems) : undefined;
  const users = 'tables' in usersFile ? readUserSections(usersFile.tables, environment, usersProblems) : undefined;
  if (sections !== undefined) checkConfigFile(sections, configProblems);
  // Files are looked into once it is certain which are meant.
  const isSound = sections !== undefined && configProblems.lines.length === 0;
  const tls = isSound ? readTlsFiles(sections.general, paths.config, configProblems) : undefined;
  if (users !== undefined) checkUsersFile(users, sections, usersProblems);

  const unreadable = [configFile, usersFile].flatMap((file) => ('problem' in file ? [file.problem] : []));
  const problems = [...unreadable, ...configProblems.lines, ...usersProblems.lines];
  if (problems.length > 0) throw new ConfigError(problems);
  if (sections === undefined || users === undefined || tls === undefined)
    throw new Error('a file without tables and without a problem');
  return deepFreeze(resolved({ config: paths.config, users: paths.users }, sections, users, tls));
}

function resolved(files: Config['files'], sections: Sections, { users }: UserSections, tls: TlsConfig): Config {
  const general: GeneralConfig = sound(sections.general);
  const all = [sections.general, sections.admin, ...sections.databases, ...sections.mirroring, ...users];
  return {
    files,
    general,
    tls,
    admin: sound(sections.admin),
    databases: sections.databases.map(resolvedDatabase),
    mirroring: sections.mirroring.map((section) => resolvedMirroring(section, general)),
    users: users.map(resolvedUser),
    given: all.flatMap(({ key, present }) => [...present].map((name) => `${key}.${name}`)),
  };
}

/** The value of a section in which nothing was wrong: whatever was wrong has been thrown by now. */
function sound<Value>({ key, value }: { readonly key: string; readonly value: Value | undefined }): Value {
  if (value === undefined) throw new Error(`${key} has neither a value nor a problem`);
  return value;
}

function resolvedDatabase(section: Section<typeof databaseSchema>): DatabaseConfig {
  const database = sound(section);
  return { ...database, database_name: database.database_name ?? database.name };
}

function resolvedMirroring(section: Section<typeof mirroringSchema>, general: GeneralConfig): MirroringConfig {
  const { queue_depth: depth, ...mirroring } = sound(section);
  return {
    ...mirroring,
    exposure: mirroring.exposure ?? general.mirror_exposure,
    queue_length: mirroring.queue_length ?? depth ?? general.mirror_queue,
  };
}

function resolvedUser(section: Section<typeof userSchema>): UserConfig {
  const { database, databases, ...user } = sound(section);
  return { ...user, databases: databases ?? (database === undefined ? [] : [database]) };
}
