import type { ClientSocket } from '../net/client-socket.ts';

/** So much PostgreSQL keeps of answers that nobody has asked for (PqSendBuffer). */
const KEPT_BYTES = 8_192;

/**
 * Answers to a client that has ended its input without asking for them: like PostgreSQL, pgmirror tells it of them only
 * where an error comes, or where they are many.
 */
export class WithheldOutput {
  readonly #client: ClientSocket;
  #kept: Buffer[] | undefined = [];
  #length = 0;

  constructor(client: ClientSocket) {
    this.#client = client;
  }

  /** Takes bytes, which are copied where they are kept; false as for `ClientSocket.write`. */
  write(bytes: Buffer): boolean {
    if (this.#kept === undefined) return this.#client.write(bytes);
    this.#kept.push(Buffer.from(bytes));
    this.#length += bytes.length;
    return this.#length < KEPT_BYTES || this.letGo();
  }

  /** The client is told what was kept, and whatever comes; false as for `ClientSocket.write`. */
  letGo(): boolean {
    const kept = this.#kept;
    this.#kept = undefined;
    return kept === undefined || this.#client.write(Buffer.concat(kept));
  }
}
