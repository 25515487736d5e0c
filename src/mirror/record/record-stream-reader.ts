import { DIGEST_LENGTH } from '../compare/digest-format.ts';
import { FrameAssembler } from './frame-assembler.ts';
import {
  FrameType,
  RecordStreamError,
  REQUEST_HEADER_LENGTH,
  RequestFlag,
  RequestOffset,
  TRANSACTION_HEADER_LENGTH,
} from './record-stream.ts';
import type { TransactionHeader } from './record-stream-writer.ts';

/** A transaction off the stream: its header, and its requests as they were recorded. */
export interface RecordedTransaction extends TransactionHeader {
  /** The requests: header and messages, one behind the other, every length checked. */
  recording: Buffer;
}

/** Who is told of the frames. Buffers are views of the chunk pushed, except where `recording` was copied since. */
export interface RecordStreamHandler {
  hello(version: number, generation: number): void;
  statement(id: number, name: string, definition: Buffer): void;
  forgetStatement(id: number): void;
  settings(id: number, settings: Map<string, string>): void;
  forgetSettings(id: number): void;
  client(id: number, database: string, user: string): void;
  clientGone(id: number): void;
  /** A transaction that ended on the source did not come for this target; what it may have changed (`change-notes.ts`). */
  missed?(target: number, change: number): void;
  /** What a client left in its session on this target lacks a transaction that will not come; no other needs it. */
  sessionLost?(client: number, target: number): void;
  /** Of all that ended on the source before this number of its event counter, nothing more will come. */
  toldUntil?(sequence: number): void;
  transaction(transaction: RecordedTransaction): void;
}

const TYPES: ReadonlySet<number> = new Set([
  FrameType.Hello,
  FrameType.Statement,
  FrameType.ForgetStatement,
  FrameType.Settings,
  FrameType.ForgetSettings,
  FrameType.Client,
  FrameType.ClientGone,
  FrameType.Transaction,
  FrameType.Missed,
  FrameType.ToldUntil,
  FrameType.SessionLost,
]);

/** Reads a record stream out of the chunks of a connection. */
export class RecordStreamReader {
  readonly #frames: FrameAssembler;
  readonly #handler: RecordStreamHandler;

  constructor(handler: RecordStreamHandler) {
    this.#handler = handler;
    this.#frames = new FrameAssembler(TYPES, (bytes, start, end) => this.#frame(bytes, start, end));
  }

  /** Tells the handler of every frame that became whole. Throws RecordStreamError for what is malformed. */
  push(chunk: Buffer): void {
    this.#frames.push(chunk);
  }

  #frame(bytes: Buffer, start: number, end: number): void {
    const type = bytes[start + 4];
    if (type === FrameType.Transaction) {
      this.#handler.transaction(readTransaction(bytes, start, end));
      return;
    }
    this.#control(type, new FieldReader(bytes, start + 5, end));
  }

  #control(type: number | undefined, fields: FieldReader): void {
    const handler = this.#handler;
    switch (type) {
      case FrameType.Hello:
        return handler.hello(fields.uint32(), fields.uint32());
      case FrameType.Statement:
        return handler.statement(fields.uint32(), fields.string(), fields.rest());
      case FrameType.ForgetStatement:
        return handler.forgetStatement(fields.uint32());
      case FrameType.Settings:
        return handler.settings(fields.uint32(), readSettings(fields));
      case FrameType.ForgetSettings:
        return handler.forgetSettings(fields.uint32());
      case FrameType.Client:
        return handler.client(fields.uint32(), fields.string(), fields.string());
      case FrameType.ClientGone:
        return handler.clientGone(fields.uint32());
      case FrameType.Missed:
        return handler.missed?.(fields.uint32(), fields.uint8());
      case FrameType.ToldUntil:
        return handler.toldUntil?.(fields.double());
      case FrameType.SessionLost:
        return handler.sessionLost?.(fields.uint32(), fields.uint32());
      default:
        throw new RecordStreamError(`frame type ${type} without a reader`);
    }
  }
}

function readSettings(fields: FieldReader): Map<string, string> {
  const settings = new Map<string, string>();
  const count = fields.uint16();
  for (let i = 0; i < count; i++) {
    const name = fields.string();
    settings.set(name, fields.string());
  }
  return settings;
}

function readTransaction(bytes: Buffer, start: number, end: number): RecordedTransaction {
  if (start + TRANSACTION_HEADER_LENGTH + 4 > end) throw new RecordStreamError('transaction frame too short');
  const body = start + 5;
  const targetCount = bytes.readUInt16LE(body + 33);
  let at = body + 35;
  if (at + 4 * targetCount + 4 > end) throw new RecordStreamError('targets reach beyond their frame');
  const targets: number[] = [];
  for (let i = 0; i < targetCount; i++, at += 4) targets.push(bytes.readUInt32LE(at));
  const requestCount = bytes.readUInt32LE(at);
  at += 4;
  checkRequests(bytes, at, end, requestCount);
  return {
    slot: bytes.readUInt32LE(body),
    client: bytes.readUInt32LE(body + 4),
    settings: bytes.readUInt32LE(body + 8),
    unnamedStatement: bytes.readUInt32LE(body + 12),
    flags: bytes[body + 16] ?? 0,
    startedAt: bytes.readDoubleLE(body + 17),
    endedAt: bytes.readDoubleLE(body + 25),
    targets,
    requestCount,
    recording: bytes.subarray(at, end),
  };
}

/** The requests must fill the frame exactly, each with whole messages, and skip a range within itself. */
function checkRequests(bytes: Buffer, start: number, end: number, count: number): void {
  let at = start;
  for (let i = 0; i < count; i++) {
    const messages = at + REQUEST_HEADER_LENGTH;
    if (messages > end) throw new RecordStreamError('request header reaches beyond its frame');
    const length = bytes.readUInt32LE(at + RequestOffset.Bytes);
    if (messages + length > end) throw new RecordStreamError('request reaches beyond its frame');
    const skipFrom = bytes.readUInt32LE(at + RequestOffset.SkipFrom);
    const skipTo = bytes.readUInt32LE(at + RequestOffset.SkipTo);
    if (skipFrom > skipTo || skipTo > length) throw new RecordStreamError('skipped range is not within its request');
    checkMessages(bytes, messages, messages + length);
    at = messages + length;
    if ((bytes.readUInt16LE(messages - REQUEST_HEADER_LENGTH + RequestOffset.Flags) & RequestFlag.Digest) !== 0)
      at += DIGEST_LENGTH;
  }
  if (at !== end) throw new RecordStreamError('bytes behind the last request');
}

function checkMessages(bytes: Buffer, start: number, end: number): void {
  let at = start;
  while (at < end) {
    if (at + 5 > end) throw new RecordStreamError('message header reaches beyond its request');
    const length = bytes.readUInt32BE(at + 1);
    if (length < 4 || at + 1 + length > end) throw new RecordStreamError('message reaches beyond its request');
    at += 1 + length;
  }
}

/** The fields of one frame, one after the other, never beyond its end. */
class FieldReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  double(): number {
    return this.#bytes.readDoubleLE(this.#take(8));
  }

  uint16(): number {
    return this.#bytes.readUInt16LE(this.#take(2));
  }

  uint32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  string(): string {
    const length = this.uint32();
    const start = this.#take(length);
    return this.#bytes.toString('utf8', start, start + length);
  }

  rest(): Buffer {
    return this.#bytes.subarray(this.#at, this.#end);
  }

  #take(length: number): number {
    const start = this.#at;
    if (start + length > this.#end) throw new RecordStreamError('field reaches beyond its frame');
    this.#at = start + length;
    return start;
  }
}
