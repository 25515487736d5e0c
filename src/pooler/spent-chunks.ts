import { freeMemory } from '../util/free-memory.ts';
import type { Server } from './session-link.ts';

/** The memory of shorter ones is left to the garbage collector. */
const WORTH_BYTES = 1_024;

/**
 * What was read from a client and has been passed on to its server, to the last byte, is of no more use to anybody: its
 * memory is given back at once.
 *
 * Only for chunks that nothing else refers to: whoever still had one would find it empty.
 */
export class SpentChunks {
  #chunks: Buffer[] = [];
  #server: Server | undefined;

  /** The chunk was handed to the server's socket, which may not have taken all of it yet. */
  add(chunk: Buffer, server: Server): void {
    if (chunk.length < WORTH_BYTES || chunk.length !== chunk.buffer.byteLength) return;
    if (this.#server !== server) this.#forget(server);
    this.#chunks.push(chunk);
    this.release(server);
  }

  /** To be called again when the server's socket has taken what it was given. */
  release(server: Server): void {
    if (this.#chunks.length === 0 || this.#server !== server) return;
    // Until then the kernel may yet be shown the bytes; of a closed socket it is not known.
    if (server.closed || server.socket.writableLength > 0) return;

    for (const chunk of this.#chunks) freeMemory(chunk);
    this.#chunks.length = 0;
  }

  /** What went to another server is left to the garbage collector: nobody waits for that socket any more. */
  #forget(server: Server): void {
    this.#chunks.length = 0;
    this.#server = server;
  }
}
