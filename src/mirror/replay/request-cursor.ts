import { REQUEST_HEADER_LENGTH, RequestFlag, RequestOffset } from '../record/record-stream.ts';
import { DIGEST_LENGTH } from '../compare/digest-format.ts';
import { Frontend, TransactionStatus } from '../../protocol/message-types.ts';
import { splitStatements } from '../../session/statement-text.ts';

const NOTHING = Buffer.alloc(0);

/**
 * Stands on one request of a recording and reads its header in place. The recording was checked when it was read off
 * the record stream: lengths are trusted here.
 */
export class RequestCursor {
  bytes: Buffer = NOTHING;
  /** Index of the request it stands on; -1 before the first. */
  index = -1;
  /** Offset of the request's fixed header. */
  #header = 0;
  /** Offsets of the request's messages. */
  start = 0;
  end = 0;

  /** Stands before the first request of a recording. */
  reset(recording: Buffer): void {
    this.bytes = recording;
    this.index = -1;
    this.#header = 0;
    this.start = 0;
    this.end = 0;
  }

  /** Lets go of the recording. */
  clear(): void {
    this.reset(NOTHING);
  }

  /** Moves on; false behind the last request. */
  next(): boolean {
    const digested = this.index >= 0 && (this.flags & RequestFlag.Digest) !== 0;
    const header = this.end + (digested ? DIGEST_LENGTH : 0);
    if (header >= this.bytes.length) return false;
    this.#header = header;
    this.index++;
    this.start = header + REQUEST_HEADER_LENGTH;
    this.end = this.start + this.bytes.readUInt32LE(header + RequestOffset.Bytes);
    return true;
  }

  /** The digest of the source's answer, where there is one. */
  get digest(): Buffer | undefined {
    if (this.index < 0 || (this.flags & RequestFlag.Digest) === 0) return undefined;
    return this.bytes.subarray(this.end, this.end + DIGEST_LENGTH);
  }

  /** The source was asked to cancel it, and did. */
  get isCancelled(): boolean {
    return (this.flags & RequestFlag.Cancelled) !== 0;
  }

  /** The event counter when it was sent to the source. */
  get sentSequence(): number {
    return this.bytes.readDoubleLE(this.#header + RequestOffset.SentSequence);
  }

  /** The event counter when the source's answer was complete. */
  get doneSequence(): number {
    return this.bytes.readDoubleLE(this.#header + RequestOffset.DoneSequence);
  }

  get flags(): number {
    return this.bytes.readUInt16LE(this.#header + RequestOffset.Flags);
  }

  get isSimple(): boolean {
    return (this.flags & RequestFlag.Simple) !== 0;
  }

  get errored(): boolean {
    return (this.flags & RequestFlag.Errored) !== 0;
  }

  /** It committed a transaction block, or did a half of a two-phase commit, whatever came behind that. */
  get committed(): boolean {
    return (this.flags & RequestFlag.CommitTag) !== 0;
  }

  /** It ended a block with its work kept: COMMIT, END, PREPARE TRANSACTION. */
  get kept(): boolean {
    if (this.committed) return true;
    const ended = this.statusBefore !== TransactionStatus.Idle && this.statusAfter === TransactionStatus.Idle;
    return ended && (this.flags & (RequestFlag.Errored | RequestFlag.RollbackTag)) === 0;
  }

  /** It begins with a Query, with the data of a COPY behind it or without. */
  get isQuery(): boolean {
    return this.bytes[this.start] === Frontend.Query;
  }

  /** It is one statement and no more. */
  get isOneStatement(): boolean {
    if (this.isQuery) return splitStatements(this.queryText(this.start, this.messageEnd(this.start))).length < 2;
    let executed = 0;
    for (let at = this.start; at < this.end; at = this.messageEnd(at))
      if (this.bytes[at] === Frontend.Execute) executed++;
    return executed < 2;
  }

  /** Something of it was rolled back, the block perhaps, and nothing erred. */
  get hasRolledBack(): boolean {
    return !this.errored && (this.flags & RequestFlag.RollbackTag) !== 0;
  }

  /** Microseconds. */
  get thinkTime(): number {
    return this.bytes.readUInt32LE(this.#header + RequestOffset.ThinkTime);
  }

  /** Microseconds. */
  get sourceTime(): number {
    return this.bytes.readUInt32LE(this.#header + RequestOffset.SourceTime);
  }

  /** Microseconds from the request's start to its CancelRequest. */
  get cancelAfter(): number {
    return this.bytes.readUInt32LE(this.#header + RequestOffset.CancelAfter);
  }

  get statusBefore(): number {
    return this.bytes[this.#header + RequestOffset.StatusBefore] ?? TransactionStatus.Idle;
  }

  get statusAfter(): number {
    return this.bytes[this.#header + RequestOffset.StatusAfter] ?? TransactionStatus.Idle;
  }

  /** SQLSTATE of the source's first error. */
  get sqlstate(): string {
    const at = this.#header + RequestOffset.Sqlstate;
    return this.bytes.toString('latin1', at, at + 5);
  }

  /** Range of the messages that the source did not run, as offsets into the recording. */
  get skipFrom(): number {
    return this.start + this.bytes.readUInt32LE(this.#header + RequestOffset.SkipFrom);
  }

  get skipTo(): number {
    return this.start + this.bytes.readUInt32LE(this.#header + RequestOffset.SkipTo);
  }

  /** Text of the Query message at `at`, its bytes as characters (latin1). */
  queryText(at: number, end: number): string {
    return this.bytes.toString('latin1', at + 5, this.bytes[end - 1] === 0 ? end - 1 : end);
  }

  /** Where the message that begins at `at` ends. */
  messageEnd(at: number): number {
    return at + 1 + this.bytes.readUInt32BE(at + 1);
  }
}
