import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

import type { Cleanup } from './cleanup.ts';

/** One of the two ways through the proxy. */
export type Direction = 'toServer' | 'toClient';

/** One accepted connection, its connection to the server, and what waits between them. */
interface Pair {
  readonly client: Socket;
  readonly server: Socket;
}

/**
 * A TCP proxy before a real server that does, on demand, what networks and machines do: stands still, gets slow, breaks
 * off, refuses, changes bytes. What it is told holds for open connections and for new ones.
 */
export class MeddlingProxy {
  readonly host = '127.0.0.1';
  readonly port: number;
  /** Bytes passed on in each direction, all connections together. */
  readonly bytes: Record<Direction, number> = { toServer: 0, toClient: 0 };
  /** How many connections were accepted so far. */
  connections = 0;
  #target: { readonly host: string; readonly port: number };
  readonly #pairs = new Set<Pair>();
  readonly #stalled = new Set<Direction>();
  readonly #lines = new Set<DelayLine>();
  #listener: Server;
  #delayMs = 0;
  #alter: ((chunk: Buffer, direction: Direction) => Buffer) | undefined;

  private constructor(target: { host: string; port: number }, listener: Server, port: number) {
    this.#target = target;
    this.#listener = listener;
    this.port = port;
    listener.on('connection', (client) => this.#accept(client));
  }

  /** Listens on a free port before `target`, and stops when the test or file is over. */
  static async start(cleanup: Cleanup, target: { host: string; port: number }): Promise<MeddlingProxy> {
    const listener = createServer();
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const address = listener.address();
    assert.ok(address !== null && typeof address === 'object');
    const proxy = new MeddlingProxy({ host: target.host, port: target.port }, listener, address.port);
    cleanup.after(async () => proxy.stop());
    return proxy;
  }

  /** How many connections are open. */
  get open(): number {
    return this.#pairs.size;
  }

  /** Passes nothing on, and reads nothing more: both ends see a peer that is silent and whose buffers fill up. */
  stall(...directions: readonly Direction[]): void {
    for (const direction of directions.length > 0 ? directions : bothDirections) this.#stalled.add(direction);
    for (const pair of this.#pairs) this.#applyStall(pair);
  }

  /** Ends `stall`. */
  resume(): void {
    this.#stalled.clear();
    for (const pair of this.#pairs) this.#applyStall(pair);
  }

  /** Leads new connections to another server, as a name does that stands for another machine. Open ones stay. */
  leadTo({ host, port }: { readonly host: string; readonly port: number }): void {
    this.#target = { host, port };
  }

  /** Breaks all open connections off, with RST at both ends. */
  cut(): void {
    for (const { client, server } of this.#pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  /** Passes every chunk on so much later, in order; 0 ends it. */
  delay(milliseconds: number): void {
    this.#delayMs = milliseconds;
  }

  /** Passes on what this function makes of each chunk; `undefined` ends it. */
  corrupt(alter: ((chunk: Buffer, direction: Direction) => Buffer) | undefined): void {
    this.#alter = alter;
  }

  /** Listens no more: connecting gives ECONNREFUSED. Open connections stay. */
  async refuse(): Promise<void> {
    if (!this.#listener.listening) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#listener.close();
    // 'close' waits for open connections; the listening socket itself is gone at once, which is all that is needed.
    setImmediate(resolve);
    await promise;
  }

  /** Listens again on the same port, after `refuse`. */
  async accept(): Promise<void> {
    if (this.#listener.listening) return;
    this.#listener = createServer((client) => this.#accept(client));
    this.#listener.listen(this.port, this.host);
    await once(this.#listener, 'listening');
  }

  /** Closes everything. */
  async stop(): Promise<void> {
    await this.refuse();
    const closed = [...this.#pairs]
      .flatMap(({ client, server }) => [client, server])
      .map(async (socket) => {
        socket.destroy();
        if (!socket.closed) await once(socket, 'close');
      });
    for (const line of this.#lines) line.clear();
    await Promise.all(closed);
  }

  #accept(client: Socket): void {
    this.connections += 1;
    const server = connect({ ...this.#target, noDelay: true, allowHalfOpen: true });
    client.allowHalfOpen = true;
    client.setNoDelay();
    const pair: Pair = { client, server };
    this.#pairs.add(pair);
    this.#join(client, server, 'toServer');
    this.#join(server, client, 'toClient');
    this.#applyStall(pair);
    const gone = (): void => {
      if (client.closed && server.closed) this.#pairs.delete(pair);
    };
    client.on('close', gone);
    server.on('close', gone);
  }

  #join(from: Socket, to: Socket, direction: Direction): void {
    const line = new DelayLine();
    this.#lines.add(line);
    from.on('data', (chunk: Buffer) => {
      const bytes = this.#alter === undefined ? chunk : this.#alter(chunk, direction);
      this.bytes[direction] += bytes.length;
      line.push(this.#delayMs, () => {
        if (!to.writable || to.write(bytes) || from.destroyed) return;
        from.pause();
        to.once('drain', () => {
          if (!this.#stalled.has(direction)) from.resume();
        });
      });
    });
    from.on('end', () => line.push(this.#delayMs, () => to.end()));
    from.on('error', () => to.resetAndDestroy());
    from.on('close', () => {
      line.push(this.#delayMs, () => {
        to.destroySoon();
        this.#lines.delete(line);
      });
    });
  }

  #applyStall({ client, server }: Pair): void {
    for (const [from, direction] of [
      [client, 'toServer'],
      [server, 'toClient'],
    ] as const) {
      if (this.#stalled.has(direction)) from.pause();
      else from.resume();
    }
  }
}

const bothDirections: readonly Direction[] = ['toServer', 'toClient'];

/** Runs actions after a delay, always in the order in which they came. */
class DelayLine {
  readonly #waiting: { readonly dueAt: number; readonly action: () => void }[] = [];
  #timer: NodeJS.Timeout | undefined;

  push(delayMs: number, action: () => void): void {
    if (delayMs === 0 && this.#waiting.length === 0) {
      action();
      return;
    }
    this.#waiting.push({ dueAt: performance.now() + delayMs, action });
    this.#timer ??= setTimeout(() => this.#run(), delayMs);
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
  }

  #run(): void {
    this.#timer = undefined;
    while (this.#waiting[0] !== undefined && this.#waiting[0].dueAt <= performance.now() + 0.5) {
      this.#waiting.shift()?.action();
    }
    const next = this.#waiting[0];
    if (next !== undefined) this.#timer = setTimeout(() => this.#run(), next.dueAt - performance.now());
  }
}
