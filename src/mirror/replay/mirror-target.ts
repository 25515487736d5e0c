import { monotonicNow } from '../../util/clock.ts';
import { DropReason, Outcome, TransactionFlag } from '../record/record-stream.ts';
import type { Connect } from './connect.ts';
import { Lane, loadOf } from './lane.ts';
import { endSession, followSession } from './lane-session.ts';
import { MirrorAccess } from './mirror-access.ts';
import { MirrorLatency } from './mirror-latency.ts';
import type { MirrorPool, PooledConnection } from './mirror-pool.ts';
import { MirrorPools } from './mirror-pools.ts';
import type { MirrorPoolsHost } from './mirror-pools.ts';
import type { MirrorTargetHost } from './mirror-target-host.ts';
import type {
  MirrorState,
  MirrorTargetConfig,
  MirrorTargetStatus,
  PreparedOnMirror,
} from './mirror-process-messages.ts';
import type { MirroredTransaction } from './mirrored-transaction.ts';
import { PreparedTransactions, Readiness } from './prepared-transactions.ts';
import { serversOf } from './prepared-on-servers.ts';
import type { TwoPhase } from '../record/two-phase.ts';
import type { AnsweredRequest, ReplayOptions } from './replay-options.ts';
import { connectionKey, replayOptionsOf, serverKey } from './target-options.ts';
import { TransactionFilter } from './transaction-filter.ts';
import { PATIENCE_MS, Turns } from './turns.ts';
import { halfFollows, LACKS_HALF } from './two-phase-order.ts';

/** How often transactions that are prepared and that nobody ends are looked for. */
const CLEAN_MS = 5000;
const SESSION_FLAGS = TransactionFlag.NeedsSession | TransactionFlag.KeepsSession;

/**
 * One mirror: its access (whether it can and may be used), its pools (one for each login), its lanes.
 *
 * A transaction is taken into its client's lane unless it is filtered out, its client has no login here or the mirror is
 * off; what becomes of it is acknowledged exactly once. When the mirror goes off, what waits is dropped at once, and so
 * is what comes. A login that the mirror refuses concerns that login alone. A removed mirror finishes what it has for as
 * long as it is let; the rest is `lost`.
 */
export class MirrorTarget implements MirrorPoolsHost {
  readonly id: number;
  readonly #host: MirrorTargetHost;
  #config: MirrorTargetConfig;
  #filter: TransactionFilter;
  #replayOptions: ReplayOptions;
  readonly connect: Connect;
  readonly access: MirrorAccess;
  readonly #pools: MirrorPools;
  readonly #lanes = new Set<Lane>();
  /** Those that end when they are empty, and some that did. */
  readonly #ending = new Set<Lane>();
  readonly #prepared: PreparedTransactions;
  readonly #turns = new Turns();
  #cleanAt = 0;
  readonly #latency = new MirrorLatency();
  #isLosing = false;

  constructor(config: MirrorTargetConfig, host: MirrorTargetHost) {
    this.id = config.id;
    this.#host = host;
    this.#config = config;
    this.#filter = new TransactionFilter(config);
    this.#replayOptions = replayOptionsOf(config);
    this.connect = host.connect;
    this.#prepared = new PreparedTransactions({
      ...serversOf(host, { config: () => this.#config, loginOf: (user) => this.#pools.loginOf(user) }),
      settled: (gid) => host.preparedSettled(this, gid),
    });
    this.access = new MirrorAccess(
      {
        objections: async () => host.objectionsTo(this.#config),
        probe: () => this.#pools.probe(),
        lost: () => this.#dropAllWaiting(),
        refused: () => this.#giveUp(),
        changed: () => host.stateChanged(this),
      },
      config.enabled,
    );
    this.#pools = new MirrorPools(this, config);
  }

  get config(): MirrorTargetConfig {
    return this.#config;
  }

  get replayOptions(): ReplayOptions {
    return this.#replayOptions;
  }

  get state(): MirrorState {
    return this.access.state;
  }

  get reason(): string {
    return this.access.reason;
  }

  get isEmpty(): boolean {
    return this.#lanes.size === 0;
  }

  /** Finds out whether the mirror can be reached and may be used. Never rejects: the state tells. */
  async look(): Promise<void> {
    await this.access.look();
  }

  /**
   * Applies a changed configuration; connections made for another server or login are closed when they come back. True:
   * it has to be looked at.
   */
  configure(config: MirrorTargetConfig): boolean {
    const before = this.#config;
    const isOther = connectionKey(before) !== connectionKey(config);
    this.#config = config;
    this.#filter = new TransactionFilter(config);
    this.#replayOptions = replayOptionsOf(config);
    if (isOther) {
      const waiting = this.#pools.retire(config);
      // Other logins lead to the same server: nothing is dropped until that has been looked at again.
      if (serverKey(before) !== serverKey(config)) this.access.moved();
      for (const lane of waiting) this.#line(lane);
    }
    this.#pools.resize(config);
    this.access.isEnabled = config.enabled;
    this.access.tell();
    return isOther || before.enabled !== config.enabled;
  }

  /** These were perhaps prepared on it by an earlier process. */
  remember(prepared: readonly PreparedOnMirror[]): void {
    for (const { gid, user } of prepared) this.#prepared.remember(gid, user);
  }

  /** It was made a fresh copy of its source: what is known of its past counts no more. */
  async reset(): Promise<void> {
    this.#prepared.forgetAll();
    await this.look();
  }

  /** The lane of a client of this user; undefined where there is no login for it. */
  laneFor(user: string, client: string): Lane | undefined {
    const pool = this.#pools.poolFor(user);
    if (pool === undefined) return undefined;
    const lane = new Lane(user, pool, client);
    for (const other of this.#ending) {
      if (other.isEmpty) this.#ending.delete(other);
      else if (other.client === client) lane.follows = other;
    }
    return lane;
  }

  /** Why a transaction is not wanted, whatever it holds that is denied; or 0. */
  refusalOf(transaction: MirroredTransaction): DropReason | 0 {
    if (this.#isLosing) return DropReason.Lost;
    return this.#filter.takes(transaction) ? 0 : DropReason.Filtered;
  }

  /** Takes a transaction into its lane, or drops it: for `refusal`, where there is one. */
  accept(transaction: MirroredTransaction, lane: Lane, refusal: DropReason | 0): void {
    const reason = refusal || this.#reasonToRefuse(lane);
    const { twoPhase } = transaction;
    if (twoPhase?.ends === true) lane.endings.push(twoPhase.gid);
    if (reason !== 0 && lane.isEmpty) return this.#dropFrom(lane, transaction, reason);
    if (reason !== 0) lane.doomed.set(transaction, reason);
    else if (twoPhase?.ends === true) this.#prepared.ends(twoPhase.gid);
    else if (twoPhase !== undefined) this.#prepared.comes(twoPhase.gid, lane.user);
    lane.queue.push(transaction);
    this.#lanes.add(lane);
    this.#go(lane);
  }

  #reasonToRefuse(lane: Lane): DropReason | 0 {
    if (this.#pools.isRefused(lane.pool)) return DropReason.NoUser;
    return this.access.isOff ? DropReason.MirrorDown : 0;
  }

  /** Gets the lane, which has work, going, unless it is. */
  #go(lane: Lane): void {
    if (lane.isWaiting) lane.pool.hasten(lane);
    if (lane.running !== undefined || lane.isWaiting) return;
    if (lane.pinned) this.#continue(lane, lane.pinned);
    else this.#line(lane);
  }

  drop(transaction: MirroredTransaction, reason: DropReason): void {
    const { twoPhase } = transaction;
    if (twoPhase?.ends === true) this.#prepared.ended(twoPhase.gid, false);
    else if (twoPhase !== undefined) this.#prepared.neverPrepared(twoPhase.gid);
    transaction.origin.acknowledge(transaction, this.id, Outcome.Dropped, reason, []);
    this.#turns.over(transaction);
  }

  /** What the client left in its session on the mirror lacks the transaction, if it left anything: it is given up. */
  #dropFrom(lane: Lane, transaction: MirroredTransaction, reason: DropReason): void {
    this.drop(transaction, lane.over(transaction) ?? reason);
    if ((transaction.recorded.flags & SESSION_FLAGS) !== 0) endSession(lane);
  }

  /** The client is gone; its lane ends when it is empty. */
  endLane(lane: Lane): void {
    lane.isEnding = true;
    if (lane.isEmpty) endSession(lane);
    else this.#ending.add(lane);
  }

  /** Looks after what takes too long. Called a few times a second. */
  sweep(now: number): void {
    this.#pools.sweep(now);
    this.#getGoing(this.#turns.takeAll());
    if (this.#prepared.size > 0 && now >= this.#cleanAt) {
      this.#cleanAt = now + CLEAN_MS;
      this.#prepared.clean().catch(() => undefined);
    }
  }

  /** Drops all that is not finished, as lost. */
  lose(): void {
    this.#isLosing = true;
    for (const lane of this.#lanes) this.#dropQueue(lane, DropReason.Lost);
    for (const pool of this.#pools.all) pool.takeWaiting();
    for (const connection of this.#pools.connections()) connection.abandon();
  }

  /** Drops all that is not finished, and closes everything. */
  destroy(): void {
    this.lose();
    this.access.stop();
    this.#pools.destroy();
  }

  /** What is known of it now. */
  status(now: number): MirrorTargetStatus {
    return {
      id: this.id,
      state: this.state,
      reason: this.reason,
      ...loadOf(this.#lanes, now),
      connections: [...this.#pools.connections()].length,
      orphans: this.#prepared.orphans,
      ...this.#latency.read(now),
    };
  }

  open(pool: MirrorPool, isProbe: boolean): void {
    this.#pools.open(pool, isProbe);
  }

  loginRefused(pool: MirrorPool): void {
    this.#dropWaiting(pool, DropReason.NoUser);
  }

  timed(sourceTime: number, mirrorTime: number): void {
    this.#latency.record(sourceTime, mirrorTime);
  }

  requestAnswered(transaction: MirroredTransaction, request: AnsweredRequest): void {
    this.#host.requestAnswered(this, transaction, request);
  }

  finished(connection: PooledConnection, outcome: Outcome, sqlstates: readonly string[]): void {
    const lane = connection.lane;
    const transaction = lane?.running;
    if (!lane || !transaction) throw new Error('a connection without a transaction finished one');
    const { origin, recorded, twoPhase } = transaction;
    const isOfUse = lane.lastOfSession !== transaction;
    lane.over(transaction);
    if (twoPhase !== undefined) this.#followTwoPhase(twoPhase, lane.user, outcome === Outcome.Replayed);
    if (this.#isLosing) this.drop(transaction, DropReason.Lost);
    else origin.acknowledge(transaction, this.id, outcome, 0, sqlstates);
    this.#turns.over(transaction);
    this.used(connection);
    if (connection.connection.isOver) {
      lane.pinned = undefined;
      connection.lane = undefined;
      connection.pool.remove(connection);
    } else {
      followSession(lane, connection, (recorded.flags & TransactionFlag.KeepsSession) !== 0, isOfUse);
    }
    if (lane.pinned) this.#continue(lane, lane.pinned);
    else this.#goOn(lane, connection);
    this.#getGoing(this.#turns.takeReady());
  }

  review(lane: Lane): boolean {
    const now = monotonicNow();
    for (let head = lane.queue.peek(); head !== undefined; head = lane.queue.peek()) {
      const reason = this.#reasonToDrop(head, lane, now);
      if (reason === 0) return this.#isTurnOf(head, lane, now);
      lane.queue.shift();
      this.#dropFrom(lane, head, reason);
    }
    if (lane.isEmpty) this.#lanes.delete(lane);
    return false;
  }

  used({ connection, wasUseful }: PooledConnection): void {
    if (connection.isOver) this.access.connectionLost(connection.endReason, wasUseful);
    else this.access.connectionUsed();
  }

  // --- lanes

  #reasonToDrop(transaction: MirroredTransaction, lane: Lane, now: number): DropReason | 0 {
    const { recorded, twoPhase } = transaction;
    const doomed = lane.doomed.get(transaction);
    if (doomed !== undefined) return doomed;
    if (twoPhase?.ends === true) {
      const readiness = this.#prepared.readiness(twoPhase.gid, recorded.endedAt, now);
      if (readiness === Readiness.Lost) return DropReason.SessionLost;
    }
    if ((recorded.flags & TransactionFlag.NeedsSession) !== 0 && !lane.pinned) return DropReason.SessionLost;
    return now - recorded.endedAt > this.#config.maxLagMs ? DropReason.Lag : 0;
  }

  /** It follows the source's order, but where it is half-way to being dropped for lag. */
  #isTurnOf(head: MirroredTransaction, lane: Lane, now: number): boolean {
    const { maxLagMs } = this.#config;
    if (lane.follows?.isEmpty === false) {
      this.#turns.standAside(lane);
      return false;
    }
    lane.follows = undefined;
    const half = halfFollows(head, lane, { lanes: this.#lanes, prepared: this.#prepared, maxLagMs }, now);
    if (half === LACKS_HALF) this.#turns.standAside(lane);
    else if (half !== undefined) this.#turns.follow(lane, half);
    if (half !== undefined) return false;
    const age = now - head.recorded.endedAt;
    if (age > maxLagMs / 2) return !this.#turns.waits(lane, undefined, now);
    return !this.#turns.waits(lane, this.#host.predecessorOf(this, head, age > PATIENCE_MS), now);
  }

  #followTwoPhase({ ends, gid }: TwoPhase, user: string, succeeded: boolean): void {
    if (ends) this.#prepared.ended(gid, succeeded);
    else this.#prepared.prepared(gid, succeeded, user);
    this.#getGoing(this.#turns.takeAll());
  }

  /** Lanes that stood aside look again whether they can go on. */
  #getGoing(lanes: readonly Lane[]): void {
    for (const lane of lanes) if (!lane.isEmpty) this.#go(lane);
  }

  /** A pinned lane goes on with the connection it holds, unless that is given up with what was dropped, here or before. */
  #continue(lane: Lane, connection: PooledConnection): void {
    const hasMore = this.review(lane);
    if (hasMore && !lane.needsSession) endSession(lane);
    if (hasMore && lane.pinned === connection) connection.pool.run(lane, connection);
    else if (hasMore) this.#line(lane);
    else if (lane.isEnding && lane.isEmpty) endSession(lane);
  }

  /** The connection is free; the lane, if it has more, stands in line again. */
  #goOn(lane: Lane, connection: PooledConnection): void {
    if (this.access.isGivenUp) {
      this.#dropQueue(lane, DropReason.MirrorDown);
    } else if (lane.queue.length > 0) {
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
      const pool = this.#pools.poolFor(lane.user);
      if (!pool) return this.#dropQueue(lane, DropReason.NoUser);
      lane.pool = pool;
    }
    lane.pool.enqueue(lane);
  }

  #dropQueue(lane: Lane, reason: DropReason): void {
    for (const transaction of lane.queue.drain()) this.#dropFrom(lane, transaction, reason);
    if (lane.isEmpty) this.#lanes.delete(lane);
  }

  #dropWaiting(pool: MirrorPool, reason: DropReason): void {
    for (const lane of pool.takeWaiting()) this.#dropQueue(lane, reason);
  }

  #dropAllWaiting(): void {
    for (const lane of this.#turns.takeAll())
      if (lane.running === undefined) this.#dropQueue(lane, DropReason.MirrorDown);
    for (const pool of this.#pools.all) this.#dropWaiting(pool, DropReason.MirrorDown);
  }

  /** The mirror must not be used any more. */
  #giveUp(): void {
    for (const lane of this.#lanes) this.#dropQueue(lane, DropReason.MirrorDown);
    for (const connection of this.#pools.connections()) connection.abandon();
    this.#pools.retire(this.#config);
  }
}
