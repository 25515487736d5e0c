import { monotonicNow } from '../../util/clock.ts';
import { DropReason, Outcome, TransactionFlag } from '../record/record-stream.ts';
import { Breaker } from './breaker.ts';
import type { Connect } from './connect.ts';
import { ConnectRate } from './connect-rate.ts';
import { Lane } from './lane.ts';
import { LatencyWindow } from './latency-window.ts';
import { MirrorPool } from './mirror-pool.ts';
import type { PooledConnection, PoolOwner } from './mirror-pool.ts';
import type { MirrorLogin, MirrorState, MirrorTargetConfig, MirrorTargetStatus } from './mirror-process-messages.ts';
import type { MirroredTransaction } from './mirrored-transaction.ts';
import type { AnsweredRequest, ReplayOptions } from './replay-options.ts';
import { SafetyGate } from './safety-gate.ts';
import { connectionKey, replayOptionsOf, serverLoginOf } from './target-options.ts';
import { TransactionFilter } from './transaction-filter.ts';

/** What a mirror needs from the process it is in. */
export interface MirrorTargetHost {
  readonly connect: Connect;
  /** Looks at a mirror: why it must not be used. Rejects where that cannot be found out. */
  objectionsTo(config: MirrorTargetConfig): Promise<readonly string[]>;
  /** A request was answered on the mirror. */
  requestAnswered(target: MirrorTarget, transaction: MirroredTransaction, request: AnsweredRequest): void;
  /** The mirror went, is back, was refused or disabled. */
  stateChanged(target: MirrorTarget): void;
}

/** A login that was refused is tried again after this long. */
const REFUSED_LOGIN_MS = 10_000;
/** So many connections in a row that were lost before they finished anything are as good as none. */
const USELESS_CONNECTIONS = 3;
const NONE: readonly string[] = [];

/**
 * One mirror: its pools (one for each login), its breaker, its lanes, and the gate that it has to pass before anything
 * is sent to it: until it was looked at it counts as down, and what is found against it keeps it refused until the
 * configuration is read again. It is looked at again before a connection is opened after one was lost.
 *
 * A transaction is taken into its client's lane unless it is filtered out, its client has no login here or the breaker
 * is open; what becomes of it is acknowledged exactly once. When a connection cannot be made the breaker opens: what
 * waits is dropped at once, and so is what comes, until a probe gets through. A login that the mirror refuses concerns
 * that login alone. A removed mirror finishes what it has for as long as it is let; the rest is `lost`.
 */
export class MirrorTarget implements PoolOwner {
  readonly id: number;
  readonly #host: MirrorTargetHost;
  #config: MirrorTargetConfig;
  #filter: TransactionFilter;
  #replayOptions: ReplayOptions;
  #pools = new Map<string, MirrorPool>();
  #loginOf = new Map<string, MirrorLogin>();
  readonly #lanes = new Set<Lane>();
  readonly #rate = new ConnectRate();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #breaker: Breaker;
  readonly #gate: SafetyGate;
  readonly #latency = { source: new LatencyWindow(), mirror: new LatencyWindow() };
  /** Since when nothing that was missed counts: its start, or the last RESET MIRROR (the monotonic clock). */
  cleanSince = monotonicNow();
  #refusal = '';
  /** It was looked at, and nothing was against it, since its address was last changed. */
  #isReached = false;
  /** State and reason that were told last. */
  #told = '';
  #uselessConnections = 0;
  #probing: MirrorPool | undefined;
  #isLosing = false;
  /** Raised when the connections that are there must not be used any more. */
  #generation = 0;

  constructor(config: MirrorTargetConfig, host: MirrorTargetHost) {
    this.id = config.id;
    this.#host = host;
    this.#config = config;
    this.#filter = new TransactionFilter(config);
    this.#replayOptions = replayOptionsOf(config);
    this.#setLogins(config);
    this.#gate = new SafetyGate(async () => host.objectionsTo(this.#config));
    this.#breaker = new Breaker({
      probe: () => this.#probe(),
      changed: () => this.#breakerChanged(),
    });
  }

  get config(): MirrorTargetConfig {
    return this.#config;
  }

  get replayOptions(): ReplayOptions {
    return this.#replayOptions;
  }

  get state(): MirrorState {
    if (!this.#config.enabled) return 'disabled';
    if (this.#refusal !== '') return 'refused';
    return this.#breaker.isOpen || !this.#isReached ? 'down' : 'up';
  }

  get #isOff(): boolean {
    return this.#refusal !== '' || this.#breaker.isOpen || !this.#isReached;
  }

  get reason(): string {
    return this.#refusal || this.#breaker.reason || (this.#isReached ? '' : 'not looked at yet');
  }

  get isEmpty(): boolean {
    return this.#lanes.size === 0;
  }

  /** Finds out whether the mirror can be reached and may be used. Never rejects: the state tells. */
  async look(): Promise<void> {
    if (!this.#config.enabled) return;
    this.#gate.forget();
    const generation = this.#generation;
    try {
      const objections = await this.#gate.objections();
      if (generation !== this.#generation) return;
      if (objections.length > 0) return this.refuse(objections);
      this.#refusal = '';
      if (this.#breaker.isOpen) return this.#probe();
      this.#isReached = true;
      this.#tell();
    } catch (error) {
      if (generation !== this.#generation) return;
      // What could not be looked at stays refused.
      if (this.#refusal === '') this.#breaker.fail((error as Error).message);
    }
  }

  /**
   * Applies a changed configuration; connections made for another server or login are closed when they come back. True:
   * it has to be looked at.
   */
  configure(config: MirrorTargetConfig): boolean {
    const before = this.#config;
    const isMoved = connectionKey(before) !== connectionKey(config);
    this.#config = config;
    this.#filter = new TransactionFilter(config);
    this.#replayOptions = replayOptionsOf(config);
    if (isMoved) {
      const waiting = this.#retirePools();
      this.#setLogins(config);
      this.#breaker.succeed();
      this.#refusal = '';
      this.#isReached = false;
      this.#gate.forget();
      for (const lane of waiting) this.#line(lane);
    }
    for (const pool of this.#pools.values()) {
      pool.size = config.poolSize;
      pool.pinnedSize = config.pinnedPoolSize;
    }
    this.#tell();
    return isMoved || before.enabled !== config.enabled;
  }

  /** It was made a fresh copy of its source: what is known of its past counts no more. */
  async reset(): Promise<void> {
    this.cleanSince = monotonicNow();
    await this.look();
  }

  /** Off until it is looked at again: nothing is replayed on it, and what runs there is given up. */
  refuse(objections: readonly string[]): void {
    this.#refusal = objections.join('; ');
    this.#isReached = false;
    this.#breaker.succeed();
    for (const lane of this.#lanes) this.#dropQueue(lane, DropReason.MirrorDown);
    for (const pool of this.#pools.values()) {
      for (const { replayer } of [...pool.connections]) replayer.abandon();
    }
    this.#retirePools();
    this.#tell();
  }

  /** The pool that replays a client user's transactions. */
  poolFor(user: string): MirrorPool | undefined {
    const login = this.#loginOf.get(user) ?? this.#config.fallback;
    return login && this.#poolOf(login);
  }

  #poolOf(login: MirrorLogin): MirrorPool {
    let pool = this.#pools.get(login.user);
    if (pool === undefined) {
      const { poolSize, pinnedPoolSize } = this.#config;
      pool = new MirrorPool(this, login, { size: poolSize, pinnedSize: pinnedPoolSize });
      this.#pools.set(login.user, pool);
    }
    return pool;
  }

  /** The lane of a client of this user; undefined where there is no login for it. */
  laneFor(user: string): Lane | undefined {
    const pool = this.poolFor(user);
    return pool && new Lane(user, pool);
  }

  /** Why a transaction is not wanted, whatever it holds that is denied; or 0. */
  refusalOf(transaction: MirroredTransaction): DropReason | 0 {
    if (this.#isLosing) return DropReason.Lost;
    return this.#filter.takes(transaction) ? 0 : DropReason.Filtered;
  }

  /** Takes a transaction into its lane, or drops it. */
  accept(transaction: MirroredTransaction, lane: Lane): void {
    if (this.#isRefused(lane.pool)) return this.drop(transaction, DropReason.NoUser);
    if (this.#isOff) return this.drop(transaction, DropReason.MirrorDown);
    lane.queue.push(transaction);
    this.#lanes.add(lane);
    if (lane.running !== undefined || lane.isWaiting) return;
    if (lane.pinned) this.#continue(lane, lane.pinned);
    else this.#line(lane);
  }

  drop(transaction: MirroredTransaction, reason: DropReason): void {
    transaction.origin.acknowledge(transaction, this.id, Outcome.Dropped, reason, NONE);
  }

  /** The client is gone; its lane ends when it is empty. */
  endLane(lane: Lane): void {
    lane.isEnding = true;
    if (lane.isEmpty) this.#unpin(lane);
  }

  /** Looks after what takes too long. Called a few times a second. */
  sweep(now: number): void {
    for (const pool of this.#pools.values()) {
      for (const { replayer } of pool.connections) replayer.checkTimeout(now);
      pool.reviewWaiting();
    }
  }

  /** Drops all that is not finished, as lost. */
  lose(): void {
    this.#isLosing = true;
    for (const lane of this.#lanes) this.#dropQueue(lane, DropReason.Lost);
    for (const pool of this.#pools.values()) {
      pool.takeWaiting();
      for (const { replayer } of [...pool.connections]) replayer.abandon();
    }
  }

  /** Drops all that is not finished, and closes everything. */
  destroy(): void {
    this.lose();
    this.#breaker.stop();
    this.#retirePools();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  /** What is known of it now. */
  status(now: number): MirrorTargetStatus {
    const { source, mirror } = this.#latency;
    let oldest = now;
    let queued = 0;
    for (const lane of this.#lanes) {
      oldest = Math.min(oldest, lane.oldest ?? now);
      queued += lane.queue.length + (lane.running ? 1 : 0);
    }
    let connections = 0;
    for (const pool of this.#pools.values()) connections += pool.connections.size;
    return {
      id: this.id,
      state: this.state,
      reason: this.reason,
      lagMs: now - oldest,
      queued,
      connections,
      latencyMs: { source: source.percentiles(now), mirror: mirror.percentiles(now) },
      duration: { source: source.histogram(), mirror: mirror.histogram() },
    };
  }

  // --- PoolOwner

  open(pool: MirrorPool): void {
    const now = monotonicNow();
    // A look makes a connection of its own.
    if (!this.#gate.isPassed) this.#rate.take(now);
    const wait = this.#rate.take(now);
    if (wait === 0) {
      void this.#connect(pool, this.#generation);
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void this.#connect(pool, this.#generation);
    }, wait);
    this.#timers.add(timer);
  }

  timed(sourceTime: number, mirrorTime: number): void {
    const now = monotonicNow();
    this.#latency.source.record(sourceTime, now);
    this.#latency.mirror.record(mirrorTime, now);
  }

  requestAnswered(transaction: MirroredTransaction, request: AnsweredRequest): void {
    this.#host.requestAnswered(this, transaction, request);
  }

  finished(connection: PooledConnection, outcome: Outcome, sqlstates: readonly string[]): void {
    const lane = connection.lane;
    const transaction = lane?.running;
    if (!lane || !transaction) throw new Error('a connection without a transaction finished one');
    lane.running = undefined;
    const { origin, recorded } = transaction;
    if (this.#isLosing) this.drop(transaction, DropReason.Lost);
    else origin.acknowledge(transaction, this.id, outcome, 0, sqlstates);
    this.#noteUse(connection);
    if (connection.connection.isOver) {
      lane.pinned = undefined;
      connection.lane = undefined;
      connection.pool.remove(connection);
    } else {
      this.#followPin(lane, connection, (recorded.flags & TransactionFlag.KeepsSession) !== 0);
    }
    if (lane.pinned) this.#continue(lane, lane.pinned);
    else this.#goOn(lane, connection);
  }

  review(lane: Lane): boolean {
    const now = monotonicNow();
    for (let head = lane.queue.peek(); head !== undefined; head = lane.queue.peek()) {
      const reason = this.#reasonToDrop(head, lane, now);
      if (reason === 0) return true;
      lane.queue.shift();
      this.drop(head, reason);
    }
    if (lane.isEmpty) this.#lanes.delete(lane);
    return false;
  }

  lost(connection: PooledConnection): void {
    this.#noteUse(connection);
  }

  /** A mirror that is lost is looked at before it is used again; one whose connections are good for nothing is down. */
  #noteUse({ connection, wasUseful }: PooledConnection): void {
    if (!connection.isOver) {
      this.#uselessConnections = 0;
      return;
    }
    this.#gate.forget();
    if (wasUseful || ++this.#uselessConnections < USELESS_CONNECTIONS) return;
    this.#uselessConnections = 0;
    this.#breaker.fail(connection.endReason);
  }

  // --- lanes

  #reasonToDrop({ recorded }: MirroredTransaction, lane: Lane, now: number): DropReason | 0 {
    if ((recorded.flags & TransactionFlag.NeedsSession) !== 0 && !lane.pinned) return DropReason.SessionLost;
    return now - recorded.endedAt > this.#config.maxLagMs ? DropReason.Lag : 0;
  }

  /** A pinned lane goes on with the connection it holds. */
  #continue(lane: Lane, connection: PooledConnection): void {
    if (connection.pool.run(lane, connection)) return;
    if (lane.isEnding) this.#unpin(lane);
  }

  /** The connection is free; the lane, if it has more, stands in line again. */
  #goOn(lane: Lane, connection: PooledConnection): void {
    if (lane.queue.length > 0) {
      if (connection.connection.isOver || connection.pool.isRetired) this.#line(lane);
      else lane.pool.line(lane);
    } else {
      this.#lanes.delete(lane);
    }
    if (!connection.connection.isOver) connection.pool.serve(connection);
  }

  /** Gets the lane, which has work, a connection. */
  #line(lane: Lane): void {
    if (lane.pool.isRetired) {
      const pool = this.poolFor(lane.user);
      if (!pool) return this.#dropQueue(lane, DropReason.NoUser);
      lane.pool = pool;
    }
    lane.pool.enqueue(lane);
  }

  /** Keeps the connection for a lane whose client stays pinned on the source. */
  #followPin(lane: Lane, connection: PooledConnection, keeps: boolean): void {
    if (keeps) {
      if (connection.pool.pin(connection)) lane.pinned = connection;
      else connection.pool.discard(connection);
    } else if (lane.pinned) {
      this.#unpin(lane);
    }
  }

  /** What the client left in the session is not undone but ended with it. */
  #unpin(lane: Lane): void {
    const connection = lane.pinned;
    lane.pinned = undefined;
    if (connection) connection.pool.discard(connection);
  }

  #dropQueue(lane: Lane, reason: DropReason): void {
    for (const transaction of lane.queue.drain()) this.drop(transaction, reason);
    if (lane.isEmpty) this.#lanes.delete(lane);
  }

  #dropWaiting(pool: MirrorPool, reason: DropReason): void {
    for (const lane of pool.takeWaiting()) this.#dropQueue(lane, reason);
  }

  // --- connections

  async #connect(pool: MirrorPool, generation: number): Promise<void> {
    const { address, preparedStatementsLimit } = this.#config;
    try {
      const objections = await this.#gate.objections();
      if (objections.length > 0 || generation !== this.#generation) {
        pool.openFailed();
        if (generation === this.#generation) this.refuse(objections);
        return;
      }
      const server = await this.#host.connect(serverLoginOf(this.#config, pool.login));
      if (generation !== this.#generation) {
        server.socket.destroy();
        return pool.openFailed();
      }
      this.#isReached = true;
      this.#breaker.succeed();
      this.#tell();
      pool.opened(server, { address, preparedStatementsLimit });
    } catch (error) {
      pool.openFailed();
      if (generation === this.#generation) this.#connectFailed(pool, error as Error & { code?: string });
    }
  }

  #connectFailed(pool: MirrorPool, error: Error & { code?: string | undefined }): void {
    // Class 28, invalid authorization: the server is there, and refuses this login.
    if (error.code?.startsWith('28')) {
      pool.refusedUntil = monotonicNow() + REFUSED_LOGIN_MS;
      if (pool.connections.size === 0) this.#dropWaiting(pool, DropReason.NoUser);
      this.#breaker.succeed();
      return;
    }
    // Too many connections: those that are there go on, and the next one that is missed is tried again.
    if (error.code === '53300' && pool.connections.size > 0) return;
    this.#probing = pool;
    this.#breaker.fail(error.message);
  }

  #isRefused(pool: MirrorPool): boolean {
    return pool.refusedUntil > 0 && pool.connections.size === 0 && monotonicNow() < pool.refusedUntil;
  }

  #breakerChanged(): void {
    if (this.#breaker.isOpen) {
      this.#gate.forget();
      for (const pool of this.#pools.values()) this.#dropWaiting(pool, DropReason.MirrorDown);
    }
    this.#tell();
  }

  /** Tells of a change once. */
  #tell(): void {
    const now = this.#refusal === '' ? this.state : `${this.state} ${this.#refusal}`;
    const isStarting = this.#told === '' && !this.#breaker.isOpen && now === 'down';
    if (now === this.#told || isStarting) return;
    this.#told = now;
    this.#host.stateChanged(this);
  }

  #probe(): void {
    const login = this.#config.fallback ?? this.#config.users[0];
    const pool = this.#probing ?? (login && this.#poolOf(login));
    pool?.probe();
  }

  #setLogins(config: MirrorTargetConfig): void {
    this.#generation++;
    this.#probing = undefined;
    this.#loginOf = new Map(config.users.map((login) => [login.name, login]));
  }

  /** The lanes that stood in line. */
  #retirePools(): Lane[] {
    const waiting: Lane[] = [];
    for (const pool of this.#pools.values()) {
      waiting.push(...pool.takeWaiting());
      pool.retire();
    }
    this.#pools = new Map();
    return waiting;
  }
}
