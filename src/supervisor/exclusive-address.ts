import { connect, createServer } from 'node:net';
import { lstat, unlink } from 'node:fs/promises';

/**
 * Makes sure that nobody listens there, before threads share the port among themselves: with SO_REUSEPORT a second
 * instance would silently get half of the clients. Rejects with the error of listen().
 */
export async function claimPort(host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => reject(unusable(`${host}:${port}`, error)));
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve()));
  });
}

/** In words for whoever configures pgmirror: why listen() failed there. */
export function unusable(address: string, { code, message }: NodeJS.ErrnoException): Error {
  const reason = code === 'EADDRINUSE' ? 'the address is in use' : message;
  return Object.assign(new Error(`cannot listen on ${address}: ${reason}`), { code });
}

/** Removes a socket file that nobody listens on any more. Rejects where somebody does. */
export async function claimSocketPath(path: string): Promise<void> {
  const code = await new Promise<string>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve('EADDRINUSE');
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  });
  if (code === 'EADDRINUSE')
    throw Object.assign(new Error(`cannot listen on ${path}: the address is in use`), { code });
  if (code !== 'ECONNREFUSED') return;
  const { isSocket } = await lstat(path).then((found) => ({ isSocket: found.isSocket() }));
  if (!isSocket) throw Object.assign(new Error(`${path} is there and is no socket`), { code: 'EEXIST' });
  await unlink(path);
}
