import { Frontend, HEADER_LENGTH, LARGE_MESSAGE_LIMIT, SMALL_MESSAGE_LIMIT } from '../protocol/message-types.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';

/** What a session does with its client's messages. */
export interface RequestHandler {
  /** A whole message at `start`–`end`. False: not now; it is shown again after `resume()`. */
  message(type: number, bytes: Buffer, start: number, end: number): boolean;
  /**
   * The beginning of a message too long to wait for: what there is of it at `start`–`end`, `length` bytes in all,
   * header included. False: not now; `undefined`: more of it is needed to decide, it is collected whole.
   */
  longMessage(type: number, bytes: Buffer, start: number, end: number, length: number): boolean | undefined;
  /** More of that message; `last` with its end. */
  piece(bytes: Buffer, start: number, end: number, last: boolean): void;
  /** The client broke the protocol; nothing more is read. */
  violation(error: ProtocolError): void;
}

/** From this length on a message is passed on as it comes. */
const STREAM_FROM = 65_536;
/** So much of a long message is waited for, that its names are surely there. */
const LONG_HEAD = 4_096;

/** The longest message of each type that PostgreSQL takes (SocketBackend in tcop/postgres.c), 0: no such type. */
const limits = new Float64Array(256);
for (const type of [Frontend.Query, Frontend.FunctionCall, Frontend.Bind, Frontend.Parse, Frontend.CopyData]) {
  limits[type] = LARGE_MESSAGE_LIMIT;
}
for (const type of [
  Frontend.Close,
  Frontend.CopyDone,
  Frontend.CopyFail,
  Frontend.Describe,
  Frontend.Execute,
  Frontend.Flush,
  Frontend.Sync,
  Frontend.Terminate,
]) {
  limits[type] = SMALL_MESSAGE_LIMIT;
}

/**
 * Cuts a client's bytes into messages. A message that lies whole in a chunk is shown in place; one that does not is
 * collected, unless it is long and of a kind that can be passed on in pieces. The handler may say "not now": then the
 * reader keeps everything from there on, and its owner stops reading from the client, until `resume()`.
 */
export class RequestReader {
  readonly #handler: RequestHandler;
  readonly #maxMessageSize: number;
  #parts: Buffer[] = [];
  #have = 0;
  #need = 0;
  #left = 0;
  /** Of the long message being passed on: bytes since it was said last that something was passed on. */
  #pieces = 0;
  #hasPassed = false;
  #blocked = false;
  #stopped = false;

  constructor(handler: RequestHandler, options: { readonly maxMessageSize: number }) {
    this.#handler = handler;
    this.#maxMessageSize = options.maxMessageSize;
  }

  /** The handler said "not now". */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Part of a message has been passed on, and the rest has not come. */
  get streaming(): boolean {
    return this.#left > 0;
  }

  /** Whether a message was passed on whole, or as much of one as is not waited for, since this was asked last. */
  takeHasPassed(): boolean {
    const hasPassed = this.#hasPassed;
    this.#hasPassed = false;
    return hasPassed;
  }

  /** Bytes of messages that have not been passed on. */
  get pending(): number {
    return this.#have;
  }

  /** Bytes of this chunk are kept where they are. */
  refersTo(chunk: Buffer): boolean {
    return this.#parts.some((part) => part.buffer === chunk.buffer);
  }

  /** Reads no more, whatever comes. */
  stop(): void {
    this.#stopped = true;
    this.#parts = [];
    this.#have = 0;
  }

  push(chunk: Buffer): void {
    if (this.#stopped) return;
    if (this.#have === 0 && !this.#blocked) {
      this.#walk(chunk);
      return;
    }
    this.#parts.push(chunk);
    this.#have += chunk.length;
    if (!this.#blocked && this.#have >= this.#need) this.#walk(this.#takeParts());
  }

  /** Goes on where the handler said "not now". */
  resume(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    if (this.#have > 0) this.#walk(this.#takeParts());
  }

  #takeParts(): Buffer {
    const bytes =
      this.#parts.length === 1 && this.#parts[0] !== undefined ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#have = 0;
    this.#need = 0;
    return bytes;
  }

  #walk(bytes: Buffer): void {
    const length = bytes.length;
    let at = 0;
    if (this.#left > 0) {
      at = Math.min(this.#left, length);
      this.#left -= at;
      this.#pieces += at;
      if (this.#left === 0 || this.#pieces >= STREAM_FROM) {
        this.#pieces = 0;
        this.#hasPassed = true;
      }
      this.#handler.piece(bytes, 0, at, this.#left === 0);
    }
    while (length - at >= HEADER_LENGTH && !this.#stopped) {
      const type = bytes[at] ?? 0;
      const size = 1 + bytes.readUInt32BE(at + 1);
      if (!this.#legal(type, size)) return;
      const end = at + size;
      if (end <= length) {
        if (!this.#handler.message(type, bytes, at, end)) return this.#keep(bytes, at, true);
        this.#hasPassed = true;
        at = end;
        continue;
      }
      // There is nothing to be found in CopyData, however short.
      if (type === Frontend.CopyData || (size >= STREAM_FROM && length - at >= LONG_HEAD)) {
        const taken = this.#handler.longMessage(type, bytes, at, length, size);
        if (taken === false) return this.#keep(bytes, at, true);
        if (taken) {
          this.#left = end - length;
          this.#pieces = length - at;
          return;
        }
      }
      // A long message is looked at again when its head is there; a short one when it is whole.
      this.#need = size >= STREAM_FROM && length - at < LONG_HEAD ? LONG_HEAD : size;
      break;
    }
    if (!this.#stopped && at < length) this.#keep(bytes, at, false);
  }

  #keep(bytes: Buffer, at: number, blocked: boolean): void {
    if (this.#stopped) return;
    this.#blocked = blocked;
    const rest = bytes.subarray(at);
    // A few bytes must not keep a large chunk alive.
    this.#parts.push(rest.length < 1024 ? Buffer.from(rest) : rest);
    this.#have += rest.length;
  }

  #legal(type: number, size: number): boolean {
    const limit = limits[type] ?? 0;
    if (limit === 0) {
      this.#violation(new ProtocolError(`invalid frontend message type ${type}`));
      return false;
    }
    // PostgreSQL compares the length word, which does not count the type byte.
    if (size < HEADER_LENGTH || size - 1 > limit || size - 1 > this.#maxMessageSize) {
      this.#violation(new ProtocolError('invalid message length'));
      return false;
    }
    return true;
  }

  #violation(error: ProtocolError): void {
    this.stop();
    this.#handler.violation(error);
  }
}
