import type { AnswerDigest } from '../compare/answer-digest.ts';
import { DIGEST_LENGTH } from '../compare/digest-format.ts';
import { Frontend, HEADER_LENGTH, isPartOfCopy } from '../../protocol/message-types.ts';
import type { PreparedText, StatementRegistry } from '../../session/statement-names.ts';
import { monotonicNow } from '../../util/clock.ts';
import { copyBytes } from '../../util/copy-bytes.ts';
import { firstHalfAmong } from './two-phase.ts';
import type { TwoPhase } from './two-phase.ts';
import { REQUEST_HEADER_LENGTH, RequestFlag, RequestOffset } from './record-stream.ts';
import { RecordingBuffer } from './recording-buffer.ts';
import type { BufferShelf, Stretch } from './recording-buffer.ts';

const SYNC_LENGTH = 5;
const MAX_UINT32 = 0xffff_ffff;

/** What is known of a request when it has been answered. */
export interface RequestAnswer {
  readonly statusBefore: number;
  readonly statusAfter: number;
  readonly answeredAt: number;
  readonly doneSequence: number;
}

/**
 * One request as the record stream carries it: room for its header, and its messages as the source receives them. Also
 * what must be known of it until it is answered, whether it is recorded or not.
 */
export class RequestRecording {
  readonly #shelf: BufferShelf;
  #buffer: RecordingBuffer | undefined;
  #length = REQUEST_HEADER_LENGTH;
  /** Bytes recorded by the client before this request: what offsets of its messages are counted from. */
  readonly startOffset: number;
  readonly startedAt: number;
  sentAt: number;
  sentSequence = 0;
  sent = false;
  flags = 0;
  /** Moment of the first CancelRequest for it; 0: there was none. */
  #cancelledAt = 0;
  /** SQLSTATE of its first error; empty: none came. */
  sqlstate = '';
  /** How much of its messages the source ran; -1: all. */
  ranUntil = -1;
  /** Something was done behind what was rolled back. */
  #goesOn = false;
  /** How much of its messages the last COMMIT that was answered ends, and its flags then; 0: that is not known. */
  #committedUntil = 0;
  #flagsAtCommit = 0;
  /** The half of a two-phase commit that it is. */
  twoPhase: TwoPhase | undefined;
  /** The unnamed statement of an earlier request that this one needs. */
  unnamed: PreparedText | undefined;
  readonly #thinkTime: number;
  readonly #digested: boolean;

  constructor(
    shelf: BufferShelf,
    options: {
      readonly recorded: boolean;
      /** Default: no. */
      readonly digested?: boolean;
      readonly startOffset: number;
      readonly now: number;
      readonly thinkTime: number;
    },
  ) {
    this.#shelf = shelf;
    this.#buffer = options.recorded ? shelf.takeBuffer() : undefined;
    this.startOffset = options.startOffset;
    this.startedAt = options.now;
    this.sentAt = options.now;
    this.#thinkTime = options.thinkTime;
    this.#digested = options.digested === true;
  }

  get recorded(): boolean {
    return this.#buffer !== undefined;
  }

  /** Its answer is to be digested. */
  get wantsDigest(): boolean {
    return this.#digested && this.#buffer !== undefined;
  }

  /** Length with the header; 0 where it is not recorded. */
  get length(): number {
    return this.#buffer === undefined ? 0 : this.#length;
  }

  /** The whole, once it has been answered; valid until it is discarded. */
  get whole(): Stretch | undefined {
    return this.#buffer === undefined ? undefined : { buffer: this.#buffer, start: 0, end: this.#length };
  }

  /** It is recorded after all: nothing of it was appended yet. */
  record(): void {
    this.#buffer = this.#shelf.takeBuffer();
  }

  append(bytes: Buffer, start: number, end: number): void {
    const buffer = this.#room(end - start);
    if (buffer === undefined) return;
    this.#length = copyBytes(bytes, start, end, buffer.bytes, this.#length);
  }

  /** What was taken for the next request belongs to this one. */
  join(next: RequestRecording): void {
    const more = next.#buffer?.bytes;
    if (this.recorded && more !== undefined) this.append(more, REQUEST_HEADER_LENGTH, next.#length);
    this.sent = next.sent;
    this.sentAt = next.sentAt;
    this.flags &= ~RequestFlag.Simple;
  }

  /**
   * It erred. `offset`: where the message that erred ends, among all that the client's messages have been recorded to, which is
   * `recorded` bytes by now; 0: it is one message; -1: nothing more of the client's was run.
   */
  erred(sqlstate: string, offset: number, recorded: number): void {
    if (this.sqlstate !== '') return;
    this.sqlstate = sqlstate;
    this.flags |= RequestFlag.Errored;
    if (offset > 0) this.ranUntil = offset - this.startOffset;
    else if (offset < 0) this.ranUntil = this.sent ? 0 : recorded - this.startOffset;
  }

  /** COPY data belong to it. */
  takesCopyData(): void {
    this.flags |= RequestFlag.CopyIn;
    this.flags &= ~RequestFlag.Simple;
  }

  /** A CommandComplete with the tag ROLLBACK answered it. */
  rolledBack(): void {
    this.flags |= RequestFlag.RollbackTag;
    this.#goesOn = false;
  }

  /** Any other answered it. */
  completed(): void {
    this.#goesOn = true;
  }

  /**
   * A CommandComplete with the tag of a COMMIT answered it. `offset`: where the message that it answers ends, as for `erred`;
   * `isPrepared`: it prepared its transaction.
   */
  committed(offset: number, isPrepared: boolean): void {
    this.flags |= RequestFlag.CommitTag;
    if (isPrepared) this.twoPhase ??= this.#firstHalf();
    if (offset === 0) return;
    this.#committedUntil = offset - this.startOffset;
    this.#flagsAtCommit = this.flags;
  }

  /**
   * Leaves out what was sent behind its last COMMIT, and ends it there, with this Sync. How many bytes that were; undefined:
   * no COMMIT is known, and nothing is left out.
   */
  cutBehindCommit(sync: Buffer): number | undefined {
    if (this.#buffer === undefined || this.#committedUntil === 0) return undefined;
    const end = REQUEST_HEADER_LENGTH + this.#committedUntil;
    const cut = this.#length - end;
    this.#length = end;
    this.append(sync, 0, sync.length);
    this.flags = this.#flagsAtCommit;
    this.sqlstate = '';
    this.ranUntil = -1;
    return cut;
  }

  /** A CancelRequest was sent for it. */
  cancelled(): void {
    if (this.#cancelledAt === 0) this.#cancelledAt = monotonicNow();
  }

  /**
   * Whether what it was part of was not committed, if it was the last: it erred, or was answered with the tag ROLLBACK, with
   * nothing behind that.
   */
  get hasFailed(): boolean {
    if ((this.flags & RequestFlag.Errored) !== 0) return true;
    return (this.flags & RequestFlag.RollbackTag) !== 0 && !this.#goesOn;
  }

  /** It ended a transaction block for good, or did a half of a two-phase commit. */
  get hasCommitted(): boolean {
    return (this.flags & RequestFlag.CommitTag) !== 0;
  }

  /** The half of a two-phase commit that it did. */
  get doneTwoPhase(): TwoPhase | undefined {
    return this.hasFailed && !this.hasCommitted ? undefined : this.twoPhase;
  }

  /** Gives the buffer back: it is not recorded any more. */
  discard(): void {
    if (this.#buffer !== undefined) this.#shelf.giveBuffer(this.#buffer);
    this.#buffer = undefined;
  }

  /** The same; nor does it need anything of an earlier one. */
  forget(registry: StatementRegistry): void {
    this.discard();
    if (this.unnamed !== undefined) registry.release(this.unnamed);
    this.unnamed = undefined;
  }

  /** Fills in the header. */
  complete(answer: RequestAnswer): void {
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    const bodyLength = this.#length - REQUEST_HEADER_LENGTH;
    const cancelled = this.#cancelledAt > 0 && this.sqlstate === '57014';
    const skipTo = bodyLength - SYNC_LENGTH;
    const skipFrom = (this.flags & RequestFlag.CopyIn) === 0 ? this.ranUntil : this.#behindData(buffer.bytes, skipTo);
    const skips = skipFrom >= 0 && skipFrom < skipTo;
    const { view } = buffer;
    view.setUint32(RequestOffset.Bytes, bodyLength, true);
    view.setUint32(RequestOffset.ThinkTime, microseconds(this.#thinkTime), true);
    view.setUint32(RequestOffset.SourceTime, microseconds(answer.answeredAt - this.sentAt), true);
    view.setFloat64(RequestOffset.SentSequence, this.sentSequence, true);
    view.setFloat64(RequestOffset.DoneSequence, answer.doneSequence, true);
    view.setUint8(RequestOffset.StatusBefore, answer.statusBefore);
    view.setUint8(RequestOffset.StatusAfter, answer.statusAfter);
    view.setUint16(RequestOffset.Flags, this.flags | (cancelled ? RequestFlag.Cancelled : 0), true);
    for (let i = 0; i < 5; i++) view.setUint8(RequestOffset.Sqlstate + i, this.sqlstate.charCodeAt(i) || 0);
    view.setUint32(RequestOffset.SkipFrom, skips ? skipFrom : 0, true);
    view.setUint32(RequestOffset.SkipTo, skips ? skipTo : 0, true);
    view.setUint32(RequestOffset.CancelAfter, cancelled ? microseconds(this.#cancelledAt - this.sentAt) : 0, true);
  }

  /** How much the source ran, with the data of the COPY that erred: they are what it failed on. */
  #behindData(bytes: Buffer, end: number): number {
    let at = this.ranUntil;
    while (at >= 0 && at < end) {
      const type = bytes[REQUEST_HEADER_LENGTH + at] ?? 0;
      if (!isPartOfCopy(type)) break;
      at += 1 + bytes.readUInt32BE(REQUEST_HEADER_LENGTH + at + 1);
      if (type === Frontend.CopyDone || type === Frontend.CopyFail) break;
    }
    return at;
  }

  /** Puts the digest of its answer behind it. To be called when it is complete. */
  addDigest(digest: AnswerDigest): void {
    const buffer = this.#room(DIGEST_LENGTH);
    if (buffer === undefined) return;
    digest.writeTo(buffer.bytes, this.#length);
    this.#length += DIGEST_LENGTH;
    buffer.view.setUint16(
      RequestOffset.Flags,
      buffer.view.getUint16(RequestOffset.Flags, true) | RequestFlag.Digest,
      true,
    );
  }

  /** The PREPARE TRANSACTION that stands among other statements of a message, as far as it is recorded. */
  #firstHalf(): TwoPhase | undefined {
    const bytes = this.#buffer?.bytes;
    if (bytes === undefined) return undefined;
    for (let at = REQUEST_HEADER_LENGTH; at + HEADER_LENGTH <= this.#length;) {
      const end = Math.min(at + 1 + bytes.readUInt32BE(at + 1), this.#length);
      const half = firstHalfAmong(bytes, at, end);
      if (half !== undefined) return half;
      at = end;
    }
    return undefined;
  }

  #room(more: number): RecordingBuffer | undefined {
    const buffer = this.#buffer;
    if (buffer === undefined || this.#length + more <= buffer.length) return buffer;
    const grown = RecordingBuffer.ofLength(Math.max(buffer.length * 2, this.#length + more));
    buffer.bytes.copy(grown.bytes, 0, 0, this.#length);
    this.#shelf.giveBuffer(buffer);
    this.#buffer = grown;
    return grown;
  }
}

function microseconds(milliseconds: number): number {
  return Math.min(Math.max(0, Math.round(milliseconds * 1000)), MAX_UINT32);
}
