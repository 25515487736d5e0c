import { FRAME_HEADER_LENGTH, FrameType, RECORD_STREAM_VERSION, TRANSACTION_HEADER_LENGTH } from './record-stream.ts';

/** What precedes the requests in a Transaction frame; the fields are described in `record-stream.ts`. */
export interface TransactionHeader {
  readonly slot: number;
  readonly client: number;
  readonly settings: number;
  readonly unnamedStatement: number;
  readonly flags: number;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly targets: readonly number[];
  readonly requestCount: number;
}

const FIRST_BATCH_BYTES = 65_536;
/** A batch that grew beyond this for one large transaction is not kept for the next. */
const KEPT_BATCH_BYTES = 1_048_576;

/**
 * Builds record stream frames into one batch. On the client path: appending copies bytes and allocates nothing while
 * they fit. Whoever sends a batch takes it, and gives it back once the kernel has it.
 */
export class RecordStreamWriter {
  #batch = Buffer.allocUnsafeSlow(FIRST_BATCH_BYTES);
  #spare: Buffer<ArrayBuffer> | undefined;
  #at = 0;

  /** Bytes appended and not taken. */
  get length(): number {
    return this.#at;
  }

  hello(generation: number): void {
    const at = this.#begin(FrameType.Hello, 8);
    this.#batch.writeUInt32LE(RECORD_STREAM_VERSION, at);
    this.#batch.writeUInt32LE(generation, at + 4);
  }

  /** `definition`: what follows the name in a Parse message. */
  statement(id: number, name: string, definition: Uint8Array): void {
    const nameLength = Buffer.byteLength(name);
    const at = this.#begin(FrameType.Statement, 8 + nameLength + definition.length);
    this.#batch.writeUInt32LE(id, at);
    const end = this.#string(name, nameLength, at + 4);
    this.#batch.set(definition, end);
  }

  forgetStatement(id: number): void {
    this.#id(FrameType.ForgetStatement, id);
  }

  settings(id: number, settings: ReadonlyMap<string, string>): void {
    let length = 6;
    for (const [name, value] of settings) length += 8 + Buffer.byteLength(name) + Buffer.byteLength(value);
    let at = this.#begin(FrameType.Settings, length);
    at = this.#batch.writeUInt32LE(id, at);
    at = this.#batch.writeUInt16LE(settings.size, at);
    for (const [name, value] of settings) {
      at = this.#string(name, Buffer.byteLength(name), at);
      at = this.#string(value, Buffer.byteLength(value), at);
    }
  }

  forgetSettings(id: number): void {
    this.#id(FrameType.ForgetSettings, id);
  }

  client(id: number, database: string, user: string): void {
    const databaseLength = Buffer.byteLength(database);
    const userLength = Buffer.byteLength(user);
    let at = this.#begin(FrameType.Client, 12 + databaseLength + userLength);
    at = this.#batch.writeUInt32LE(id, at);
    at = this.#string(database, databaseLength, at);
    this.#string(user, userLength, at);
  }

  clientGone(id: number): void {
    this.#id(FrameType.ClientGone, id);
  }

  missed(target: number, change: number): void {
    const at = this.#begin(FrameType.Missed, 5);
    this.#batch.writeUInt8(change, this.#batch.writeUInt32LE(target, at));
  }

  toldUntil(sequence: number): void {
    this.#batch.writeDoubleLE(sequence, this.#begin(FrameType.ToldUntil, 8));
  }

  /** `recording`: the requests as the stream carries them, headers filled in, in its first `length` bytes. */
  transaction(header: TransactionHeader, recording: Uint8Array, length = recording.length): void {
    this.transactionInParts(header, [length === recording.length ? recording : recording.subarray(0, length)], length);
  }

  /** The same with the requests in several buffers, `length` bytes in all. */
  transactionInParts(header: TransactionHeader, recording: readonly Uint8Array[], length: number): void {
    const targets = header.targets;
    const start = this.#begin(
      FrameType.Transaction,
      TRANSACTION_HEADER_LENGTH - FRAME_HEADER_LENGTH + 4 * targets.length + 4 + length,
    );
    const batch = this.#batch;
    let at = batch.writeUInt32LE(header.slot, start);
    at = batch.writeUInt32LE(header.client, at);
    at = batch.writeUInt32LE(header.settings, at);
    at = batch.writeUInt32LE(header.unnamedStatement, at);
    at = batch.writeUInt8(header.flags, at);
    at = batch.writeDoubleLE(header.startedAt, at);
    at = batch.writeDoubleLE(header.endedAt, at);
    at = batch.writeUInt16LE(targets.length, at);
    for (let i = 0; i < targets.length; i++) at = batch.writeUInt32LE(targets[i] ?? 0, at);
    at = batch.writeUInt32LE(header.requestCount, at);
    for (const part of recording) {
      batch.set(part, at);
      at += part.length;
    }
  }

  /** The frames appended since the last time. They are the caller's until it gives them back with `recycle()`. */
  take(): Buffer {
    const batch = this.#batch.subarray(0, this.#at);
    this.#batch = this.#spare ?? Buffer.allocUnsafeSlow(FIRST_BATCH_BYTES);
    this.#spare = undefined;
    this.#at = 0;
    return batch;
  }

  /** Gives back a batch that was taken and is no longer read, to be filled again. */
  recycle(batch: Buffer): void {
    if (batch.buffer.byteLength <= KEPT_BATCH_BYTES) this.#spare = Buffer.from(batch.buffer as ArrayBuffer);
  }

  #id(type: number, id: number): void {
    this.#batch.writeUInt32LE(id, this.#begin(type, 4));
  }

  /** Writes a frame's header; the offset of its body. */
  #begin(type: number, bodyLength: number): number {
    const start = this.#at;
    const end = start + FRAME_HEADER_LENGTH + bodyLength;
    if (end > this.#batch.length) this.#grow(end);
    this.#batch.writeUInt32LE(end - start, start);
    this.#batch[start + 4] = type;
    this.#at = end;
    return start + FRAME_HEADER_LENGTH;
  }

  #string(text: string, length: number, at: number): number {
    this.#batch.writeUInt32LE(length, at);
    this.#batch.write(text, at + 4, length, 'utf8');
    return at + 4 + length;
  }

  #grow(needed: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#batch.length * 2));
    this.#batch.copy(grown, 0, 0, this.#at);
    this.#batch = grown;
  }
}
