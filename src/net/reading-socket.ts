/* oxlint-disable no-underscore-dangle -- the names that a stream's own methods have */
import type { Socket } from 'node:net';

type Callback = (error?: Error | null) => void;

/**
 * Makes a socket that cannot be written to any more go on reading until the other side's end: what it said last lies in
 * the receive buffer, and tells why. Left alone, a stream is destroyed by the first write that fails. What is written
 * from then on goes nowhere.
 */
export function readOnWhenUnwritable(socket: Socket): void {
  let wrapped: Callback | undefined;
  let forgiving: Callback = () => undefined;
  // A stream hands the same callback to each of its writes.
  const forgive = (callback: Callback): Callback => {
    if (callback !== wrapped) {
      wrapped = callback;
      forgiving = (error) => callback(error instanceof Error && isBrokenPipe(error) ? null : error);
    }
    return forgiving;
  };
  const write = socket._write.bind(socket);
  const writev = socket._writev?.bind(socket);
  socket._write = (chunk, encoding, callback) => write(chunk, encoding, forgive(callback));
  if (writev !== undefined) socket._writev = (chunks, callback) => writev(chunks, forgive(callback));
}

function isBrokenPipe(error: NodeJS.ErrnoException): boolean {
  return error.code === 'EPIPE' || error.code === 'ECONNRESET';
}
