import type { PreparedText, StatementRegistry } from '../../session/statement-names.ts';
import { DIGEST_LENGTH } from '../compare/digest-format.ts';
import type { RecordedTexts } from './change-notes.ts';
import { REQUEST_HEADER_LENGTH, RequestFlag, RequestOffset } from './record-stream.ts';
import { RecordingBuffer } from './recording-buffer.ts';
import type { BufferShelf, Stretch } from './recording-buffer.ts';
import type { RequestRecording } from './request-recording.ts';
import type { TwoPhase } from './two-phase.ts';

/** Recordings up to this length are moved together; longer ones fill their own buffers well enough. */
const SHORT = 2_048;
/** Buffers to move them to grow with the transaction, up to this. */
const CHUNK_BYTES = 65_536;

/** Where among them the last one stands that committed a block, and that was not the end. */
interface Commit {
  readonly count: number;
  readonly length: number;
  /** Parts before it that are closed, and bytes of the one that is not. */
  readonly parts: number;
  readonly open: number;
}

/**
 * The requests of one transaction that have been answered, as the record stream carries them. A request is recorded into
 * a buffer of its own; a block may have a great many short ones, and is not to hold a buffer for each.
 */
export class AnsweredRequests implements RecordedTexts {
  readonly #shelf: BufferShelf;
  readonly #registry: StatementRegistry;
  readonly #parts: Stretch[] = [];
  /** Everything that the parts lie in, but for `#kept`. */
  readonly #chunks: RecordingBuffer[] = [];
  readonly #kept: RequestRecording[] = [];
  /** Of the last chunk: what lies from here to there is not in a part yet. */
  #from = 0;
  #to = 0;
  readonly #unnamed: PreparedText[] = [];
  /** Bytes recorded. */
  length = 0;
  /** How many there are. */
  count = 0;
  /** One of them committed a block, or the last what it did. */
  hasCommitted = false;
  #lastCommit: Commit | undefined;
  /** None of them was left out. */
  isWhole = true;
  /** The half of a two-phase commit that was done by one of them. */
  twoPhase: TwoPhase | undefined;

  constructor(shelf: BufferShelf, registry: StatementRegistry) {
    this.#shelf = shelf;
    this.#registry = registry;
  }

  /** The unnamed statement of an earlier transaction that they need. */
  get unnamed(): PreparedText | undefined {
    return this.#unnamed[0];
  }

  get unnamedTexts(): readonly PreparedText[] {
    return this.#unnamed;
  }

  /** `isLast`: the transaction has ended with it. */
  add(request: RequestRecording, isLast: boolean): void {
    this.twoPhase ??= request.doneTwoPhase;
    if (request.unnamed !== undefined) this.#unnamed.push(request.unnamed);
    request.unnamed = undefined;
    this.#add(request, isLast);
    if (isLast) this.hasCommitted ||= !request.hasFailed;
    if (!request.hasCommitted) return;
    this.hasCommitted = true;
    if (isLast) return;
    const { count, length } = this;
    this.#lastCommit = { count, length, parts: this.#parts.length, open: this.#to - this.#from };
  }

  #add(request: RequestRecording, isLast: boolean): void {
    const { whole } = request;
    if (whole === undefined) {
      this.isWhole = false;
      return;
    }
    this.count++;
    this.length += whole.end;
    if (isLast || whole.end > SHORT) {
      this.#closePart();
      this.#parts.push(whole);
      this.#kept.push(request);
      return;
    }
    const chunk = this.#room(whole.end);
    this.#to += whole.buffer.bytes.copy(chunk.bytes, this.#to, 0, whole.end);
    request.discard();
  }

  /** What was recorded, in order; valid until `clear`. */
  recording(): readonly Stretch[] {
    this.#closePart();
    return this.#parts;
  }

  /** The messages of what was recorded, in order, each with the bytes that it lies in. */
  *messages(): Generator<{ readonly bytes: Buffer; readonly start: number; readonly end: number }> {
    for (const { buffer, start, end } of this.recording()) {
      const { bytes } = buffer;
      for (let header = start; header < end;) {
        let at = header + REQUEST_HEADER_LENGTH;
        const behind = at + bytes.readUInt32LE(header + RequestOffset.Bytes);
        while (at < behind) {
          const messageEnd = at + 1 + bytes.readUInt32BE(at + 1);
          yield { bytes, start: at, end: messageEnd };
          at = messageEnd;
        }
        const isDigested = (bytes.readUInt16LE(header + RequestOffset.Flags) & RequestFlag.Digest) !== 0;
        header = behind + (isDigested ? DIGEST_LENGTH : 0);
      }
    }
  }

  /**
   * Leaves out what was answered behind the last commit of a block. False: no block was committed, or not all of it is
   * there, and nothing is left out.
   */
  cutBehindCommit(): boolean {
    const commit = this.#lastCommit;
    if (commit === undefined || !this.isWhole) return false;
    this.#closePart();
    const cut = this.#parts[commit.parts];
    while (this.#parts.length > commit.parts) this.#parts.pop();
    if (cut !== undefined && commit.open > 0) this.#parts.push({ ...cut, end: cut.start + commit.open });
    ({ count: this.count, length: this.length } = commit);
    return true;
  }

  /** Gives everything back. */
  clear(): void {
    // Emptied one by one: to set an array's length to 0 costs it the memory for the next transaction's.
    for (let request = this.#kept.pop(); request !== undefined; request = this.#kept.pop()) request.discard();
    for (let chunk = this.#chunks.pop(); chunk !== undefined; chunk = this.#chunks.pop()) this.#shelf.giveBuffer(chunk);
    for (let text = this.#unnamed.pop(); text !== undefined; text = this.#unnamed.pop()) this.#registry.release(text);
    while (this.#parts.length > 0) this.#parts.pop();
    this.#from = this.#to = this.length = this.count = 0;
    this.#lastCommit = undefined;
    this.hasCommitted = false;
    this.isWhole = true;
    this.twoPhase = undefined;
  }

  #room(more: number): RecordingBuffer {
    const last = this.#chunks.at(-1);
    if (last !== undefined && this.#to + more <= last.length) return last;
    this.#closePart();
    const chunk =
      last === undefined ? this.#shelf.takeBuffer() : RecordingBuffer.ofLength(Math.min(this.length * 2, CHUNK_BYTES));
    this.#chunks.push(chunk);
    this.#from = this.#to = 0;
    return chunk;
  }

  #closePart(): void {
    if (this.#to === this.#from) return;
    const buffer = this.#chunks.at(-1);
    if (buffer !== undefined) this.#parts.push({ buffer, start: this.#from, end: this.#to });
    this.#from = this.#to;
  }
}
