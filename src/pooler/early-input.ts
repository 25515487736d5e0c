import type { ClientSocket } from '../net/client-socket.ts';

/** What a client may send ahead of its welcome before it is not read from any more. */
const EARLY_BYTES = 65_536;

/** What a client that has logged in sends before its session has the socket: it is kept, within reason. */
export class EarlyInput {
  readonly #client: ClientSocket;
  readonly #chunks: Buffer[];
  #room = EARLY_BYTES;
  #ended = false;
  #closed = false;
  readonly #leaving = new AbortController();

  /** Listens to the client from now on. `backlog` came behind its last login message. */
  constructor(client: ClientSocket, backlog: Buffer) {
    this.#client = client;
    this.#chunks = [backlog];
    client.handler = {
      bytes: (chunk) => {
        this.#chunks.push(chunk);
        this.#room -= chunk.length;
        if (this.#room < 0) client.pause();
      },
      ended: () => {
        this.#ended = true;
        // It has asked nothing, and will not.
        if (this.#chunks.every(({ length }) => length === 0)) this.#leaving.abort();
      },
      closed: () => {
        this.#closed = true;
        this.#leaving.abort();
      },
    };
  }

  /** The client did not wait for its welcome. */
  get gone(): boolean {
    return this.#closed || this.#client.over;
  }

  /** Aborted when it leaves: what it waits for would be for nobody. */
  get leaving(): AbortSignal {
    return this.#leaving.signal;
  }

  /** It sends no more, but may be waiting for the answers to what it has sent. */
  get ended(): boolean {
    return this.#ended;
  }

  /** All of it, for whoever listens to the client from now on. */
  take(): Buffer {
    if (this.#room < 0) this.#client.resume();
    return Buffer.concat(this.#chunks);
  }
}
