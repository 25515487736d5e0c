import { connect } from 'node:net';
import type { DatabaseConfig } from '../config/database-schema.ts';
import { socketPath } from '../net/server-socket.ts';
import { sharedLookup } from '../net/shared-lookup.ts';

const CONNECT_MS = 1_000;
const FRESH_MS = 2_000;

/** Whether sources accept connections, found out by making one; who asks again soon is told the same. */
export class SourceReach {
  readonly #known = new Map<string, { readonly at: number; readonly reachable: Promise<boolean> }>();

  /** By name. */
  async of(databases: readonly DatabaseConfig[]): Promise<Record<string, boolean>> {
    const entries = await Promise.all(
      databases.map(async ({ name, host, port }) => [name, await this.#ask(host, port)] as const),
    );
    return Object.fromEntries(entries);
  }

  #ask(host: string, port: number): Promise<boolean> {
    const key = `${host} ${port}`;
    const known = this.#known.get(key);
    const now = performance.now();
    if (known !== undefined && now - known.at < FRESH_MS) return known.reachable;
    for (const [other, { at }] of this.#known) if (now - at >= FRESH_MS) this.#known.delete(other);
    const reachable = accepts(host, port);
    this.#known.set(key, { at: now, reachable });
    return reachable;
  }
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(
      host.startsWith('/') ? { path: socketPath({ host, port }) } : { host, port, lookup: sharedLookup },
    );
    const settle = (reachable: boolean): void => {
      socket.destroy();
      resolve(reachable);
    };
    socket.setTimeout(CONNECT_MS, () => settle(false));
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}
