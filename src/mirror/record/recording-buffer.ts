import { freeMemory } from '../../util/free-memory.ts';

/** A stretch of a buffer. */
export interface Stretch {
  readonly buffer: RecordingBuffer;
  readonly start: number;
  readonly end: number;
}

/** A buffer to record into, with a view of the same bytes: numbers written by it cost no call each. */
export class RecordingBuffer {
  readonly bytes: Buffer;
  readonly view: DataView;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** `length` bytes, as they happen to be. */
  static ofLength(length: number): RecordingBuffer {
    return new RecordingBuffer(Buffer.allocUnsafeSlow(length));
  }

  get length(): number {
    return this.bytes.length;
  }

  /** Gives its memory back: nobody may look at it any more. */
  free(): void {
    freeMemory(this.bytes);
  }
}

/** Where recordings take their buffers, and give them back. */
export interface BufferShelf {
  /** One to record into, as long as most recordings need. */
  takeBuffer(): RecordingBuffer;
  giveBuffer(buffer: RecordingBuffer): void;
}

const KEPT = 64;
const BUFFER_BYTES = 4_096;
const LONGEST_KEPT_BYTES = 65_536;

/** Keeps some buffers for the next recordings. The memory of long ones, which few recordings need, is given back at once. */
export class KeptBuffers implements BufferShelf {
  readonly #buffers: RecordingBuffer[] = [];

  takeBuffer(): RecordingBuffer {
    return this.#buffers.pop() ?? RecordingBuffer.ofLength(BUFFER_BYTES);
  }

  giveBuffer(buffer: RecordingBuffer): void {
    if (buffer.length > LONGEST_KEPT_BYTES) buffer.free();
    else if (this.#buffers.length < KEPT) this.#buffers.push(buffer);
  }
}
