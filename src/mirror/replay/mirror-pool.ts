import type { LoggedInServer } from '../../pool/connect-server.ts';
import { TransactionFlag } from '../record/record-stream.ts';
import type { Outcome } from '../record/record-stream.ts';
import { Fifo } from './fifo.ts';
import type { Lane } from './lane.ts';
import type { MirrorLogin } from './mirror-process-messages.ts';
import { MirrorConnection } from './mirror-connection.ts';
import type { MirrorConnectionOptions } from './mirror-connection.ts';
import { Replayer } from './replayer.ts';
import type { MirroredTransaction } from './mirrored-transaction.ts';
import type { AnsweredRequest, ReplayObserver, ReplayOptions } from './replay-options.ts';

/** Who decides when a pool may open a connection, and counts what its connections did. */
export interface PoolOwner {
  readonly replayOptions: ReplayOptions;
  /** Asks for one more connection for this pool; answered with `opened()` or `openFailed()`. */
  open(pool: MirrorPool, isProbe: boolean): void;
  readonly access: {
    /** Whether it is to be used at all is being tried: by one connection. */
    readonly isOnTrial: boolean;
  };
  timed(sourceTime: number, mirrorTime: number): void;
  requestAnswered(transaction: MirroredTransaction, request: AnsweredRequest): void;
  /** A transaction of the connection's lane is over. */
  finished(connection: PooledConnection, outcome: Outcome, sqlstates: readonly string[]): void;
  /** A connection finished a transaction, or ended. */
  used(connection: PooledConnection): void;
  /** Drops what a lane has at its head that must not run any more; false when nothing is left. */
  review(lane: Lane): boolean;
}

/** A mirror connection in its pool: idle there, or with the lane that it runs a transaction of. */
export class PooledConnection implements ReplayObserver {
  readonly pool: MirrorPool;
  readonly connection: MirrorConnection;
  readonly replayer: Replayer;
  lane: Lane | undefined;
  /** The lane whose transaction it ran last. */
  lastLane: Lane | undefined;
  /** A transaction was replayed on it to its end. */
  wasUseful = false;

  constructor(pool: MirrorPool, connection: MirrorConnection, options: ReplayOptions) {
    this.pool = pool;
    this.connection = connection;
    this.replayer = new Replayer(connection, this, options);
  }

  timed(sourceTime: number, mirrorTime: number): void {
    this.pool.owner.timed(sourceTime, mirrorTime);
  }

  requestAnswered(transaction: MirroredTransaction, request: AnsweredRequest): void {
    this.pool.owner.requestAnswered(transaction, request);
  }

  replayed(outcome: Outcome, sqlstates: readonly string[]): void {
    this.wasUseful ||= !this.connection.isOver;
    this.pool.owner.finished(this, outcome, sqlstates);
  }

  lostIdle(): void {
    if (this.lane?.pinned === this) this.lane.pinned = undefined;
    this.pool.owner.used(this);
    this.pool.remove(this);
  }

  /** Closed at once; what runs counts as failed. A lane that holds it for what comes next has lost its session. */
  abandon(): void {
    this.replayer.abandon();
    if (this.lane?.pinned !== this) return;
    this.lane.pinned = undefined;
    this.pool.remove(this);
  }
}

/**
 * The connections of one login to a mirror. At most `size` of them serve lanes by turns, the last one used first; lanes
 * wait in one line, first come, first served, so none holds up another. Connections of pinned lanes count apart.
 */
export class MirrorPool {
  readonly owner: PoolOwner;
  readonly login: MirrorLogin;
  readonly #idle: PooledConnection[] = [];
  readonly #all = new Set<PooledConnection>();
  readonly #pinned = new Set<PooledConnection>();
  readonly #waiting = new Fifo<Lane>();
  /** Those that stand before all others. */
  readonly #waitingFirst = new Fifo<Lane>();
  #opening = 0;
  size: number;
  pinnedSize: number;
  /** Another pool has taken its place. */
  isRetired = false;
  /** No lane may keep a connection any more. */
  #endsSessions = false;
  /** The login was refused: no connection is tried before this moment of the monotonic clock. */
  refusedUntil = 0;
  /** Those in line are short of a connection that the mirror refused, though it is there: it is asked again at this moment; 0: no. */
  retryAt = 0;

  constructor(owner: PoolOwner, login: MirrorLogin, sizes: { readonly size: number; readonly pinnedSize: number }) {
    this.owner = owner;
    this.login = login;
    this.size = sizes.size;
    this.pinnedSize = sizes.pinnedSize;
  }

  get connections(): ReadonlySet<PooledConnection> {
    return this.#all;
  }

  /** Gives the lane, which has work, its turn as soon as there is a connection. */
  enqueue(lane: Lane): void {
    this.line(lane);
    const connection = this.#idle.pop();
    if (connection) this.serve(connection);
    else this.grow();
  }

  /**
   * Puts the lane at the end of the line; somebody is about to serve it. One that ends what is prepared on the mirror goes
   * before all others: whoever has a connection may wait for the locks of that.
   */
  line(lane: Lane): void {
    lane.isWaiting = true;
    if (lane.endings.length > 0) this.#waitingFirst.push(lane);
    else this.#waiting.push(lane);
  }

  /** Gives a connection that is free to the first lane in line, or keeps it. */
  serve(connection: PooledConnection): void {
    connection.lane = undefined;
    const isOneTooMany = this.#all.size - this.#pinned.size > this.size;
    // One that is idle goes before this, for which lanes may be in line.
    const spare = isOneTooMany ? this.#idle.pop() : undefined;
    if (spare !== undefined) this.discard(spare);
    else if (isOneTooMany || !this.#all.has(connection)) return this.discard(connection);
    for (;;) {
      const lane = this.#waitingFirst.shift() ?? this.#waiting.shift();
      if (lane === undefined) break;
      lane.isWaiting = false;
      if (this.run(lane, connection)) return;
    }
    this.#idle.push(connection);
  }

  /** Begins the lane's next transaction on the connection; false when it has none. */
  run(lane: Lane, connection: PooledConnection): boolean {
    const transaction = this.owner.review(lane) ? lane.queue.shift() : undefined;
    if (transaction === undefined) return false;
    lane.running = transaction;
    connection.lane = lane;
    const resets = connection.lastLane !== undefined && this.#resets(transaction, lane, connection.lastLane);
    connection.lastLane = lane;
    const endsSession =
      this.#pinned.has(connection) && (transaction.recorded.flags & TransactionFlag.KeepsSession) === 0;
    connection.replayer.start(transaction, this.owner.replayOptions, resets, endsSession);
    return true;
  }

  /** Whether the transaction must not find what an earlier one has left in the session unseen. */
  #resets({ recorded }: MirroredTransaction, lane: Lane, last: Lane): boolean {
    if (!this.owner.replayOptions.resetAlways) return false;
    return lane !== last || (recorded.flags & TransactionFlag.AfterReset) !== 0;
  }

  /** The lane keeps the connection between transactions; false when too many do, or it is not to be used any more. */
  pin(connection: PooledConnection): boolean {
    if (this.#endsSessions) return false;
    if (this.#pinned.has(connection)) return true;
    if (this.#pinned.size >= this.pinnedSize) return false;
    this.#pinned.add(connection);
    // Its place in the pool is free.
    this.grow();
    return true;
  }

  /** Nothing is left in it of what it was kept for: it serves others again. */
  unpin(connection: PooledConnection): void {
    this.#pinned.delete(connection);
  }

  /** More has come for a lane in line: it may belong before the others now. */
  hasten(lane: Lane): void {
    if (lane.endings.length === 0 || !this.#waiting.remove(lane)) return;
    this.#waitingFirst.push(lane);
  }

  opened(server: LoggedInServer, options: MirrorConnectionOptions): void {
    this.#opening--;
    this.refusedUntil = 0;
    const connection = new PooledConnection(this, new MirrorConnection(server, options), this.owner.replayOptions);
    if (connection.connection.isOver) {
      // It ended before anybody listened.
      this.owner.used(connection);
      return this.grow();
    }
    this.#all.add(connection);
    this.serve(connection);
  }

  openFailed(): void {
    this.#opening--;
  }

  /** Tries a connection although nobody waits: to find out whether the mirror is back. */
  probe(): void {
    this.#open(true);
  }

  /** A connection that is over, or is not to be used any more. */
  discard(connection: PooledConnection): void {
    connection.connection.close();
    this.remove(connection);
  }

  remove(connection: PooledConnection): void {
    this.#all.delete(connection);
    this.#pinned.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.grow();
  }

  /** The lanes in line, which stand there no longer. */
  takeWaiting(): Lane[] {
    const lanes = [...this.#waitingFirst.drain(), ...this.#waiting.drain()];
    for (const lane of lanes) lane.isWaiting = false;
    return lanes;
  }

  /** First lanes of the line look at their queues again: what is too late by now is dropped. */
  reviewWaiting(): void {
    const lanes = this.takeWaiting();
    for (const lane of lanes) {
      if (this.owner.review(lane)) this.line(lane);
    }
  }

  /** Closes what is idle; the others when they come back. `endsSessions`: also what lanes keep for what comes next. */
  retire(endsSessions: boolean): void {
    this.isRetired = true;
    this.#endsSessions ||= endsSessions;
    this.size = 0;
    for (const connection of [...this.#idle]) this.discard(connection);
    if (!endsSessions) return;
    for (const connection of [...this.#pinned]) {
      const { lane } = connection;
      if (lane?.pinned !== connection || lane.running !== undefined) continue;
      lane.pinned = undefined;
      this.discard(connection);
    }
  }

  /** Opens what those in line are short of. */
  grow(): void {
    this.retryAt = 0;
    const size = this.owner.access.isOnTrial ? Math.min(1, this.size) : this.size;
    const places = size - (this.#all.size - this.#pinned.size) - this.#opening;
    const wanted = Math.min(this.#waitingFirst.length + this.#waiting.length - this.#opening, places);
    for (let i = 0; i < wanted; i++) this.#open(false);
  }

  #open(isProbe: boolean): void {
    this.#opening++;
    this.owner.open(this, isProbe);
  }
}
