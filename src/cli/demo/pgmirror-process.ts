import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { stringify, type TomlTable } from 'smol-toml';

import { entryFile } from '../../util/entry-file.ts';
import { freePort } from '../embedded/free-port.ts';
import { Janitor } from '../embedded/janitor.ts';

const readyMs = 20_000;
const stopMs = 10_000;

/** The tables of pgmirror.toml, and `users`: those of users.toml. */
export interface PgmirrorTables {
  readonly admin: TomlTable;
  readonly databases: readonly TomlTable[];
  readonly mirroring: readonly TomlTable[];
  readonly users: readonly TomlTable[];
}

/** pgmirror as a user starts it: this program with `run` and two files, in a process of its own. */
export class PgmirrorProcess {
  readonly port: number;
  /** Where it serves HTTP. */
  readonly httpPort: number;
  readonly #child: ChildProcess;
  readonly #janitor: Janitor;
  readonly #said: string[] = [];

  private constructor(child: ChildProcess, janitor: Janitor, ports: { readonly port: number; readonly http: number }) {
    this.#child = child;
    this.#janitor = janitor;
    this.port = ports.port;
    this.httpPort = ports.http;
  }

  /** Writes the files, starts it on a free port, and resolves when it listens. Rejects with what it said if it ends before. */
  static async start({ users, ...tables }: PgmirrorTables): Promise<PgmirrorProcess> {
    const janitor = await Janitor.start(tmpdir(), 'pgmirror-demo-');
    try {
      const [port, http] = await Promise.all([freePort(), freePort()]);
      const [config, userList] = [join(janitor.folder, 'pgmirror.toml'), join(janitor.folder, 'users.toml')];
      await writeFile(config, stringify({ ...tables, general: { host: '127.0.0.1', port, http_port: http } }), {
        mode: 0o600,
      });
      await writeFile(userList, stringify({ users }), { mode: 0o600 });
      const main = entryFile('../../main', import.meta.url);
      const child = spawn(process.execPath, [main, 'run', '--config', config, '--users', userList], {
        detached: true, // a Ctrl-C at the terminal is for the demo, which stops what it started in its order
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, TMPDIR: janitor.folder }, // what it leaves when it is killed goes with this folder
      });
      janitor.watch(child, 'TERM');
      const pgmirror = new PgmirrorProcess(child, janitor, { port, http });
      await pgmirror.#listening();
      return pgmirror;
    } catch (error) {
      await janitor.close();
      throw error;
    }
  }

  /** SIGTERM, and SIGKILL if that takes too long. */
  async stop(): Promise<void> {
    if (this.#running) {
      const exited = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      const impatient = setTimeout(() => this.#child.kill('SIGKILL'), stopMs);
      await exited;
      clearTimeout(impatient);
    }
    await this.#janitor.close();
  }

  /** Whether it has ended; its connections break a moment before that is known, so this waits for the news. */
  async hasEnded(): Promise<boolean> {
    if (this.#running) await once(this.#child, 'exit', { signal: AbortSignal.timeout(500) }).catch(() => {});
    return !this.#running;
  }

  /** The last lines it wrote, for when something went wrong. */
  get lastLines(): readonly string[] {
    return this.#said.slice(-5);
  }

  get #running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async #listening(): Promise<void> {
    const ready = Promise.withResolvers<void>();
    const note = (line: string): void => {
      this.#said.push(line);
      if (this.#said.length > 100) this.#said.shift();
      if (isListening(line)) ready.resolve();
    };
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', note);
    }
    const fail = (what: string): void => ready.reject(new Error(`pgmirror ${what}: ${this.lastLines.join(' / ')}`));
    this.#child.once('error', (error) => fail(`could not be started (${error.message})`));
    this.#child.once('close', () => fail('ended'));
    const timer = setTimeout(() => fail(`did not listen within ${readyMs / 1000} seconds`), readyMs);
    try {
      await ready.promise;
    } finally {
      clearTimeout(timer);
    }
  }
}

function isListening(line: string): boolean {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === 'object' && entry !== null && 'msg' in entry && entry.msg === 'listening';
  } catch {
    return false;
  }
}
