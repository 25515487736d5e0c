import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { stringify } from 'smol-toml';

import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually, within } from '../support/eventually.ts';
import { mainFile } from '../support/main-file.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import { query, withClient, type RunningPostgres } from '../support/postgres.ts';
import { isAlive } from '../support/processes.ts';
import { skipWithout } from '../support/programs.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

const holderFile = fileURLToPath(new URL('../support/socket-holder.py', import.meta.url));
const hasPython = spawnSync('python3', ['-c', '']).status === 0;

/** Of a client, between two connections. */
const PAUSE_MS = 250;

/** A process that holds the listening sockets, as systemd does, and starts pgmirrors with them. */
class SocketHolder {
  readonly folder: string;
  readonly port: number;
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  private constructor(
    folder: string,
    child: ChildProcessWithoutNullStreams,
    lines: AsyncIterator<string>,
    port: number,
  ) {
    this.folder = folder;
    this.#process = child;
    this.#lines = lines;
    this.port = port;
  }

  static async start(
    cleanup: Cleanup,
    server: RunningPostgres,
    sockets: number,
    workers: number,
  ): Promise<SocketHolder> {
    const folder = mkdtempSync(join(tmpdir(), 'activation-'));
    cleanup.after(() => rmSync(folder, { recursive: true }));
    const { user, password } = server;
    const users = [{ name: user, password, database: 'app' }];
    writeFileSync(join(folder, 'users.toml'), stringify({ users }));
    // The port and the folder are of no use to anybody: the sockets that are passed come in their place.
    const general = { port: 1, workers, default_pool_size: 5, log_connections: false };
    writeFileSync(
      join(folder, 'pgmirror.toml'),
      stringify({ general, databases: [databaseEntry('app', server, 'postgres')] }),
    );
    const program = [process.execPath, mainFile, 'run'];
    const child = spawn('python3', [holderFile, '127.0.0.1', String(sockets), ...program], { cwd: folder });
    const exited = once(child, 'exit');
    cleanup.after(async () => {
      child.stdin.end();
      await within(exited, 20_000, 'the end of all');
    });
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const { value } = (await within(lines.next(), 10_000, 'the port')) as { value: string };
    return new SocketHolder(folder, child, lines, Number(value));
  }

  /** Starts a pgmirror; its process id. */
  async launch(cleanup: Cleanup): Promise<number> {
    this.#process.stdin.write('\n');
    const { value } = (await within(this.#lines.next(), 10_000, 'a process')) as { value: string };
    const processId = Number(value);
    cleanup.after(() => this.signal(processId, 'SIGKILL'));
    return processId;
  }

  async listening(processId: number): Promise<void> {
    await eventually(() => this.log(processId).includes('"msg":"listening"'), {
      timeoutMs: 30_000,
      what: 'it to listen',
    });
  }

  log(processId: number): string {
    return readFileSync(join(this.folder, `${processId}.log`), 'utf8');
  }

  signal(processId: number, signal: NodeJS.Signals): void {
    if (isAlive(processId)) process.kill(processId, signal);
  }

  /** Waits until it has ended, as asked to. */
  async ended(processId: number): Promise<void> {
    await eventually(() => !isAlive(processId), { timeoutMs: 30_000, what: 'its end' });
    assert.match(this.log(processId), /"msg":"stopped"/);
  }
}

describe('With sockets that systemd passes', { skip: hasPython ? false : 'python3 is not installed' }, () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
  });

  it('tells systemd that it is ready, and that it stops', { skip: skipWithout('systemd-notify') }, async (t) => {
    const test = inReverse(t);
    const folder = mkdtempSync(join(tmpdir(), 'notified-'));
    test.after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'notify');
    const script = [
      'import socket, sys',
      'receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)',
      'receiver.bind(sys.argv[1])',
      'print("bound", flush=True)',
      'while True:',
      '    data, rights, _, _ = socket.recv_fds(receiver, 4096, 1)',
      '    [os.close(right) for right in rights]', // a barrier: whoever waits for it goes on when this is closed
      '    print(data.decode().replace(chr(10), " "), flush=True)',
    ].join('\n');
    const receiver = spawn('python3', ['-c', `import os\n${script}`, path]);
    const exited = once(receiver, 'exit');
    test.after(async () => {
      receiver.kill();
      await exited;
    });
    let told = '';
    receiver.stdout.setEncoding('utf8').on('data', (text: string) => (told += text));
    await eventually(() => told.includes('bound'));
    const { user, password } = server;
    const pgmirror = await Pgmirror.start(
      test,
      { databases: [databaseEntry('app', server, 'postgres')], users: [{ name: user, password, database: 'app' }] },
      { env: { NOTIFY_SOCKET: path } },
    );
    await eventually(() => told.includes('READY=1'), { what: 'word that it is ready' });
    assert.match(told, new RegExp(`MAINPID=${pgmirror.processId}`));
    assert.equal(await pgmirror.stop(), 0);
    await eventually(() => told.includes('STOPPING=1'), { what: 'word that it stops' });
  });

  const url = ({ port }: SocketHolder): string => `postgres://${server.user}:${server.password}@127.0.0.1:${port}/app`;

  it('20 restarts fail none of 50 clients that connect all the time', async (t) => {
    const test = inReverse(t);
    const holder = await SocketHolder.start(test, server, 1, 1);
    let running = await holder.launch(test);
    await holder.listening(running);
    let served = 0;
    const failures: string[] = [];
    const stopping = new AbortController();
    const client = async (): Promise<void> => {
      while (!stopping.signal.aborted) {
        try {
          await withClient(url(holder), async (connected) => connected.query('SELECT 1'));
          served += 1;
        } catch (error) {
          failures.push(String(error));
        }
        await delay(PAUSE_MS);
      }
    };
    const connecting = Array.from({ length: 50 }, client);
    test.after(() => stopping.abort());
    for (let restart = 0; restart < 20; restart += 1) {
      const soFar = served;
      if (restart % 2 === 0) {
        // One after the other: meanwhile clients wait in the socket's backlog.
        holder.signal(running, 'SIGTERM');
        await holder.ended(running);
        running = await holder.launch(test);
      } else {
        const next = await holder.launch(test);
        await holder.listening(next);
        holder.signal(running, 'SIGTERM');
        await holder.ended(running);
        running = next;
      }
      await eventually(() => served >= soFar + 50, { timeoutMs: 30_000, what: 'clients to be served' });
      assert.deepEqual(failures, []);
    }
    stopping.abort();
    await Promise.all(connecting);
    assert.deepEqual(failures, []);
    holder.signal(running, 'SIGTERM');
    await holder.ended(running);
  });

  it('every pooler thread has one of them', async (t) => {
    const test = inReverse(t);
    const holder = await SocketHolder.start(test, server, 2, 2);
    const running = await holder.launch(test);
    await holder.listening(running);
    const answers = Array.from({ length: 20 }, async () => query(url(holder), 'SELECT 1 AS one'));
    for (const rows of await Promise.all(answers)) assert.deepEqual(rows, [{ one: 1 }]);
    holder.signal(running, 'SIGTERM');
    await holder.ended(running);
  });

  it('too few of them for its threads are refused', async (t) => {
    const test = inReverse(t);
    const holder = await SocketHolder.start(test, server, 1, 2);
    const running = await holder.launch(test);
    await eventually(() => !isAlive(running), { timeoutMs: 20_000, what: 'its end' });
    assert.match(holder.log(running), /1 listening sockets were passed, and workers = 2 need one each/);
  });
});
