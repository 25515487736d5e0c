import { setImmediate as nextTurn } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { pino } from 'pino';
import { AdminDatabase } from '../admin/admin-database.ts';
import type { AdminAnswer } from '../admin/admin-answer.ts';
import { ByteBudget } from '../mirror/record/byte-budget.ts';
import { MirrorCounters } from '../mirror/record/mirror-counters.ts';
import { RecordingDesk } from '../mirror/record/recording-desk.ts';
import { PoolBudget } from '../pool/pool-budget.ts';
import type { CancelKey } from '../protocol/cancel-key.ts';
import { Pooler } from '../pooler/pooler.ts';
import { snapshotOf } from '../pooler/pooler-snapshot.ts';
import type { ThreadSnapshot } from '../pooler/pooler-snapshot.ts';
import { StatementRegistry } from '../session/statement-names.ts';
import { logDestination } from '../util/log-destination.ts';
import { PreparedChannel } from './prepared-channel.ts';
import type { FromThread, ThreadStart, ToThread } from './thread-messages.ts';

/**
 * The entry of a pooler thread: wires a pooler to the memory it shares with the others and to the supervisor's messages.
 */

const start = workerData as ThreadStart;
const port = parentPort;
if (port === null) throw new Error('to be started by pgmirror, as a thread');

const destination = logDestination({ sync: false });
const logger = pino({ level: start.config.logLevel, base: { process: 'pooler', thread: start.thread } }, destination);
const tell = (message: FromThread): void => port.postMessage(message);
const done = (id: number, snapshot?: ThreadSnapshot): void =>
  tell({ type: 'done', id, ...(snapshot !== undefined && { snapshot }) });

/** How long what is queued for mirrors may take when the process stops. */
const MIRROR_GRACE_MS = 2_000;
const MIRROR_CHECK_MS = 10;

const budgetRows = new Map<string, { resolve: (row: number) => void; promise: Promise<number> }>();
const adminAnswers = new Map<number, (answer: AdminAnswer) => void>();
let nextAdminId = 1;
const circleAnswers = new Map<number, (isCircle: boolean) => void>();
let nextCircleId = 1;
const cancelsTaken = new Map<number, () => void>();
let nextCancelId = 1;

const clients = new Int32Array(start.memory.clients);
const logins = new Int32Array(start.memory.logins);
const twoPhaseCommits = new PreparedChannel(start.instance, (news) => desk.prepared.heard(news));
const registry = new StatementRegistry(start.statementPrefix, (text) => desk.forgetStatement(text));
const desk: RecordingDesk = new RecordingDesk({
  registry,
  bytes: new ByteBudget({
    cells: new Float64Array(start.memory.queueBytes),
    thread: start.thread,
    limit: start.config.queueBytes,
  }),
  counters: new MirrorCounters(start.counters),
  sequence: new BigInt64Array(start.memory.sequence),
  generation: start.generation,
  prepared: twoPhaseCommits,
  nameRow: (row, mirror, user) => tell({ type: 'counterRow', row, mirror, user }),
  firstDropped: (mirror, reason, user) => tell({ type: 'firstDropped', mirror, reason, user }),
});
desk.configure(start.config.routes);
desk.connect(start.mirrorPath);

const admin = new AdminDatabase((command, answered) => {
  const id = nextAdminId++;
  adminAnswers.set(id, answered);
  tell({ type: 'admin', id, command });
});

const pooler = await Pooler.start(
  {
    thread: start.thread,
    paused: start.paused,
    mockSecret: Buffer.from(start.mockSecret),
    instance: start.instance,
    registry,
    desk,
    special: admin,
    budget: budgetOf,
    clientArrived: (limit) => arrived(clients, limit),
    clientLeft: () => Atomics.sub(clients, start.thread, 1),
    loginArrived: (limit) => arrived(logins, limit),
    loginLeft: () => Atomics.sub(logins, start.thread, 1),
    loginFailed: (address) => tell({ type: 'loginFailed', address }),
    isCircle,
    cancelElsewhere: start.threads > 1 ? cancelElsewhere : () => undefined,
    tellWelcome: (news) => tell({ type: 'welcome', news }),
    leaveElsewhere: (server) => tell({ type: 'announce', what: 'leave', key: server }),
    log: (level, message, fields) => logger[level](fields, message),
  },
  start.config.pooler,
);

port.on('message', (message: ToThread) => void received(message));
await listen();

/** Where one of several addresses cannot be had again, clients are let in by the others. */
async function listen(): Promise<void> {
  const tried = await Promise.allSettled(start.listen.map((where) => pooler.listen(where)));
  const failures = tried.flatMap((one) => (one.status === 'rejected' ? [one.reason as NodeJS.ErrnoException] : []));
  const [failure] = failures;
  if (failure !== undefined && (!start.again || failures.length === tried.length)) {
    return tell({ type: 'listenFailed', message: failure.message, code: failure.code ?? '' });
  }
  for (const { message } of failures) logger.error({ reason: message }, 'cannot listen there any more');
  tell({ type: 'listening' });
}

async function received(message: ToThread): Promise<void> {
  switch (message.type) {
    case 'configure':
      desk.bytes.limit = message.config.queueBytes;
      desk.configure(message.config.routes);
      logger.level = message.config.logLevel;
      await pooler.configure(message.config.pooler);
      return done(message.id);
    case 'mirrorAt':
      return desk.connect(message.path);
    case 'budgetRow':
      return budgetRows.get(message.key)?.resolve(message.row);
    case 'announce':
      return pooler.announced(message.what, message.key);
    case 'cancel':
      // What its client sent before has come by now, but may be unread.
      await nextTurn();
      pooler.cancel(message);
      return done(message.id);
    case 'cancelTaken':
      cancelsTaken.get(message.id)?.();
      cancelsTaken.delete(message.id);
      return;
    case 'loginFailed':
      return pooler.loginFailedElsewhere(message.address);
    case 'welcome':
      return pooler.pools.welcomeHeard(message.news);
    case 'snapshot':
      return done(message.id, snapshotOf(start.thread, pooler, desk, message));
    case 'resetCounters':
      desk.resetCounters();
      return done(message.id);
    case 'pause':
      await pooler.pause(message.database);
      return done(message.id);
    case 'resume':
    case 'reconnect':
    case 'kill':
      return pooler[message.type](message.database);
    case 'adminAnswer':
      adminAnswers.get(message.id)?.(message.answer);
      adminAnswers.delete(message.id);
      return;
    case 'circleAnswer':
      circleAnswers.get(message.id)?.(message.isCircle);
      circleAnswers.delete(message.id);
      return;
    case 'drain':
      await pooler.drain();
      return done(message.id);
    case 'finishMirroring':
      await finishMirroring();
      return done(message.id);
    case 'stop':
      pooler.destroy();
      admin.destroy();
      desk.close();
      twoPhaseCommits.close();
      destination.flushSync();
      done(message.id);
      port?.close();
  }
}

async function finishMirroring(): Promise<void> {
  desk.flush();
  const until = performance.now() + MIRROR_GRACE_MS;
  while (desk.unfinished > 0 && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, MIRROR_CHECK_MS));
  }
}

function cancelElsewhere(key: CancelKey): Promise<void> {
  const id = nextCancelId++;
  const taken = Promise.withResolvers<void>();
  cancelsTaken.set(id, taken.resolve);
  tell({ type: 'cancel', id, ...key });
  return taken.promise;
}

async function isCircle(source: string, trail: readonly string[]): Promise<boolean> {
  const id = nextCircleId++;
  const answer = Promise.withResolvers<boolean>();
  circleAnswers.set(id, answer.resolve);
  tell({ type: 'circle', id, source, trail });
  return answer.promise;
}

/** Counts one more of this thread against the limit of the whole process. */
function arrived(counts: Int32Array, limit: number): boolean {
  Atomics.add(counts, start.thread, 1);
  let all = 0;
  for (let thread = 0; thread < counts.length; thread++) all += Atomics.load(counts, thread);
  if (all <= limit) return true;
  Atomics.sub(counts, start.thread, 1);
  return false;
}

async function budgetOf(key: string, shared: boolean): Promise<PoolBudget> {
  let row = budgetRows.get(key);
  if (row === undefined) {
    row = Promise.withResolvers<number>();
    budgetRows.set(key, row);
    tell({ type: 'budgetRowWanted', key });
  }
  const place = await row.promise;
  if (place < 0) throw new Error('there are too many pools');
  return new PoolBudget({
    cells: new Int32Array(start.memory.budgets),
    row: place,
    thread: start.thread,
    threads: start.threads,
    shared,
    announce: (what) => {
      if (start.threads > 1) tell({ type: 'announce', what, key });
      // Pools of this thread share the budget, too; what they do about it must not happen within what they are doing.
      if (shared) setImmediate(() => pooler.announced(what, key));
    },
  });
}
