/** Builds one message. Only for messages pgmirror makes itself: what is relayed is never rebuilt. */
export class MessageWriter {
  #bytes: Buffer;
  #at = 0;

  /** `type` undefined: a message without a type byte (StartupMessage and its kin). */
  constructor(type: number | undefined) {
    this.#bytes = Buffer.allocUnsafe(64);
    if (type !== undefined) this.#bytes[this.#at++] = type;
    this.#lengthAt = this.#at;
    this.#at += 4;
  }

  readonly #lengthAt: number;

  int8(value: number): this {
    this.#room(1);
    this.#bytes[this.#at++] = value;
    return this;
  }

  int16(value: number): this {
    this.#room(2);
    this.#at = this.#bytes.writeInt16BE(value, this.#at);
    return this;
  }

  int32(value: number): this {
    this.#room(4);
    this.#at = this.#bytes.writeInt32BE(value | 0, this.#at);
    return this;
  }

  /** Text with its closing zero byte. A zero byte within is not the protocol's: the text ends there. */
  string(text: string): this {
    const zero = text.indexOf('\0');
    this.bytes(Buffer.from(zero < 0 ? text : text.slice(0, zero)));
    return this.int8(0);
  }

  bytes(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }

  /** The whole message. */
  finish(): Buffer {
    this.#bytes.writeUInt32BE(this.#at - this.#lengthAt, this.#lengthAt);
    return this.#bytes.subarray(0, this.#at);
  }

  #room(more: number): void {
    if (this.#at + more <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + more));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }
}
