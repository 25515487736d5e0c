import type { ClientSocket } from './client-socket.ts';

/**
 * Connections that nobody serves any more and that have not closed yet: who was told why it is turned away has a moment
 * to read that. There are no more of them than `limit`: the one that had most of its moment makes way for the next, so
 * that a crowd that is turned away and does not leave takes no file descriptors from clients that are served.
 */
export class Farewells {
  readonly #leaving = new Set<ClientSocket>();
  limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** This one has been ended. */
  add(client: ClientSocket): void {
    if (client.closed) return;
    this.#leaving.add(client);
    client.whenClosed(() => this.#leaving.delete(client));
    for (const longest of this.#leaving) {
      if (this.#leaving.size <= this.limit) break;
      this.#leaving.delete(longest);
      longest.destroy();
    }
  }
}
