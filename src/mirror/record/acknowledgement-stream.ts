import { FrameAssembler } from './frame-assembler.ts';
import { FRAME_HEADER_LENGTH, FrameType, RecordStreamError } from './record-stream.ts';
import type { DropReason, Outcome, TargetState } from './record-stream.ts';

const ACKNOWLEDGEMENT_LENGTH = FRAME_HEADER_LENGTH + 4 + 4 + 3;
const TARGET_STATE_LENGTH = FRAME_HEADER_LENGTH + 5;
const FIRST_BATCH_BYTES = 4096;
/** As many SQLSTATEs as the frame's count can name. */
const MAX_SQLSTATES = 255;

/** Builds what the mirror process answers to one pooler thread, in batches. */
export class AcknowledgementWriter {
  #batch = Buffer.allocUnsafeSlow(FIRST_BATCH_BYTES);
  #at = 0;

  /** Bytes appended and not taken. */
  get length(): number {
    return this.#at;
  }

  /** `sqlstates`: of the requests that erred on the mirror and not on the source. */
  acknowledge(
    slot: number,
    target: number,
    outcome: Outcome,
    reason: DropReason | 0,
    sqlstates: readonly string[],
  ): void {
    const count = Math.min(sqlstates.length, MAX_SQLSTATES);
    let at = this.#begin(FrameType.Acknowledgement, ACKNOWLEDGEMENT_LENGTH + 5 * count);
    at = this.#batch.writeUInt32LE(slot, at);
    at = this.#batch.writeUInt32LE(target, at);
    this.#batch[at++] = outcome;
    this.#batch[at++] = reason;
    this.#batch[at++] = count;
    for (let i = 0; i < count; i++, at += 5) this.#batch.write((sqlstates[i] ?? '').padEnd(5), at, 5, 'latin1');
  }

  targetState(target: number, state: TargetState): void {
    const at = this.#begin(FrameType.TargetState, TARGET_STATE_LENGTH);
    this.#batch.writeUInt32LE(target, at);
    this.#batch[at + 4] = state;
  }

  /** The frames appended since the last time, the caller's to keep. */
  take(): Buffer {
    return Buffer.from(this.#batch.subarray(0, this.#reset()));
  }

  #reset(): number {
    const length = this.#at;
    this.#at = 0;
    return length;
  }

  #begin(type: number, length: number): number {
    const start = this.#at;
    if (start + length > this.#batch.length) {
      const grown = Buffer.allocUnsafeSlow(this.#batch.length * 2 + length);
      this.#batch.copy(grown, 0, 0, start);
      this.#batch = grown;
    }
    this.#batch.writeUInt32LE(length, start);
    this.#batch[start + 4] = type;
    this.#at = start + length;
    return start + FRAME_HEADER_LENGTH;
  }
}

/** Who is told of the mirror process's answers. */
export interface AcknowledgementHandler {
  /** `sqlstates` is the same empty array every time where there are none. */
  acknowledged(
    slot: number,
    target: number,
    outcome: Outcome,
    reason: DropReason | 0,
    sqlstates: readonly string[],
  ): void;
  targetState(target: number, state: TargetState): void;
}

const TYPES: ReadonlySet<number> = new Set([FrameType.Acknowledgement, FrameType.TargetState]);
const NONE: readonly string[] = [];

/** Reads the mirror process's answers out of the chunks of a connection. */
export class AcknowledgementReader {
  readonly #frames: FrameAssembler;
  readonly #handler: AcknowledgementHandler;

  constructor(handler: AcknowledgementHandler) {
    this.#handler = handler;
    this.#frames = new FrameAssembler(TYPES, (bytes, start, end) => this.#frame(bytes, start, end));
  }

  /** Tells the handler of every frame that became whole. Throws RecordStreamError for what is malformed. */
  push(chunk: Buffer): void {
    this.#frames.push(chunk);
  }

  #frame(bytes: Buffer, start: number, end: number): void {
    const type = bytes[start + 4];
    const body = start + FRAME_HEADER_LENGTH;
    if (type === FrameType.Acknowledgement) return this.#acknowledgement(bytes, body, end);
    if (end - start !== TARGET_STATE_LENGTH) throw new RecordStreamError('target state of a wrong length');
    this.#handler.targetState(bytes.readUInt32LE(body), oneOf(bytes[body + 4], 1, 3) as TargetState);
  }

  #acknowledgement(bytes: Buffer, body: number, end: number): void {
    const count = bytes[body + 10] ?? 0;
    if (end - body !== ACKNOWLEDGEMENT_LENGTH - FRAME_HEADER_LENGTH + 5 * count) {
      throw new RecordStreamError('acknowledgement of a wrong length');
    }
    let sqlstates = NONE;
    if (count > 0) {
      sqlstates = Array.from({ length: count }, (_, i) =>
        bytes.toString('latin1', body + 11 + 5 * i, body + 16 + 5 * i),
      );
    }
    const outcome = oneOf(bytes[body + 8], 1, 4) as Outcome;
    const reason = oneOf(bytes[body + 9], 0, 8) as DropReason | 0;
    this.#handler.acknowledged(bytes.readUInt32LE(body), bytes.readUInt32LE(body + 4), outcome, reason, sqlstates);
  }
}

function oneOf(value: number | undefined, first: number, last: number): number {
  if (value === undefined || value < first || value > last) throw new RecordStreamError(`value ${value}`);
  return value;
}
