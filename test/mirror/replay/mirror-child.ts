import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AcknowledgementReader } from '../../../src/mirror/record/acknowledgement-stream.ts';
import { RecordStreamWriter } from '../../../src/mirror/record/record-stream-writer.ts';
import type {
  FromMirrorProcess,
  MirrorTargetConfig,
  MirrorTargetStatus,
  SourceLogin,
  ToMirrorProcess,
} from '../../../src/mirror/replay/mirror-process-messages.ts';
import type { RunningPostgres } from '../../../src/cli/embedded-postgres.ts';
import type { QueryReport } from '../../../src/mirror/report/query-report.ts';
import { monotonicNow } from '../../../src/util/clock.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { eventually, within } from '../../support/eventually.ts';
import { LogLines } from '../../support/log-lines.ts';
import type { SourceTransaction } from './source-session.ts';

const ENTRY = fileURLToPath(new URL('../../../src/mirror/replay/mirror-process.ts', import.meta.url));

/** An acknowledgement as it came. */
export interface Acknowledged {
  readonly slot: number;
  readonly target: number;
  readonly outcome: number;
  readonly reason: number;
  readonly sqlstates: readonly string[];
}

/** The mirror process, started as the supervisor starts it. */
export class MirrorChild {
  readonly child: ChildProcess;
  readonly log: LogLines;
  readonly socketPath: string;
  readonly messages: FromMirrorProcess[] = [];
  readonly #sourceLogins: readonly SourceLogin[];

  private constructor(child: ChildProcess, socketPath: string, sourceLogins: readonly SourceLogin[]) {
    this.child = child;
    this.socketPath = socketPath;
    this.#sourceLogins = sourceLogins;
    if (!child.stdout) throw new Error('no stdout');
    this.log = new LogLines(child.stdout);
    child.on('message', (message) => this.messages.push(message as FromMirrorProcess));
  }

  /** `source`: the server of the source `app`, with which mirrors are compared. */
  static async start(
    cleanup: Cleanup,
    source: Pick<RunningPostgres, 'host' | 'port' | 'user' | 'password'>,
  ): Promise<MirrorChild> {
    const directory = mkdtempSync(join(tmpdir(), 'mirror-'));
    const socketPath = join(directory, 'record');
    const child = spawn(process.execPath, [ENTRY, socketPath], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
    const { host, port, user, password } = source;
    const login = { source: 'app', address: { host, port }, database: 'postgres', user, password };
    const mirror = new MirrorChild(child, socketPath, [login]);
    cleanup.after(async () => {
      await mirror.stop();
      rmSync(directory, { recursive: true, force: true });
    });
    await mirror.message('ready');
    return mirror;
  }

  tell(message: ToMirrorProcess): void {
    this.child.send(message);
  }

  /** Configures these targets, and waits until that is done and they were looked at. */
  async configure(...targets: readonly MirrorTargetConfig[]): Promise<void> {
    const epoch = this.messages.length + 1;
    this.tell({
      type: 'configure',
      epoch,
      targets,
      sourceLogins: this.#sourceLogins,
      instance: 'test',
      look: false,
      prepared: [],
    });
    await eventually(() => this.messages.some((one) => one.type === 'configured' && one.epoch === epoch));
  }

  async status(): Promise<readonly MirrorTargetStatus[]> {
    const id = this.messages.length + 1;
    this.tell({ type: 'status', id });
    const answer = await eventually(() => this.messages.find((one) => one.type === 'status' && one.id === id));
    return answer.type === 'status' ? answer.targets : [];
  }

  /** What it reports now, the shortest text first. */
  async queries(): Promise<readonly QueryReport[]> {
    const id = this.messages.length + 1;
    this.tell({ type: 'queries', id });
    const answer = await eventually(() => this.messages.find((one) => one.type === 'queries' && one.id === id));
    return answer.type === 'queries' ? answer.queries.toSorted((a, b) => a.query.length - b.query.length) : [];
  }

  /** The same, as soon as so many calls were counted: what ended its connection is judged some time later. */
  async queriesAfter(calls: number): Promise<readonly QueryReport[]> {
    return eventually(async () => {
      const queries = await this.queries();
      const counted = queries.reduce((sum, query) => sum + query.calls, 0);
      if (counted < calls) throw new Error(`${counted} calls`);
      return queries;
    });
  }

  /** The first message of this type, which may have come already. */
  async message<T extends FromMirrorProcess['type']>(type: T): Promise<Extract<FromMirrorProcess, { type: T }>> {
    const found = await eventually(() => this.messages.find((one) => one.type === type));
    return found as Extract<FromMirrorProcess, { type: T }>;
  }

  /** Ends as with its parent: the channel closes. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    if (this.child.connected) this.child.disconnect();
    else this.child.kill('SIGKILL');
    // It gives way to everybody: where others want the processors, the little that this takes it has to wait for.
    await within(exited, 30_000, 'the mirror process to exit');
  }
}

/** What a pooler thread is to the mirror process: writes a record stream, reads acknowledgements. */
export class RecordFeeder {
  readonly writer = new RecordStreamWriter();
  readonly acknowledged: Acknowledged[] = [];
  readonly targetStates: { readonly target: number; readonly state: number }[] = [];
  readonly socket: Socket;
  static #generations = 1;
  #slot = 0;

  private constructor(socket: Socket, generation: number) {
    this.socket = socket;
    const reader = new AcknowledgementReader({
      acknowledged: (slot, target, outcome, reason, sqlstates) =>
        this.acknowledged.push({ slot, target, outcome, reason, sqlstates }),
      targetState: (target, state) => this.targetStates.push({ target, state }),
    });
    socket.on('data', (chunk: Buffer) => reader.push(chunk));
    socket.on('error', () => undefined);
    this.writer.hello(generation);
  }

  /** `generation`: of a thread whose stream this is; by default, of a new one. */
  static async connect(
    socketPath: string,
    cleanup: Cleanup,
    generation = RecordFeeder.#generations++,
  ): Promise<RecordFeeder> {
    const socket = connect(socketPath);
    await once(socket, 'connect');
    cleanup.after(() => void socket.destroy());
    return new RecordFeeder(socket, generation);
  }

  /** Appends a transaction; its slot. It ended just now, unless `ago` says how long ago, and took as long as it did. */
  transaction(
    transaction: Pick<SourceTransaction, 'requestCount' | 'recording'> & {
      readonly startedAt?: number;
      readonly endedAt?: number;
      readonly client?: number;
      readonly targets?: readonly number[];
      readonly settings?: number;
      readonly unnamedStatement?: number;
      readonly flags?: number;
      readonly ago?: number;
    },
  ): number {
    const slot = ++this.#slot;
    const endedAt = monotonicNow() - (transaction.ago ?? 0);
    const startedAt = endedAt - ((transaction.endedAt ?? 0) - (transaction.startedAt ?? 0));
    const { client = 1, targets = [1], settings = 0, unnamedStatement = 0, flags = 1, requestCount } = transaction;
    this.writer.transaction(
      { slot, client, settings, unnamedStatement, flags, startedAt, endedAt, targets, requestCount },
      transaction.recording,
    );
    return slot;
  }

  flush(): void {
    this.socket.write(this.writer.take());
  }

  /** Sends what was appended, and waits until all transactions so far are acknowledged. */
  async finished(targets = 1, timeoutMs = 10_000): Promise<readonly Acknowledged[]> {
    this.flush();
    const expected = this.#slot * targets;
    await eventually(() => this.acknowledged.length >= expected, {
      timeoutMs,
      intervalMs: 2,
      what: `${expected} acknowledgements (${this.acknowledged.length})`,
    });
    return this.acknowledged;
  }

  /** The same; what became of each, as it was acknowledged. */
  async outcomes(): Promise<readonly number[]> {
    return (await this.finished()).map(({ outcome }) => outcome);
  }
}

/** The configuration of a mirror on a PostgreSQL, with defaults that a test changes. */
export function targetConfig(
  server: Pick<RunningPostgres, 'host' | 'port' | 'user' | 'password'>,
  database: string,
  changes: Partial<MirrorTargetConfig> = {},
): MirrorTargetConfig {
  return {
    id: 1,
    source: 'app',
    destination: 'app_mirror',
    address: { host: server.host, port: server.port },
    database,
    users: [],
    fallback: { user: server.user, password: server.password },
    poolSize: 4,
    pinnedPoolSize: 4,
    timing: 'realistic',
    timeoutMs: 30_000,
    maxLagMs: 60_000,
    connectTimeoutMs: 5000,
    preparedStatementsLimit: 200,
    resetAlways: false,
    parameters: {},
    level: 'all',
    query: undefined,
    excludeQuery: undefined,
    enabled: true,
    allowSideEffects: false,
    isControl: false,
    ...changes,
  };
}
