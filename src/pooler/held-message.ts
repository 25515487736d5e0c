import { HEADER_LENGTH } from '../protocol/message-types.ts';

const NOTHING = Buffer.alloc(0);

/** The beginning of a message of a server, kept until so much of it has come that it can be looked at. */
export class HeldMessage {
  #parts: Buffer[] = [];
  #length = 0;
  #need = HEADER_LENGTH;

  /** Bytes that are kept. */
  get length(): number {
    return this.#length;
  }

  /** Keeps this beginning, which is copied. `need`: so many bytes there are to be of it. */
  begin(bytes: Buffer, need: number): void {
    this.#parts.push(Buffer.from(bytes));
    this.#length = bytes.length;
    this.#need = need;
  }

  /** Takes what came behind it, which is copied. All together, where that is enough. */
  add(bytes: Buffer): Buffer | undefined {
    this.#parts.push(Buffer.from(bytes));
    this.#length += bytes.length;
    return this.#length < this.#need ? undefined : this.take();
  }

  /** Takes out what is kept. */
  take(): Buffer {
    if (this.#length === 0) return NOTHING;
    const bytes = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#length = 0;
    return bytes;
  }
}
