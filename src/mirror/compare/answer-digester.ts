import { Backend, HEADER_LENGTH } from '../../protocol/message-types.ts';
import { AnswerDigest } from './answer-digest.ts';
import type { ColumnOrigin } from './column-origin.ts';
import { DIGEST_LENGTH } from './digest-format.ts';
import { MAX_COLUMNS } from './row-hash.ts';

/** Longest RowDescription that is put together from pieces. */
const MAX_HELD = 1_048_576;

/**
 * Digests the answer to one request out of a server's chunks, however they cut it. It is told when a request is sent and
 * when its answer is whole; between these all bytes are the answer's.
 */
export class AnswerDigester {
  readonly #digest = new AnswerDigest();
  #active = false;
  /** Bytes of a row that have not come. */
  #rowLeft = 0;
  /** Bytes of another message that are passed over. */
  #skip = 0;
  #held = Buffer.alloc(0);
  #origins: ColumnOrigin[] | undefined;

  /** A request is sent. */
  begin(): void {
    this.#digest.reset();
    this.#origins = undefined;
    this.#active = true;
  }

  /** Its answer is whole: the digest, the caller's to keep. */
  end(): Buffer {
    const digest = Buffer.alloc(DIGEST_LENGTH);
    this.#digest.writeTo(digest, 0);
    this.#active = false;
    return digest;
  }

  /** Where each of the answer's first columns comes from; undefined where that was not told. */
  get origins(): readonly ColumnOrigin[] | undefined {
    return this.#origins;
  }

  /** A chunk, not kept. The stream is followed at all times, since a chunk may end amid a message. */
  push(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#held.length > 0) {
      bytes = Buffer.concat([this.#held, chunk]);
      this.#held = Buffer.alloc(0);
    }
    let at = 0;
    while (at < bytes.length) {
      if (this.#rowLeft > 0 || this.#skip > 0) {
        at = this.#goOn(bytes, at);
        continue;
      }
      const next = this.#message(bytes, at);
      if (next === at) {
        this.#held = Buffer.from(bytes.subarray(at));
        return;
      }
      at = next;
    }
  }

  #goOn(bytes: Buffer, at: number): number {
    const left = this.#rowLeft > 0 ? this.#rowLeft : this.#skip;
    const end = Math.min(at + left, bytes.length);
    if (this.#rowLeft > 0) {
      this.#rowLeft -= end - at;
      if (this.#active) this.#digest.rowGoesOn(bytes, at, end, this.#rowLeft === 0);
    } else {
      this.#skip -= end - at;
    }
    return end;
  }

  /** Where the next message begins; `at` itself where too little of this one is there. */
  #message(bytes: Buffer, at: number): number {
    if (bytes.length - at < HEADER_LENGTH) return at;
    const type = bytes[at] ?? 0;
    const size = 1 + bytes.readUInt32BE(at + 1);
    const end = at + size;
    if (type === Backend.DataRow || type === Backend.CopyData || type === Backend.FunctionCallResponse) {
      if (end <= bytes.length) {
        if (this.#active) this.#digest.row(bytes, at, end);
        return end;
      }
      if (this.#active) this.#digest.rowBegins(bytes, at, bytes.length, size);
      this.#rowLeft = end - bytes.length;
      return bytes.length;
    }
    if (!LOOKED_INTO.has(type) || size > MAX_HELD) {
      this.#skip = Math.max(0, end - bytes.length);
      return Math.min(end, bytes.length);
    }
    if (end > bytes.length) return at;
    if (this.#active) this.#whole(type, bytes, at, end);
    return end;
  }

  #whole(type: number, bytes: Buffer, at: number, end: number): void {
    if (type === Backend.RowDescription) {
      this.#digest.description(bytes, at, end);
      this.#origins = originsIn(bytes, at + HEADER_LENGTH, end);
    } else if (type === Backend.CommandComplete) {
      this.#digest.commandComplete(bytes, at, end);
    } else {
      this.#digest.suspended(type);
    }
  }
}

const LOOKED_INTO: ReadonlySet<number> = new Set([
  Backend.RowDescription,
  Backend.CommandComplete,
  Backend.PortalSuspended,
  Backend.EmptyQueryResponse,
]);

function originsIn(bytes: Buffer, at: number, end: number): ColumnOrigin[] {
  const origins: ColumnOrigin[] = [];
  let from = at + 2;
  while (from < end && origins.length < MAX_COLUMNS) {
    const zero = bytes.indexOf(0, from);
    if (zero < 0 || zero + 19 > end) break;
    const place = `${bytes.readUInt32BE(zero + 1)} ${bytes.readInt16BE(zero + 5)}`;
    origins.push({ place, type: bytes.readUInt32BE(zero + 7) });
    from = zero + 19;
  }
  return origins;
}
