import { HEADER_LENGTH } from './message-types.ts';

/** Follows a stream of messages that is passed on as it comes, to know where one ends: only there may another be put in. */
export class MessageBoundary {
  readonly #header = Buffer.alloc(HEADER_LENGTH);
  #headerBytes = 0;
  #left = 0;

  /** The last message is there whole. */
  get reached(): boolean {
    return this.#left === 0 && this.#headerBytes === 0;
  }

  passed(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#left > 0) {
        const piece = Math.min(this.#left, bytes.length - at);
        this.#left -= piece;
        at += piece;
        continue;
      }
      this.#header[this.#headerBytes++] = bytes[at++] ?? 0;
      if (this.#headerBytes < HEADER_LENGTH) continue;
      this.#headerBytes = 0;
      // The length counts itself, and not the type.
      this.#left = Math.max(0, 1 + this.#header.readUInt32BE(1) - HEADER_LENGTH);
    }
  }
}
