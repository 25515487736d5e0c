import { FRAME_HEADER_LENGTH, RecordStreamError } from './record-stream.ts';

/** Longest frame taken: a transaction of PostgreSQL's longest message, and what surrounds it. */
const MAX_FRAME_LENGTH = 0x7fff_ffff;

/**
 * Cuts a stream into frames. A frame that lies whole in a chunk is handed on where it lies; one that does not is
 * collected from its chunks and joined once, so that a long one is not copied again and again. Nothing is allocated
 * from a declared length.
 */
export class FrameAssembler {
  readonly #types: ReadonlySet<number>;
  readonly #each: (bytes: Buffer, start: number, end: number) => void;
  #parts: Buffer[] = [];
  #have = 0;
  /** Length of the frame being collected; 0 while not even its length is there. */
  #wanted = 0;

  /** `types`: those that may come; what claims to be another is not waited for. `each` gets the whole frames. */
  constructor(types: ReadonlySet<number>, each: (bytes: Buffer, start: number, end: number) => void) {
    this.#types = types;
    this.#each = each;
  }

  /** Throws RecordStreamError for a length or a type that cannot be. */
  push(chunk: Buffer): void {
    if (this.#have === 0) {
      this.#walk(chunk);
      return;
    }
    this.#parts.push(chunk);
    this.#have += chunk.length;
    if (this.#have < (this.#wanted || FRAME_HEADER_LENGTH)) return;
    const bytes = Buffer.concat(this.#parts, this.#have);
    this.#parts = [];
    this.#have = 0;
    this.#wanted = 0;
    this.#walk(bytes);
  }

  #walk(bytes: Buffer): void {
    let at = 0;
    while (at + FRAME_HEADER_LENGTH <= bytes.length) {
      const length = bytes.readUInt32LE(at);
      if (length < FRAME_HEADER_LENGTH || length > MAX_FRAME_LENGTH) {
        throw new RecordStreamError(`frame length ${length}`);
      }
      const type = bytes[at + 4] ?? 0;
      if (!this.#types.has(type)) throw new RecordStreamError(`unknown frame type ${type}`);
      if (at + length > bytes.length) {
        this.#wanted = length;
        break;
      }
      this.#each(bytes, at, at + length);
      at += length;
    }
    if (at === bytes.length) return;
    this.#parts = [at === 0 ? bytes : bytes.subarray(at)];
    this.#have = bytes.length - at;
  }
}
