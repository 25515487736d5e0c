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
