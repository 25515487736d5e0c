import { spawn, type ChildProcess } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { QueryResultRow } from 'pg';
import { stringify, type TomlTable } from 'smol-toml';

import { freePort } from '../../src/cli/embedded/free-port.ts';
import { Janitor } from '../../src/cli/embedded/janitor.ts';
import type { Cleanup } from './cleanup.ts';
import { within } from './eventually.ts';
import { LogLines, type LogLine } from './log-lines.ts';
import { mainFile } from './main-file.ts';
import { query, type RunningPostgres } from './postgres.ts';

/** What goes into pgmirror.toml, table by table, and (`users`) into users.toml. Keys are the files' own. */
export interface PgmirrorFiles {
  readonly general?: TomlTable;
  readonly admin?: TomlTable;
  readonly databases?: readonly TomlTable[];
  readonly mirroring?: readonly TomlTable[];
  readonly users?: readonly TomlTable[];
}

/** See {@link Pgmirror.start}. */
export interface PgmirrorOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Flags of Node, for example `--max-old-space-size=64`. */
  readonly nodeFlags?: readonly string[];
  readonly timeoutMs?: number;
  /** What is run instead of {@link mainFile}. */
  readonly mainFile?: string | undefined;
  /** Chooses the port where `general.port` does not say one; default {@link freePort}. */
  readonly choosePort?: () => Promise<number>;
}

/** The entry of `[[databases]]` that reaches a server, with the superuser for the connections. */
export function databaseEntry(name: string, server: RunningPostgres, databaseName = name): TomlTable {
  const { host, port, user, password } = server;
  return { name, host, port, database_name: databaseName, user, password };
}

/**
 * A pgmirror in a process of its own, started as users do, from files in a temporary folder. Its port is free unless
 * `general.port` says one, and its admin database is on.
 */
export class Pgmirror {
  readonly host = '127.0.0.1';
  readonly port: number;
  /** What it logged so far. */
  readonly log: LogLines;
  readonly #process: ChildProcess;
  readonly #janitor: Janitor;
  readonly #exited: Promise<number | NodeJS.Signals>;
  #files: PgmirrorFiles;
  #stderr = '';

  private constructor(child: ChildProcess, janitor: Janitor, files: PgmirrorFiles) {
    if (child.stdout === null || child.stderr === null) throw new Error('no pipes');
    this.#process = child;
    this.#janitor = janitor;
    this.#files = files;
    this.port = Number(files.general?.port);
    this.log = new LogLines(child.stdout);
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    const exited = Promise.withResolvers<number | NodeJS.Signals>();
    child.once('close', (status, signal) => exited.resolve(signal ?? status ?? -1));
    child.once('error', () => exited.resolve(-1));
    this.#exited = exited.promise;
  }

  /**
   * Starts one and resolves when it listens; it is stopped when the test or file is over.
   * Rejects, with what it said, when it ends before.
   */
  static async start(cleanup: Cleanup, files: PgmirrorFiles, options: PgmirrorOptions = {}): Promise<Pgmirror> {
    for (let attempt = 1; ; attempt += 1) {
      const pgmirror = await Pgmirror.launch(cleanup, files, options);
      try {
        await pgmirror.log.waitFor((line) => line.msg === 'listening', { timeoutMs: options.timeoutMs ?? 20_000 });
        return pgmirror;
      } catch (error) {
        const status = await within(pgmirror.#exited, 1_000, 'its end').catch(() => 'it still runs');
        // The port was free a moment ago, and somebody was faster.
        const isTaken = files.general?.port === undefined && pgmirror.output().includes('the address is in use');
        if (isTaken && attempt < 5) continue;
        throw new Error(`pgmirror ended (${status}) before it listened: ${pgmirror.output()}`, { cause: error });
      }
    }
  }

  /** Starts one without waiting for anything: for configurations that it refuses. */
  static async launch(cleanup: Cleanup, files: PgmirrorFiles, options: PgmirrorOptions = {}): Promise<Pgmirror> {
    const port = files.general?.port ?? (await (options.choosePort ?? freePort)());
    const whole = withDefaults({ ...files, general: { ...files.general, port } });
    const janitor = await Janitor.start(tmpdir(), 'pgmirror-files-');
    try {
      await writeFiles(janitor.folder, whole);
      const command = ['run', '--config', 'pgmirror.toml', '--users', 'users.toml'];
      const child = spawn(process.execPath, [...(options.nodeFlags ?? []), options.mainFile ?? mainFile, ...command], {
        cwd: janitor.folder,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, NO_COLOR: '1', ...options.env },
      });
      janitor.watch(child, 'KILL');
      const pgmirror = new Pgmirror(child, janitor, whole);
      cleanup.after(async () => {
        await pgmirror.stop();
      });
      return pgmirror;
    } catch (error) {
      await janitor.close();
      throw error;
    }
  }

  /** Where its files are. */
  get paths(): { readonly config: string; readonly users: string } {
    const { folder } = this.#janitor;
    return { config: join(folder, 'pgmirror.toml'), users: join(folder, 'users.toml') };
  }

  get processId(): number {
    return this.#process.pid ?? 0;
  }

  /** The exit status, or the signal that ended it; resolves when it has ended. */
  get exited(): Promise<number | NodeJS.Signals> {
    return this.#exited;
  }

  /** All it wrote, log and error output. */
  output(): string {
    return `${this.log.lines.map((line) => JSON.stringify(line)).join('\n')}\n${this.#stderr}`;
  }

  /** What it wrote to its standard error. */
  get stderr(): string {
    return this.#stderr;
  }

  /** A line of its log that came already or is still to come. */
  async waitForLog(
    fits: (line: LogLine) => boolean,
    options: { from?: number; timeoutMs?: number } = {},
  ): Promise<LogLine> {
    return this.log.waitFor(fits, options);
  }

  /** The URL of a database; `user` is the first of users.toml unless told, with its password. */
  url(database: string, user?: string, password?: string): string {
    const entry = this.#files.users?.find(({ name }) => user === undefined || name === user);
    const secret = password ?? entry?.password;
    const name = encodeURIComponent(user ?? asText(entry?.name));
    const credentials = typeof secret === 'string' ? `${name}:${encodeURIComponent(secret)}` : name;
    return `postgres://${credentials}@${this.host}:${this.port}/${encodeURIComponent(database)}`;
  }

  /** Runs a command on the admin database. */
  async admin<Row extends QueryResultRow = QueryResultRow>(sql: string): Promise<Row[]> {
    const { name, user, password } = this.#files.admin ?? {};
    return query<Row>(this.url(asText(name), asText(user), asText(password)), sql);
  }

  /** Writes the files anew, with these tables in place of theirs. What runs does not see it before a reload. */
  async writeFiles(changed: PgmirrorFiles): Promise<void> {
    this.#files = withDefaults({ ...this.#files, ...changed, general: { ...this.#files.general, ...changed.general } });
    await writeFiles(this.#janitor.folder, this.#files);
  }

  /** Writes the files anew and has them read; rejects with the server's error when they are refused. */
  async reload(changed: PgmirrorFiles): Promise<void> {
    await this.writeFiles(changed);
    await this.admin('RELOAD');
  }

  /** Sends it a signal. */
  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** SIGTERM; resolves with its exit status. Should it not end in time it is killed, and this rejects. */
  async stop(timeoutMs = 15_000): Promise<number | NodeJS.Signals> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#process.kill('SIGTERM');
    try {
      return await within(this.#exited, timeoutMs, 'pgmirror to end after SIGTERM');
    } catch (error) {
      this.#process.kill('SIGKILL');
      await this.#exited;
      throw error;
    } finally {
      await this.#janitor.close();
    }
  }
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function withDefaults(files: PgmirrorFiles): PgmirrorFiles {
  return {
    ...files,
    general: { host: '127.0.0.1', ...files.general },
    admin: { name: 'pgmirror', user: 'admin', password: 'admin-password', ...files.admin },
  };
}

async function writeFiles(folder: string, { users, ...config }: PgmirrorFiles): Promise<void> {
  const present = Object.fromEntries(Object.entries(config).filter(([, table]) => table !== undefined));
  await writeFile(join(folder, 'pgmirror.toml'), stringify(present), { mode: 0o600 });
  await writeFile(join(folder, 'users.toml'), stringify({ users: users ?? [] }), { mode: 0o600 });
}
