import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type {
  FromMirrorProcess,
  MirrorTargetConfig,
  MirrorTargetStatus,
  SourceLogin,
  ToMirrorProcess,
} from '../mirror/replay/mirror-process-messages.ts';
import type { QueryReport } from '../mirror/report/query-report.ts';
import type { ReportOptions } from '../mirror/report/report-options.ts';
import type { PreparedLedger } from './prepared-ledger.ts';
import { processorWait } from './processor-wait.ts';
import { Silence } from './silence.ts';
import { Backoff } from '../util/backoff.ts';
import { entryFile } from '../util/entry-file.ts';

/**
 * A mirror process that does not answer a ping for so long is hung, and killed: what it had to replay is lost then. It gives
 * way to others: the time for which it was not its turn, on a machine with too much to do, is not counted, up to a minute.
 */
const HUNG_MS = 10_000;
/** One that has not said yet that it is ready may be so long about it: on a busy machine that takes its time. */
const STARTING_MS = 60_000;
const LONGEST_WAIT_MS = 60_000;
const PING_MS = 1_000;
/** How long an answer of a living process is waited for. */
const ANSWER_MS = 1_000;

/** What the mirror process is told of the configuration. */
export interface MirrorProcessConfig {
  readonly targets: readonly MirrorTargetConfig[];
  readonly sourceLogins: readonly SourceLogin[];
  readonly instance: string;
  readonly logLevel: string;
  /** `mirror_queue_bytes`: the heap is to hold it. */
  readonly queueBytes: number;
  readonly report: ReportOptions;
}

/**
 * The mirror process as its parent sees it: started, configured, watched, and started again when it ends, with growing
 * pauses. `onPath` is told where it listens once it is configured, and that it listens no more as soon as that is known.
 */
export class MirrorChild {
  readonly #logger: Logger;
  readonly #onPath: (path: string | undefined) => void;
  readonly #prepared: PreparedLedger;
  readonly #backoff = new Backoff({ firstMs: 100, lastMs: 5_000, steadyMs: 10_000 });
  #config: MirrorProcessConfig;
  #child: ChildProcess | undefined;
  /** Where its socket is. A new one for each: somebody may have tidied up the old one. */
  #folder = '';
  #stopping = false;
  #restartTimer: NodeJS.Timeout | undefined;
  #pinger: NodeJS.Timeout | undefined;
  #silence = new Silence(PING_MS, performance.now());
  /** How long it had waited for a processor by then. */
  #waitedAtPong = 0;
  /** It has said nothing yet. */
  #isStarting = false;
  #epoch = 0;
  #nextQuestion = 1;
  #ready: string | undefined;
  readonly #configured = new Map<number, () => void>();
  readonly #questions = new Map<number, (answer: FromMirrorProcess | undefined) => void>();
  #ended: (() => void) | undefined;

  constructor(
    config: MirrorProcessConfig,
    options: {
      readonly logger: Logger;
      readonly onPath: (path: string | undefined) => void;
      readonly prepared: PreparedLedger;
    },
  ) {
    this.#config = config;
    this.#logger = options.logger;
    this.#onPath = options.onPath;
    this.#prepared = options.prepared;
    this.#start();
  }

  /** Where the mirror process listens, once it is configured. */
  get path(): string | undefined {
    return this.#ready;
  }

  get processId(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Tells it the mirrors there are; settles when it has taken them over and looked at those it has to look at (at all,
   * where `look` says so), or cannot.
   */
  configure(config: MirrorProcessConfig, look = false): Promise<void> {
    this.#config = config;
    return this.#ready === undefined ? Promise.resolve() : this.#sendConfig(look);
  }

  /** RESET MIRROR. */
  resetMirror(target: number): void {
    this.#send({ type: 'resetMirror', target });
  }

  /** What it knows of its mirrors; undefined where it does not answer. */
  async status(): Promise<readonly MirrorTargetStatus[] | undefined> {
    const answer = await this.#ask('status');
    return answer?.type === 'status' ? answer.targets : undefined;
  }

  /** The statistics of queries; undefined where it does not answer. */
  async queries(): Promise<readonly QueryReport[] | undefined> {
    const answer = await this.#ask('queries');
    return answer?.type === 'queries' ? answer.queries : undefined;
  }

  /** RESET STATS. */
  resetStatistics(): void {
    this.#send({ type: 'resetStatistics' });
  }

  /** Ends it for good. Settles when it is gone. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  #stopped: Promise<void> | undefined;

  async #stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restartTimer);
    if (this.#child !== undefined) {
      const ended = new Promise<void>((resolve) => (this.#ended = resolve));
      this.#child.kill('SIGKILL');
      await ended;
    }
    this.#removeFolder();
  }

  #removeFolder(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #start(): void {
    this.#backoff.started();
    this.#folder = mkdtempSync(join(tmpdir(), 'pgmirror-'));
    const child = this.#spawn(join(this.#folder, 'records.sock'));
    this.#child = child;
    this.#silence = new Silence(PING_MS, performance.now());
    this.#waitedAtPong = 0;
    this.#isStarting = true;
    this.#logger.info({ processId: child.pid }, 'mirror process started');
    child.on('message', (message) => this.#received(message as FromMirrorProcess));
    child.on('error', (error) => this.#logger.error({ err: error }, 'mirror process'));
    child.once('close', (status, signal) => this.#closed(child, signal ?? `status ${status}`));
    this.#pinger = setInterval(() => this.#ping(child), PING_MS);
  }

  #spawn(path: string): ChildProcess {
    const heapMegabytes = Math.ceil(this.#config.queueBytes / 1_048_576) * 2 + 512;
    const entry = entryFile('../mirror/replay/mirror-process', import.meta.url);
    const words = [`--max-old-space-size=${heapMegabytes}`, entry, path, this.#config.logLevel];
    try {
      return spawn(process.execPath, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    } catch (error) {
      this.#removeFolder();
      throw error;
    }
  }

  #ping(child: ChildProcess): void {
    const patience = this.#isStarting ? STARTING_MS : HUNG_MS;
    const silent = this.#silence.asked(performance.now());
    if (silent > patience && silent > patience + this.#waitedSincePong(child)) {
      this.#logger.error({ processId: child.pid }, 'mirror process does not answer: killing it');
      child.kill('SIGKILL');
      return;
    }
    this.#send({ type: 'ping', n: 0 });
  }

  #waitedSincePong({ pid = 0 }: ChildProcess): number {
    return Math.min(processorWait(pid) - this.#waitedAtPong, LONGEST_WAIT_MS);
  }

  #closed(child: ChildProcess, how: string): void {
    clearInterval(this.#pinger);
    this.#child = undefined;
    this.#removeFolder();
    this.#leave();
    if (this.#stopping) {
      this.#ended?.();
      return;
    }
    const wait = this.#backoff.ended();
    this.#logger.error({ processId: child.pid, how, restartInMs: wait }, 'mirror process ended');
    this.#restartTimer = setTimeout(() => this.#restart(), wait);
  }

  #restart(): void {
    try {
      this.#start();
    } catch (error) {
      // The system has no room for another process now: that must not end this one, which serves clients.
      const wait = this.#backoff.ended();
      this.#logger.error({ err: error, restartInMs: wait }, 'mirror process could not be started');
      this.#restartTimer = setTimeout(() => this.#restart(), wait);
    }
  }

  /** Nothing more is to be expected of the process. */
  #leave(): void {
    this.#ready = undefined;
    this.#onPath(undefined);
    for (const done of this.#configured.values()) done();
    for (const answered of [...this.#questions.values()]) answered(undefined);
  }

  #received(message: FromMirrorProcess): void {
    this.#silence.heard(performance.now());
    this.#isStarting = false;
    switch (message.type) {
      case 'ready':
        this.#ready = message.socketPath;
        void this.#sendConfig().then(() => {
          if (this.#ready === message.socketPath) this.#onPath(message.socketPath);
        });
        return;
      case 'configured':
        this.#configured.get(message.epoch)?.();
        return;
      case 'status':
      case 'queries':
        this.#questions.get(message.id)?.(message);
        return;
      case 'preparedSettled':
        this.#prepared.settled(message.target, message.gid);
        return;
      case 'pong':
        this.#waitedAtPong = processorWait(this.processId ?? 0);
        return;
      case 'targetState':
      case 'drained':
        return;
    }
  }

  #ask(type: 'status' | 'queries'): Promise<FromMirrorProcess | undefined> {
    if (this.#ready === undefined) return Promise.resolve(undefined);
    const id = this.#nextQuestion++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#questions.get(id)?.(undefined), ANSWER_MS);
      this.#questions.set(id, (answer) => {
        clearTimeout(timer);
        this.#questions.delete(id);
        resolve(answer);
      });
      this.#send({ type, id });
    });
  }

  #sendConfig(look = false): Promise<void> {
    const epoch = ++this.#epoch;
    const { targets, sourceLogins, instance, report, logLevel: level } = this.#config;
    this.#send({ type: 'logLevel', level });
    this.#send({ type: 'configureReport', report });
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#configured.get(epoch)?.(), ANSWER_MS);
      this.#configured.set(epoch, () => {
        clearTimeout(timer);
        this.#configured.delete(epoch);
        resolve();
      });
      const prepared = this.#prepared.list();
      this.#send({ type: 'configure', epoch, targets, sourceLogins, instance, look, prepared });
    });
  }

  #send(message: ToMirrorProcess): void {
    // A process that has just ended is noticed by its 'close'.
    if (this.#child?.connected) this.#child.send(message, () => undefined);
  }
}
