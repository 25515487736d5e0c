import { TransactionFlag } from '../record/record-stream.ts';
import type { DropReason } from '../record/record-stream.ts';
import { Fifo } from './fifo.ts';
import type { MirroredTransaction } from './mirrored-transaction.ts';
import type { MirrorPool, PooledConnection } from './mirror-pool.ts';
import { PATIENCE_MS } from './turns.ts';

/**
 * One client's transactions for one mirror, first in, first out, one at a time. A lane with work either waits in its
 * pool for a connection or runs on one. A lane whose client is pinned on the source keeps its connection between
 * transactions.
 */
export class Lane {
  /** The client's user. */
  readonly user: string;
  /** Which client it is, by whatever record stream its transactions come (`PoolerLink`). */
  readonly client: string;
  /** Where it gets its connections; another one after the mirror's configuration changed. */
  pool: MirrorPool;
  readonly queue = new Fifo<MirroredTransaction>();
  /** Those in the queue that are dropped when their turn comes, since what follows depends on it. */
  readonly doomed = new Map<MirroredTransaction, DropReason>();
  running: MirroredTransaction | undefined;
  /** When it was last asked whether its turn has come, a moment of the monotonic clock; and whether it had to wait. */
  lookedAt = 0;
  isWaitingForOthers = false;
  /** So many milliseconds it may still wait for other lanes (`turns.ts`). */
  patience = PATIENCE_MS;
  /** Transactions that are prepared and that some in the queue end, by gid: others may wait for what they have locked. */
  readonly endings: string[] = [];
  /** Stands in the pool's line. */
  isWaiting = false;
  /** Holds what the client's session left on the mirror. */
  pinned: PooledConnection | undefined;
  /** What this leaves in its session is of no use: a later transaction is missing. */
  lastOfSession: MirroredTransaction | undefined;
  /** Its client is gone, or its record stream: nothing more comes. */
  isEnding = false;
  /** The client's lane of a record stream that broke: what that has left comes first. */
  follows: Lane | undefined;

  constructor(user: string, pool: MirrorPool, client = '') {
    this.user = user;
    this.pool = pool;
    this.client = client;
  }

  /** A transaction of it was finished or dropped: why it was to be dropped when its turn came, if it was. */
  over(transaction: MirroredTransaction): DropReason | undefined {
    if (this.running === transaction) this.running = undefined;
    if (this.lastOfSession === transaction) this.lastOfSession = undefined;
    if (transaction.twoPhase?.ends === true) this.endings.splice(this.endings.indexOf(transaction.twoPhase.gid), 1);
    const reason = this.doomed.get(transaction);
    if (reason !== undefined) this.doomed.delete(transaction);
    return reason;
  }

  get isEmpty(): boolean {
    return this.running === undefined && this.queue.length === 0;
  }

  /** What is next needs what earlier transactions left in the session: its client was bound to it when it began. */
  get needsSession(): boolean {
    return ((this.queue.peek()?.recorded.flags ?? 0) & TransactionFlag.NeedsSession) !== 0;
  }

  /** End on the source of its oldest unfinished transaction. */
  get oldest(): number | undefined {
    return (this.running ?? this.queue.peek())?.recorded.endedAt;
  }
}

/** How many transactions these have, and how long ago the oldest ended on the source. */
export function loadOf(lanes: Iterable<Lane>, now: number): { readonly lagMs: number; readonly queued: number } {
  let oldest = now;
  let queued = 0;
  for (const lane of lanes) {
    oldest = Math.min(oldest, lane.oldest ?? now);
    queued += lane.queue.length + (lane.running ? 1 : 0);
  }
  return { lagMs: now - oldest, queued };
}
