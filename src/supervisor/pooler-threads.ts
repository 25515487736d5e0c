import { randomBytes } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import type { AdminAnswer } from '../admin/admin-answer.ts';
import { allocateCounters } from '../mirror/record/mirror-counters.ts';
import type { PreparedNews } from '../mirror/record/prepared-book.ts';
import { PoolBudget } from '../pool/pool-budget.ts';
import { PausedDatabases } from '../pooler/paused-databases.ts';
import type { PoolStatistics } from '../pool/pool-statistics.ts';
import type { ThreadSnapshot } from '../pooler/pooler-snapshot.ts';
import { Backoff } from '../util/backoff.ts';
import { entryFile } from '../util/entry-file.ts';
import { BudgetRows } from './budget-rows.ts';
import type { CounterBook } from './counter-book.ts';
import { PreparedChannel } from './prepared-channel.ts';
import { StatisticsBook } from './statistics-book.ts';
import type {
  FromThread,
  ListenAddress,
  SharedMemory,
  ThreadConfig,
  ThreadQuestion,
  ThreadStart,
  ToThread,
} from './thread-messages.ts';

/**
 * Nearly all that a pooler thread allocates is gone before the next request. V8's own choice of 48 MB is memory without
 * use, and out of the processor's cache.
 */
const YOUNG_GENERATION_MB = 12;

/** Two for each pool that there ever was in the process, and one for each database. */
const BUDGET_ROWS = 65_536;
const SNAPSHOT_MS = 2_000;
/** Deriving the keys of many users takes a thread a while. */
const CONFIGURE_MS = 10_000;
/** Longer than a thread takes to let the mirrors finish. */
const FAREWELL_MS = 4_000;

type Answer = Extract<FromThread, { readonly type: 'done' }>;

interface RunningThread {
  readonly worker: Worker;
  /** There must be one in its place: it has listened, or one before it. */
  isNeeded: boolean;
}

/** What the threads ask of the supervisor. */
export interface PoolerThreadsHost {
  /** Runs an admin command of a thread's client. */
  admin(command: string): Promise<AdminAnswer>;
  /** A half of a two-phase commit was seen. */
  prepared(news: PreparedNews): void;
  /** Whether mirrors of the source lead back to a pgmirror of the trail. Never rejects. */
  isCircle(source: string, trail: readonly string[]): Promise<boolean>;
  /** In a thread, for the first time, a transaction was dropped for this mirror for this reason. */
  firstDropped(mirror: number, reason: number, user: string): void;
  /** Where the mirror process listens. */
  mirrorPath(): string | undefined;
  /** Whether a thread that is started again could listen where the one before it did. */
  canListenAgain(): boolean;
  /** A thread ended that cannot be started again. */
  cannotListen(): void;
}

/**
 * The pooler threads: started together, watched, and started again one by one. A thread that dies takes its own clients
 * with it; what it had of the shared limits is given back, and what it had recorded counts as lost.
 */
export class PoolerThreads {
  readonly #count: number;
  readonly #listen: (thread: number) => readonly ListenAddress[];
  readonly #host: PoolerThreadsHost;
  readonly #counters: CounterBook;
  readonly #logger: Logger;
  readonly #memory: SharedMemory;
  readonly #mockSecret: Buffer;
  readonly #instance: string;
  readonly #prefix = `pgmirror_${randomBytes(4).toString('hex')}`;
  readonly #threads: (RunningThread | undefined)[] = [];
  readonly #backoffs: Backoff[] = [];
  readonly #budgetRows = new BudgetRows(BUDGET_ROWS);
  /** Questions that have not been answered, by id. */
  readonly #asked = new Map<number, { readonly thread: number; readonly answered: (answer?: Answer) => void }>();
  readonly #paused = new PausedDatabases();
  readonly #statistics = new StatisticsBook();
  readonly #twoPhaseCommits: PreparedChannel;
  #config: ThreadConfig;
  #generation = 0;
  #nextQuestion = 1;
  #stopping = false;

  constructor(options: {
    readonly count: number;
    readonly listen: (thread: number) => readonly ListenAddress[];
    readonly config: ThreadConfig;
    readonly mockSecret: Buffer;
    readonly instance: string;
    readonly host: PoolerThreadsHost;
    readonly counters: CounterBook;
    readonly logger: Logger;
  }) {
    this.#count = options.count;
    this.#listen = options.listen;
    this.#config = options.config;
    this.#mockSecret = options.mockSecret;
    this.#instance = options.instance;
    this.#host = options.host;
    this.#counters = options.counters;
    this.#logger = options.logger;
    this.#twoPhaseCommits = new PreparedChannel(options.instance, (news) => options.host.prepared(news));
    this.#memory = {
      budgets: new SharedArrayBuffer(4 * BUDGET_ROWS * PoolBudget.rowLength(options.count)),
      clients: new SharedArrayBuffer(4 * options.count),
      logins: new SharedArrayBuffer(4 * options.count),
      queueBytes: new SharedArrayBuffer(8 * options.count),
      sequence: new SharedArrayBuffer(8),
    };
  }

  /** Starts all at once, and settles when all listen. Rejects with the error of the first, by number, that cannot. */
  async start(): Promise<void> {
    const starts = Array.from({ length: this.#count }, (_, thread) => this.#startThread(thread, { again: false }));
    const failed = (await Promise.allSettled(starts)).find((start) => start.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Bytes recorded and not finished, in all threads. */
  get queuedBytes(): number {
    return new Float64Array(this.#memory.queueBytes).reduce((sum, bytes) => sum + bytes, 0);
  }

  /**
   * Applies a configuration in every thread; settles when all have. A thread that does not answer applies it when it moves
   * again, and is not waited for: which are such.
   */
  async configure(config: ThreadConfig): Promise<readonly number[]> {
    this.#config = config;
    const asked = [...this.#threads];
    const answers = await this.#askAll({ type: 'configure', config }, CONFIGURE_MS);
    const late = answers.flatMap(([thread, answer]) =>
      answer === undefined && this.#threads[thread] === asked[thread] ? [thread] : [],
    );
    if (late.length > 0) {
      this.#logger.warn({ threads: late }, 'pooler threads do not answer: they take the configuration when they do');
    }
    return late;
  }

  /** Tells every thread where the mirror process listens. */
  mirrorAt(path: string | undefined): void {
    this.#tellAll({ type: 'mirrorAt', path });
  }

  /** RESET STATS: settles when every thread counts anew; one that does not answer is not waited for. */
  async resetCounters(): Promise<void> {
    await this.#askAll({ type: 'resetCounters' }, SNAPSHOT_MS);
  }

  /** PAUSE: settles when no client is in a transaction, or RESUME came. */
  async pause(database: string | undefined): Promise<void> {
    this.#paused.set(database, true);
    await this.#askAll({ type: 'pause', database });
  }

  tell(type: 'resume' | 'reconnect' | 'kill', database: string | undefined): void {
    if (type !== 'reconnect') this.#paused.set(database, type === 'kill');
    this.#tellAll({ type, database });
  }

  /**
   * What the threads tell of themselves, with `connections` of each client and server connection; a thread that does not
   * answer is left out.
   */
  async snapshots({ connections = false } = {}): Promise<ThreadSnapshot[]> {
    const answers = await this.#askAll({ type: 'snapshot', connections }, SNAPSHOT_MS);
    return answers.flatMap(([, answer]) => (answer?.snapshot === undefined ? [] : [answer.snapshot]));
  }

  /** What was counted for each database since the start: of a thread that does not answer, what it told last. */
  async statistics(): Promise<ReadonlyMap<string, PoolStatistics>> {
    await this.snapshots();
    return this.#statistics.read();
  }

  /** Lets nobody in; settles when every client has gone. */
  async drain(): Promise<void> {
    this.#stopping = true;
    await this.#askAll({ type: 'drain' });
  }

  /** Settles when the mirrors have finished with what was recorded, or the grace is over; a thread that hangs is not waited for. */
  async finishMirroring(): Promise<void> {
    await this.#askAll({ type: 'finishMirroring' }, FAREWELL_MS);
  }

  /** Ends all. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#askAll({ type: 'stop' }, SNAPSHOT_MS);
    const ended = this.#threads.flatMap((running) => (running === undefined ? [] : [running.worker.terminate()]));
    await Promise.all(ended);
    this.#twoPhaseCommits.close();
  }

  #startThread(thread: number, { again }: { readonly again: boolean }): Promise<void> {
    const generation = ++this.#generation;
    const backoff = (this.#backoffs[thread] ??= new Backoff({ firstMs: 100, lastMs: 5_000, steadyMs: 10_000 }));
    backoff.started();
    const counters = allocateCounters();
    this.#counters.threadStarted(thread, counters);
    const workerData: ThreadStart = {
      thread,
      threads: this.#count,
      again,
      paused: this.#paused.choice,
      generation,
      statementPrefix: `${this.#prefix}_${generation}_`,
      mockSecret: this.#mockSecret,
      instance: this.#instance,
      listen: this.#listen(thread),
      config: this.#config,
      memory: this.#memory,
      counters,
      mirrorPath: this.#host.mirrorPath(),
    };
    const worker = new Worker(entryFile('./pooler-thread', import.meta.url), {
      workerData,
      name: `pooler ${thread}`,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    const running: RunningThread = { worker, isNeeded: again };
    this.#threads[thread] = running;
    return new Promise((resolve, reject) => {
      worker.on('message', (message: FromThread) => {
        if (message.type === 'listening') {
          running.isNeeded = true;
          resolve();
        } else if (message.type === 'listenFailed') {
          reject(Object.assign(new Error(message.message), { code: message.code }));
          void worker.terminate();
        } else if (this.#threads[thread] === running) this.#received(thread, running, message);
      });
      worker.on('error', (error) => {
        this.#logger.fatal({ err: error, thread }, 'pooler thread failed');
        reject(error);
      });
      worker.on('exit', () => this.#exited(thread, running));
    });
  }

  #exited(thread: number, running: RunningThread): void {
    if (this.#threads[thread] !== running) return;
    this.#threads[thread] = undefined;
    PoolBudget.forgetThread(new Int32Array(this.#memory.budgets), this.#count, thread);
    new Int32Array(this.#memory.clients)[thread] = 0;
    new Int32Array(this.#memory.logins)[thread] = 0;
    new Float64Array(this.#memory.queueBytes)[thread] = 0;
    this.#counters.threadEnded(thread);
    this.#statistics.threadEnded(thread);
    for (const question of [...this.#asked.values()]) if (question.thread === thread) question.answered();
    for (const key of this.#budgetRows.keys()) this.#tellAll({ type: 'announce', what: 'room', key });
    if (this.#stopping || !running.isNeeded) return;
    if (!this.#host.canListenAgain()) {
      this.#logger.fatal({ thread }, 'pooler thread ended, and with it the socket that was passed to it: stopping');
      this.#host.cannotListen();
      return;
    }
    this.#restart(thread);
  }

  #restart(thread: number): void {
    const wait = this.#backoffs[thread]?.ended() ?? 0;
    this.#logger.error({ thread, restartInMs: wait }, 'pooler thread ended');
    setTimeout(() => {
      if (this.#stopping) return;
      const failed = (error: unknown): void =>
        this.#logger.error({ err: error, thread }, 'pooler thread could not be started');
      try {
        // One that fails later ends, and is seen to end.
        this.#startThread(thread, { again: true }).catch(failed);
      } catch (error) {
        // There is no room for another thread.
        failed(error);
        this.#restart(thread);
      }
    }, wait);
  }

  #received(thread: number, running: RunningThread, message: FromThread): void {
    // What a thread asked must not be answered to the one after it.
    const answer = (reply: ToThread): void => this.#send(running, reply);
    switch (message.type) {
      case 'budgetRowWanted':
        return answer({ type: 'budgetRow', key: message.key, row: this.#budgetRows.rowOf(message.key) });
      case 'announce':
        for (let other = 0; other < this.#count; other++) if (other !== thread) this.#tell(other, message);
        return;
      case 'cancel': {
        const { id, processId, secretKey } = message;
        void this.#askAll({ type: 'cancel', processId, secretKey }, SNAPSHOT_MS, thread).then(() => {
          answer({ type: 'cancelTaken', id });
        });
        return;
      }
      case 'loginFailed':
      case 'welcome':
        for (let other = 0; other < this.#count; other++) if (other !== thread) this.#tell(other, message);
        return;
      case 'counterRow':
        return this.#counters.rowNamed(thread, message.row, message.mirror, message.user);
      case 'firstDropped':
        return this.#host.firstDropped(message.mirror, message.reason, message.user);
      case 'admin':
        void this.#host.admin(message.command).then((told) => {
          answer({ type: 'adminAnswer', id: message.id, answer: told });
        });
        return;
      case 'circle':
        void this.#host.isCircle(message.source, message.trail).then((isCircle) => {
          answer({ type: 'circleAnswer', id: message.id, isCircle });
        });
        return;
      case 'done':
        if (message.snapshot !== undefined) this.#noted(thread, message.snapshot);
        this.#asked.get(message.id)?.answered(message);
        return;
      case 'listening':
      case 'listenFailed':
        return;
    }
  }

  #noted(thread: number, { errors, statistics }: ThreadSnapshot): void {
    this.#counters.errorsTold(thread, errors);
    this.#statistics.told(thread, statistics);
  }

  #tell(thread: number, message: ToThread): void {
    const running = this.#threads[thread];
    if (running !== undefined) this.#send(running, message);
  }

  #send({ worker }: RunningThread, message: ToThread): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker is no window: it has no origin
    worker.postMessage(message);
  }

  #tellAll(message: ToThread): void {
    for (let thread = 0; thread < this.#count; thread++) this.#tell(thread, message);
  }

  /** Asks every thread but one, and collects the answers: none of one that dies (or is late, where there is a time). */
  #askAll(
    question: ThreadQuestion,
    withinMs?: number,
    but = -1,
  ): Promise<(readonly [thread: number, Answer | undefined])[]> {
    const asked = this.#threads.flatMap((running, thread) => (running === undefined || thread === but ? [] : [thread]));
    return Promise.all(asked.map(async (thread) => [thread, await this.#ask(thread, question, withinMs)] as const));
  }

  #ask(thread: number, question: ThreadQuestion, withinMs?: number): Promise<Answer | undefined> {
    const id = this.#nextQuestion++;
    return new Promise((resolve) => {
      const timer = withinMs === undefined ? undefined : setTimeout(() => answered(), withinMs);
      const answered = (answer?: Answer): void => {
        clearTimeout(timer);
        this.#asked.delete(id);
        resolve(answer);
      };
      this.#asked.set(id, { thread, answered });
      this.#tell(thread, { ...question, id });
    });
  }
}
