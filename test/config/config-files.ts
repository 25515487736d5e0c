import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { ConfigError } from '../../src/config/config-error.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load-config.ts';

/** The least that is valid, to which a test adds what it is about. */
export const DATABASE = `
[[databases]]
name = "app"
host = "db"
`;

/** A source and a destination. */
export const TWO_DATABASES = `${DATABASE}
[[databases]]
name = "app_new"
host = "db-new"
`;

/** What pg_authid has of a user. */
export const VERIFIER =
  'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=';

/** Writes both files into a directory of their own, which goes when the test ends. */
export function writeFiles(t: TestContext, config: string | Buffer, users: string | Buffer = '') {
  const directory = mkdtempSync(join(tmpdir(), 'pgmirror-config-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const paths = { config: join(directory, 'pgmirror.toml'), users: join(directory, 'users.toml') };
  writeFileSync(paths.config, config);
  writeFileSync(paths.users, users);
  return { ...paths, directory };
}

/** Loads both files. */
export function load(t: TestContext, config: string, users = '', environment: NodeJS.ProcessEnv = {}): Config {
  return loadConfig(writeFiles(t, config, users), environment);
}

/** The problems that both files have, without the directory's name. */
export function problemsOf(
  t: TestContext,
  config: string | Buffer,
  users: string | Buffer = '',
  environment: NodeJS.ProcessEnv = {},
): string[] {
  const paths = writeFiles(t, config, users);
  try {
    loadConfig(paths, environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((problem) => problem.replaceAll(`${paths.directory}/`, ''));
  }
  return [];
}
