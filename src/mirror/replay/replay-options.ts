import type { ColumnOrigin } from '../compare/column-origin.ts';
import type { Outcome } from '../record/record-stream.ts';
import type { MirroredTransaction } from './mirrored-transaction.ts';
import type { Outage } from './outages.ts';
import type { Timing } from './pacing.ts';

/** What a replayer takes from its mirror; read anew for each transaction. */
export interface ReplayOptions {
  readonly timing: Timing;
  /** For one request, beyond what it took on the source. */
  readonly timeoutMs: number;
  /** Settings that the mirror's configuration holds, whatever a client sets. */
  readonly fixedSettings: ReadonlySet<string>;
  /** The source has `server_reset = "always"`: nothing is left in a session that is handed on. */
  readonly resetAlways: boolean;
}

/** A request that the mirror has answered, or whose time is up. Times in microseconds. */
export interface AnsweredRequest {
  /** In its transaction. */
  readonly index: number;
  readonly sourceTime: number;
  readonly mirrorTime: number;
  /** Both times are of the same work: nothing of pgmirror's own was answered with it, and nobody waited for COPY data. */
  readonly isMeasured: boolean;
  /** The transaction began late: what runs beside it is not what ran beside it on the source. */
  readonly isLate: boolean;
  /** SQLSTATEs of the first errors, or empty. */
  readonly sourceError: string;
  readonly mirrorError: string;
  /** The mirror's connection ended amid it, for no other reason that is known. */
  readonly endedConnection: boolean;
  /** That ended without a word, perhaps with others. */
  readonly outage: Outage | undefined;
  /** Its time is up, and the server has not even taken the cancel: perhaps it is not there. */
  readonly isUnheard: boolean;
  /** An earlier request of the block has failed on the mirror alone. */
  readonly isTainted: boolean;
  readonly timedOut: boolean;
  /** Microseconds of `mirrorTime` that the mirror surely took: in the others this process may have been too busy to look. */
  readonly mirrorTimeAtLeast: number;
  /** The connection that it was run on. */
  readonly connection: object;
  /** What pgmirror made of it was not what the source ran: it was forced to end otherwise. */
  readonly isForced: boolean;
  /** The source was in a block when it came. */
  readonly isInBlock: boolean;
  /** The source was asked to cancel it, and did. */
  readonly isCancelled: boolean;
  /** The pooler's event counter when it was sent to the source, and when the answer was complete. */
  readonly sourceSentAt: number;
  readonly sourceDoneAt: number;
  /** The mirror process's event counter when it was sent, and when its answer was complete. */
  readonly mirrorSentAt: number;
  readonly mirrorDoneAt: number;
  /** Of the answers, where both were digested. */
  readonly digests:
    | { readonly source: Buffer; readonly mirror: Buffer; readonly origins: readonly ColumnOrigin[] | undefined }
    | undefined;
}

/** Who is told what became of a transaction. */
export interface ReplayObserver {
  /** A request was answered on both sides; times in microseconds. */
  timed(sourceTime: number, mirrorTime: number): void;
  /** The same, of every request that was sent. */
  requestAnswered(transaction: MirroredTransaction, request: AnsweredRequest): void;
  /** The transaction is over. The connection is idle again, or over. */
  replayed(outcome: Outcome, sqlstates: readonly string[]): void;
  /** The connection ended between transactions. */
  lostIdle(): void;
}
