import { freeMemory } from '../../util/free-memory.ts';
import { RecordingBuffer } from './recording-buffer.ts';
import type { Stretch } from './recording-buffer.ts';
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
  #batch = RecordingBuffer.ofLength(FIRST_BATCH_BYTES);
  #spare: RecordingBuffer | undefined;
  #at = 0;

  /** Bytes appended and not taken. */
  get length(): number {
    return this.#at;
  }

  hello(generation: number): void {
    const at = this.#begin(FrameType.Hello, 8);
    this.#uint32(RECORD_STREAM_VERSION, at);
    this.#uint32(generation, at + 4);
  }

  /** `definition`: what follows the name in a Parse message. */
  statement(id: number, name: string, definition: Uint8Array): void {
    const nameLength = Buffer.byteLength(name);
    const at = this.#begin(FrameType.Statement, 8 + nameLength + definition.length);
    const end = this.#string(name, nameLength, this.#uint32(id, at));
    this.#batch.bytes.set(definition, end);
  }

  forgetStatement(id: number): void {
    this.#id(FrameType.ForgetStatement, id);
  }

  settings(id: number, settings: ReadonlyMap<string, string>): void {
    let length = 6;
    for (const [name, value] of settings) length += 8 + Buffer.byteLength(name) + Buffer.byteLength(value);
    let at = this.#uint32(id, this.#begin(FrameType.Settings, length));
    at = this.#batch.bytes.writeUInt16LE(settings.size, at);
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
    let at = this.#uint32(id, this.#begin(FrameType.Client, 12 + databaseLength + userLength));
    at = this.#string(database, databaseLength, at);
    this.#string(user, userLength, at);
  }

  clientGone(id: number): void {
    this.#id(FrameType.ClientGone, id);
  }

  missed(target: number, change: number): void {
    const at = this.#uint32(target, this.#begin(FrameType.Missed, 5));
    this.#batch.view.setUint8(at, change);
  }

  sessionLost(client: number, target: number): void {
    this.#uint32(target, this.#uint32(client, this.#begin(FrameType.SessionLost, 8)));
  }

  toldUntil(sequence: number): void {
    const at = this.#begin(FrameType.ToldUntil, 8);
    this.#batch.view.setFloat64(at, sequence, true);
  }

  /** `recording`: the requests as the stream carries them, headers filled in, in its first `length` bytes. */
  transaction(header: TransactionHeader, recording: Uint8Array, length = recording.length): void {
    const at = this.#transaction(header, length);
    this.#batch.bytes.set(length === recording.length ? recording : recording.subarray(0, length), at);
  }

  /** The same with the requests in several stretches, `length` bytes in all. */
  transactionInParts(header: TransactionHeader, recording: readonly Stretch[], length: number): void {
    let at = this.#transaction(header, length);
    const { bytes } = this.#batch;
    for (const { buffer, start, end } of recording) at += buffer.bytes.copy(bytes, at, start, end);
  }

  /** The frames appended since the last time. They are the caller's until it gives them back with `recycle()`. */
  take(): Buffer {
    const batch = this.#batch.bytes.subarray(0, this.#at);
    this.#batch = this.#spare ?? RecordingBuffer.ofLength(FIRST_BATCH_BYTES);
    this.#spare = undefined;
    this.#at = 0;
    return batch;
  }

  /** Gives back a batch that was taken and is no longer read, to be filled again. */
  recycle(batch: Buffer): void {
    if (batch.buffer.byteLength > KEPT_BATCH_BYTES) freeMemory(batch);
    else this.#spare = new RecordingBuffer(Buffer.from(batch.buffer as ArrayBuffer));
  }

  /** Begins a transaction's frame; where its requests go. */
  #transaction(header: TransactionHeader, length: number): number {
    const { targets } = header;
    const fixed = TRANSACTION_HEADER_LENGTH - FRAME_HEADER_LENGTH;
    const start = this.#begin(FrameType.Transaction, fixed + 4 * targets.length + 4 + length);
    const { view } = this.#batch;
    view.setUint32(start, header.slot, true);
    view.setUint32(start + 4, header.client, true);
    view.setUint32(start + 8, header.settings, true);
    view.setUint32(start + 12, header.unnamedStatement, true);
    view.setUint8(start + 16, header.flags);
    view.setFloat64(start + 17, header.startedAt, true);
    view.setFloat64(start + 25, header.endedAt, true);
    view.setUint16(start + 33, targets.length, true);
    let at = start + fixed;
    for (let i = 0; i < targets.length; i++, at += 4) view.setUint32(at, targets[i] ?? 0, true);
    return this.#uint32(header.requestCount, at);
  }

  #id(type: number, id: number): void {
    this.#uint32(id, this.#begin(type, 4));
  }

  /** Writes a frame's header; the offset of its body. */
  #begin(type: number, bodyLength: number): number {
    const start = this.#at;
    const end = start + FRAME_HEADER_LENGTH + bodyLength;
    if (end > this.#batch.length) this.#grow(end);
    const { view } = this.#batch;
    view.setUint32(start, end - start, true);
    view.setUint8(start + 4, type);
    this.#at = end;
    return start + FRAME_HEADER_LENGTH;
  }

  /** Where it ends. */
  #uint32(value: number, at: number): number {
    this.#batch.view.setUint32(at, value, true);
    return at + 4;
  }

  #string(text: string, length: number, at: number): number {
    this.#batch.bytes.write(text, this.#uint32(length, at), length, 'utf8');
    return at + 4 + length;
  }

  #grow(needed: number): void {
    const grown = RecordingBuffer.ofLength(Math.max(needed, this.#batch.length * 2));
    this.#batch.bytes.copy(grown.bytes, 0, 0, this.#at);
    this.#batch.free();
    this.#batch = grown;
  }
}
