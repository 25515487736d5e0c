import { execFile, spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

import { freePort } from './free-port.ts';
import type { Janitor } from './janitor.ts';
import { PostgresStartError, type Account, type PostgresBinaries } from './postgres-binaries.ts';

/** How long a start may take before it counts as failed; a stop that takes a third of it is hurried. */
const deadlineMs = 30_000;
const keptLogLines = 20_000;
/** Of a server, and of one that follows another (hot standby). */
const readyLine = /database system is ready to accept (?:read-only )?connections/;

/** What a server needs to run again and again on the same data. */
export interface Cluster {
  /** Of the temporary folder, which also holds the unix socket. */
  readonly janitor: Janitor;
  /** Who runs the server, if not the user of this process. */
  readonly account: Account | undefined;
  readonly binaries: PostgresBinaries;
  /** Of the superuser `postgres`. */
  readonly password: string;
  /** The data folder, made by initdb. */
  readonly data: string;
}

/** The postmaster of a cluster: started, signalled, started again on the same port, and stopped for good. */
export class PostgresServer {
  readonly host = '127.0.0.1';
  readonly user = 'postgres';
  readonly log: string[] = [];
  readonly #cluster: Cluster;
  #port = 0;
  #postmaster: ChildProcess | undefined;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  get port(): number {
    return this.#port;
  }

  get socketDirectory(): string {
    return this.#cluster.janitor.folder;
  }

  get dataDirectory(): string {
    return this.#cluster.data;
  }

  get password(): string {
    return this.#cluster.password;
  }

  get version(): string {
    return this.#cluster.binaries.version;
  }

  get processId(): number {
    return this.#postmaster?.pid ?? 0;
  }

  url(database: string): string {
    const credentials = `${this.user}:${encodeURIComponent(this.password)}`;
    return `postgres://${credentials}@${this.host}:${this.port}/${encodeURIComponent(database)}`;
  }

  /** The first start: on a port that was free a moment ago, and on another one if somebody was faster. */
  async start(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      this.#port = await freePort();
      try {
        await this.#launch();
        return;
      } catch (error) {
        const taken = this.log.some((line) => line.includes('Address already in use'));
        if (!taken || attempt === 5) throw error;
        this.log.length = 0;
      }
    }
  }

  async stop(): Promise<void> {
    await this.#shutDown();
    await this.#cluster.janitor.close();
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const postmaster = this.#postmaster;
    if (postmaster === undefined || !isRunning(postmaster)) return;
    const ending = ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGKILL'].includes(signal);
    const exited = ending ? once(postmaster, 'exit') : undefined;
    if (ending) postmaster.ref();
    postmaster.kill(signal);
    await exited;
  }

  async restart(): Promise<void> {
    await this.#shutDown();
    const giveUpAt = Date.now() + deadlineMs;
    for (;;) {
      try {
        await this.#launch();
        return;
      } catch (error) {
        // The children of a postmaster that was killed hold its shared memory until they have seen that it is gone.
        const orphans = error instanceof PostgresStartError && error.message.includes('is still in use');
        if (!orphans || Date.now() > giveUpAt) throw error;
        await delay(20);
      }
    }
  }

  /** A fast shutdown, and what is stronger if that takes too long. */
  async #shutDown(): Promise<void> {
    const postmaster = this.#postmaster;
    if (postmaster !== undefined && isRunning(postmaster)) {
      const exited = once(postmaster, 'exit');
      postmaster.ref();
      postmaster.kill('SIGINT');
      postmaster.kill('SIGCONT'); // it may have been stopped with SIGSTOP
      const impatient = setTimeout(() => postmaster.kill('SIGQUIT'), deadlineMs / 3);
      const outOfPatience = setTimeout(() => postmaster.kill('SIGKILL'), deadlineMs / 2);
      await exited;
      clearTimeout(impatient);
      clearTimeout(outOfPatience);
    }
    await removeSharedMemory(this.#cluster.data);
  }

  /** Starts the postmaster and resolves when it accepts connections. */
  async #launch(): Promise<void> {
    const { janitor, account, binaries, data } = this.#cluster;
    const postmaster = spawn(join(binaries.bin, 'postgres'), ['-D', data, '-p', String(this.#port)], {
      cwd: janitor.folder,
      detached: true, // a Ctrl-C at the terminal is for us: we stop it in our order
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
      ...account,
    });
    janitor.watch(postmaster, 'QUIT');
    this.#postmaster = postmaster;
    await this.#whenReady(postmaster);
    // From here on it keeps this process alive no more than its janitor does.
    postmaster.unref();
    (postmaster.stderr as Socket).unref();
  }

  async #whenReady(postmaster: ChildProcessByStdio<null, null, Readable>): Promise<void> {
    const ready = Promise.withResolvers<void>();
    const from = this.log.length;
    const fail = (what: string): void => {
      const said = this.log.slice(from).map((line) => line.replace(/^.*?(?=LOG:|FATAL:|PANIC:|HINT:|DETAIL:)/, ''));
      ready.reject(new PostgresStartError('START_FAILED', `PostgreSQL ${what}: ${said.slice(-3).join(' / ')}`));
    };
    createInterface({ input: postmaster.stderr }).on('line', (line) => {
      this.log.push(line);
      if (this.log.length > keptLogLines) this.log.splice(0, keptLogLines / 2);
      if (readyLine.test(line)) ready.resolve();
    });
    postmaster.once('error', (error) => fail(`could not be run (${error.message})`));
    postmaster.once('close', () => fail('ended while it started'));
    const timer = setTimeout(() => {
      postmaster.kill('SIGKILL');
      fail(`did not start within ${deadlineMs / 1000} seconds`);
    }, deadlineMs);
    try {
      await ready.promise;
    } finally {
      clearTimeout(timer);
    }
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/**
 * A postmaster that was killed with SIGKILL leaves its postmaster.pid and a System V shared memory segment, which outlives
 * the folder. The file's seventh line names it: key and id (`src/include/miscadmin.h`, LOCK_FILE_LINE_SHMEM_KEY).
 */
async function removeSharedMemory(data: string): Promise<void> {
  const lockFile = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => undefined);
  const id = lockFile?.split('\n')[6]?.trim().split(/\s+/)[1];
  if (id === undefined) return;
  await promisify(execFile)('ipcrm', ['-m', id]).catch(() => {}); // gone already, or no ipcrm on this machine
}
