import { HEADER_LENGTH } from './message-types.ts';
import { ProtocolError } from './protocol-error.ts';

const NOTHING = Buffer.alloc(0);

/**
 * Puts whole messages together from the chunks of a connection. For logins and control paths: the relay forwards
 * bytes without ever collecting them.
 */
export class MessageCollector {
  readonly #maxLength: number;
  #rest: Buffer = NOTHING;
  #parts: Buffer[] = [];
  #have = 0;

  /** `maxLength`: the longest message accepted, header included, in bytes. */
  constructor(options: { readonly maxLength: number }) {
    this.#maxLength = options.maxLength;
  }

  /** The bytes of a message that is not whole yet, and of those behind a message that stopped the walk. */
  takeRest(): Buffer {
    const rest = this.#joined();
    this.#rest = NOTHING;
    return rest;
  }

  /**
   * Hands every message that became whole to `each`, in order. The chunk is not kept: its memory may be used again for
   * the next one. `each` may return `false` to stop: what follows then
   * stays in the collector. Throws ProtocolError for a length that cannot be.
   */
  push(chunk: Buffer, each: (type: number, message: Buffer) => void | false): void {
    this.#have += chunk.length;
    // A long message arrives in many chunks: they are joined once, when the whole of it is there.
    if (this.#have + this.#rest.length < this.#wanted()) {
      this.#parts.push(Buffer.from(chunk));
      return;
    }
    this.#parts.push(chunk);
    let bytes = this.#joined();
    while (bytes.length >= HEADER_LENGTH) {
      const length = this.#messageLength(bytes);
      if (bytes.length < length) break;
      const message = bytes.subarray(0, length);
      bytes = bytes.subarray(length);
      this.#rest = bytes;
      if (each(message[0] ?? 0, Buffer.from(message)) === false) return;
    }
    this.#rest = Buffer.from(bytes);
  }

  #wanted(): number {
    return this.#rest.length >= HEADER_LENGTH ? this.#messageLength(this.#rest) : 0;
  }

  #messageLength(bytes: Buffer): number {
    const length = bytes.readUInt32BE(1);
    if (length < 4 || length + 1 > this.#maxLength) throw new ProtocolError('invalid message length');
    return length + 1;
  }

  #joined(): Buffer {
    if (this.#parts.length === 0) return this.#rest;
    const bytes = Buffer.concat([this.#rest, ...this.#parts]);
    this.#parts = [];
    this.#have = 0;
    this.#rest = bytes;
    return bytes;
  }
}
