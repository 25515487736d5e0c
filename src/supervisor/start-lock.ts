import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { monotonicNow } from '../util/clock.ts';

/** So long at most is another pgmirror waited for that starts on the same port. */
const WAIT_MS = 10_000;

/**
 * Keeps other instances from starting on the port until what it gives is called. Between finding that nobody listens there
 * and listening oneself, another could find the same, and threads that share the port (SO_REUSEPORT) would share it with that
 * one. Held is a name of Linux's own, which is as far known as the port (unix(7), "Abstract sockets") and goes with its
 * process. Rejects where another is starting there for too long, or where `giveUp` says to wait no more, with its reason.
 */
export async function startLock(port: number, giveUp?: AbortSignal): Promise<() => void> {
  const name = `\0pgmirror starts on ${port}`;
  const until = monotonicNow() + WAIT_MS;
  while (process.platform === 'linux') {
    const lock = await hold(name);
    if (lock !== undefined) return lock;
    if (monotonicNow() >= until) throw new Error(`cannot listen on port ${port}: another pgmirror is starting there`);
    await letGo(name, until - monotonicNow(), giveUp);
    giveUp?.throwIfAborted();
  }
  return () => undefined;
}

/** `undefined`: somebody else holds it. Where there are no such names, nobody does. */
function hold(name: string): Promise<(() => void) | undefined> {
  const waiting = new Set<Socket>();
  const server: Server = createServer((socket) => {
    waiting.add(socket);
    socket.on('error', () => undefined);
  });
  return new Promise((resolve) => {
    server.once('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code === 'EADDRINUSE' ? undefined : () => undefined),
    );
    server.listen(name, () =>
      resolve(() => {
        server.close();
        for (const socket of waiting) socket.destroy();
      }),
    );
  });
}

/** Settles when whoever holds it lets it go, when it is given up, and not much later than in that time. */
function letGo(name: string, withinMs: number, giveUp: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(name);
    const hangUp = (): void => void socket.destroy();
    const timer = setTimeout(hangUp, withinMs);
    giveUp?.addEventListener('abort', hangUp);
    if (giveUp?.aborted === true) hangUp();
    socket.on('error', () => undefined);
    socket.resume();
    socket.once('close', () => {
      clearTimeout(timer);
      giveUp?.removeEventListener('abort', hangUp);
      resolve();
    });
  });
}
