import { AnswerDigester } from '../compare/answer-digester.ts';
import { TransactionStatus } from '../../protocol/message-types.ts';
import { monotonicNow } from '../../util/clock.ts';
import { RequestFlag } from '../record/record-stream.ts';
import { endsConnections } from './ends-connections.ts';
import { nextEvent } from './event-counter.ts';
import { loopIdle } from './loop-idle.ts';
import type { MirrorConnection } from './mirror-connection.ts';
import type { AnsweredRequest } from './replay-options.ts';
import type { RequestCursor } from './request-cursor.ts';

/** What is noted of the request that a mirror connection runs, or of pgmirror's own query there, until it is answered. */
export class RequestInFlight {
  readonly #connection: MirrorConnection;
  /** It failed. */
  hasErred = false;
  /** Its time is that of the same work as on the source. */
  isMeasured = false;
  /** With this SQLSTATE. */
  #error = '';
  #isTainted = false;
  #endedConnection = false;
  /** The event counter when it began. */
  #began = 0;
  #sentAt = 0;
  /** What `loopIdle` said then. */
  #idleAtSent = 0;

  constructor(connection: MirrorConnection) {
    this.#connection = connection;
  }

  /** A query of pgmirror's own is about to be sent. */
  reset(): void {
    this.hasErred = false;
    this.#error = '';
    this.#endedConnection = false;
  }

  /** `isTainted`: an earlier request of its block has failed on the mirror alone. */
  begin(flags: number, isTainted: boolean): void {
    this.reset();
    this.isMeasured = (flags & RequestFlag.CopyIn) === 0;
    this.#isTainted = isTainted;
    this.#began = nextEvent();
    if ((flags & RequestFlag.Digest) !== 0) (this.#connection.digester ??= new AnswerDigester()).begin();
  }

  /** Its bytes, or the last part so far, are about to be sent. */
  sent(): void {
    this.#sentAt = monotonicNow();
    this.#idleAtSent = loopIdle();
  }

  /** The first error counts. */
  failed(sqlstate: string): void {
    if (!this.hasErred) this.#error = sqlstate;
    this.hasErred = true;
  }

  /** The connection has ended amid it. What the server ends for a reason of its own is not this request's doing. */
  lost(sqlstate: string): void {
    this.failed(sqlstate);
    this.#endedConnection = !endsConnections(this.#error);
  }

  /** How long it has taken, in microseconds. */
  get time(): number {
    return (monotonicNow() - this.#sentAt) * 1000;
  }

  /** It was answered, or its time is up. */
  answered(cursor: RequestCursor, is: Pick<AnsweredRequest, 'isLate' | 'timedOut' | 'isForced'>): AnsweredRequest {
    return {
      ...is,
      index: cursor.index,
      sourceTime: cursor.sourceTime,
      mirrorTime: this.time,
      mirrorTimeAtLeast: (loopIdle() - this.#idleAtSent) * 1000,
      connection: this.#connection,
      isMeasured: this.isMeasured,
      sourceError: cursor.errored ? cursor.sqlstate : '',
      mirrorError: this.#error,
      endedConnection: this.#endedConnection,
      outage: this.#endedConnection ? this.#connection.outage : undefined,
      isUnheard: is.timedOut && this.#connection.isOver && !this.#connection.isCancelTaken,
      isTainted: this.#isTainted,
      isInBlock: cursor.statusBefore !== TransactionStatus.Idle,
      isCancelled: cursor.isCancelled,
      sourceSentAt: cursor.sentSequence,
      sourceDoneAt: cursor.doneSequence,
      mirrorSentAt: this.#began,
      mirrorDoneAt: nextEvent(),
      digests: this.#digests(cursor),
    };
  }

  #digests(cursor: RequestCursor): AnsweredRequest['digests'] {
    const source = cursor.digest;
    const { digester } = this.#connection;
    if (source === undefined || digester === undefined) return undefined;
    // The recording goes when the transaction has ended; what is compared may wait longer.
    return { source: Buffer.from(source), mirror: digester.end(), origins: digester.origins };
  }
}
