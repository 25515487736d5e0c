import type { SessionLink } from './session-link.ts';

/**
 * Stops reading from a server while its client does not take the answers: what the client has not taken lies in the
 * server's read buffer, which the next answer would overwrite. The server connection stays with the client meanwhile.
 */
export class SlowOutput {
  readonly #link: SessionLink;
  readonly #owner: { progress(): void };
  #paused = false;

  /** `owner` goes on when the client has taken everything, unless its server connection is gone by then. */
  constructor(link: SessionLink, owner: { progress(): void }) {
    this.#link = link;
    this.#owner = owner;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Some of the answer is still queued towards the client. */
  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    const { server } = this.#link;
    this.#link.client.whenFlushed(() => {
      this.#paused = false;
      if (this.#link.server !== server || server === undefined) return;
      server.socket.resume();
      this.#owner.progress();
    });
  }

  /** The client is gone: nothing is kept for it. */
  forget(): void {
    this.#paused = false;
    this.#link.server?.socket.resume();
  }
}
