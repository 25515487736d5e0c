import { spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { chown, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { freePort } from '../../../src/cli/embedded/free-port.ts';
import { Janitor } from '../../../src/cli/embedded/janitor.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { eventually, within } from '../../support/eventually.ts';
import { findProgram } from '../../support/programs.ts';
import type { Address } from './contender.ts';
import { unprivileged } from './servers.ts';

/** A program that listens on the loopback interface. */
export interface Listening {
  readonly process: ChildProcess;
  readonly port: number;
}

/** Runs a file of this folder; it writes the address that it listens on, as JSON, in its first line. */
export async function startScript(
  cleanup: Cleanup,
  file: string,
  parameters: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Listening> {
  const script = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, [script, ...parameters], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  });
  const janitor = await endWith(cleanup, child);
  cleanup.after(async () => janitor.close());
  const [line] = (await within(once(createInterface({ input: child.stdout }), 'line'), 10_000, file)) as [string];
  return { process: child, port: (JSON.parse(line) as { port: number }).port };
}

/** The PgBouncer that is installed, or that the environment variable PGBOUNCER names. */
export interface InstalledPgbouncer {
  readonly path: string;
  readonly version: string;
  /** It can prepare statements in transaction mode (1.21 and newer). */
  readonly prepares: boolean;
}

/** `undefined`: there is none. */
export function findPgbouncer(): InstalledPgbouncer | undefined {
  const path = process.env.PGBOUNCER ?? findProgram('pgbouncer') ?? findInSbin('pgbouncer');
  if (path === undefined) return undefined;
  const said = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout ?? '';
  const [, version = '', major = '0', minor = '0'] = /^PgBouncer ((\d+)\.(\d+)\S*)/.exec(said) ?? [];
  return version === '' ? undefined : { path, version, prepares: Number(major) > 1 || Number(minor) >= 21 };
}

/** HAProxy, where it is installed. */
export function findHaproxy(): string | undefined {
  return findProgram('haproxy') ?? findInSbin('haproxy');
}

/**
 * PgBouncer before a source: its database `bench` in transaction mode, `bench_session` in session mode with a server
 * connection for each client. Clients log in by SCRAM, as to the others.
 */
export async function startPgbouncer(
  cleanup: Cleanup,
  { path, prepares }: InstalledPgbouncer,
  source: Address,
  poolSize: number,
): Promise<Listening> {
  const port = await freePort();
  const { host, user, password, database } = source;
  const login = `host=${host} port=${source.port} dbname=${database} user=${user} password=${password}`;
  const users = `"${user}" "${password}"\n`;
  const configuration = (folder: string): string =>
    [
      '[databases]',
      `bench = ${login} pool_size=${poolSize}`,
      `bench_session = ${login} pool_mode=session pool_size=1100`,
      '[pgbouncer]',
      `listen_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\nlisten_backlog = 1024`,
      `auth_type = scram-sha-256\nauth_file = ${join(folder, 'users.txt')}`,
      'pool_mode = transaction\nmax_client_conn = 12000\nserver_tls_sslmode = disable',
      'log_connections = 0\nlog_disconnections = 0\nignore_startup_parameters = extra_float_digits',
      prepares ? 'max_prepared_statements = 200' : '',
    ].join('\n');
  const files = (folder: string) => ({ 'pgbouncer.ini': configuration(folder), 'users.txt': users });
  const child = await runInFolder(cleanup, files, (folder) => [path, '-q', join(folder, 'pgbouncer.ini')]);
  await whenListening(port, child, 'PgBouncer');
  return { process: child, port };
}

/** HAProxy in TCP mode with one thread before a source. */
export async function startHaproxy(cleanup: Cleanup, path: string, source: Address): Promise<Listening> {
  const port = await freePort();
  const configuration = [
    'global\n  nbthread 1\n  maxconn 4000',
    'defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h',
    `listen source\n  bind 127.0.0.1:${port}\n  server source ${source.host}:${source.port}`,
  ].join('\n');
  const files = () => ({ 'haproxy.cfg': `${configuration}\n` });
  const child = await runInFolder(cleanup, files, (folder) => [path, '-db', '-f', join(folder, 'haproxy.cfg')]);
  await whenListening(port, child, 'HAProxy');
  return { process: child, port };
}

/** Runs a program as `nobody` where this process is root, with these files in a folder of its own. */
async function runInFolder(
  cleanup: Cleanup,
  files: (folder: string) => Readonly<Record<string, string>>,
  command: (folder: string) => readonly string[],
): Promise<ChildProcess> {
  const account = unprivileged();
  const janitor = await Janitor.start(tmpdir(), 'pgmirror-bench-');
  const { folder } = janitor;
  for (const [name, text] of Object.entries(files(folder))) {
    await writeFile(join(folder, name), text, { mode: 0o600 });
    if (account.uid !== undefined) await chown(join(folder, name), account.uid, account.gid ?? account.uid);
  }
  if (account.uid !== undefined) await chown(folder, account.uid, account.gid ?? account.uid);
  const [program = '', ...parameters] = command(folder);
  const options: SpawnOptions = { stdio: ['ignore', 'ignore', 'inherit'], cwd: folder, ...account };
  const child = spawn(program, parameters, options);
  await endWith(cleanup, child, janitor);
  cleanup.after(async () => janitor.close());
  return child;
}

async function endWith(cleanup: Cleanup, child: ChildProcess, given?: Janitor): Promise<Janitor> {
  const janitor = given ?? (await Janitor.start(tmpdir(), 'pgmirror-bench-'));
  janitor.watch(child, 'KILL');
  const closed = once(child, 'close');
  cleanup.after(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  return janitor;
}

async function whenListening(port: number, child: ChildProcess, name: string): Promise<void> {
  await eventually(
    async () => {
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
      const socket = connect({ host: '127.0.0.1', port });
      await once(socket, 'connect');
      socket.destroy();
      return true;
    },
    { what: `${name} to listen` },
  );
}

function findInSbin(name: string): string | undefined {
  const path = `/usr/sbin/${name}`;
  return spawnSync(path, ['-v'], { stdio: 'ignore' }).error === undefined ? path : undefined;
}
