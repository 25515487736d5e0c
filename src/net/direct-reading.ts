import type { Socket } from 'node:net';
import { Readable } from 'node:stream';

/**
 * Hands what comes on a socket to `receive` past the stream's own bookkeeping: behind each chunk that it gives away, a
 * stream asks itself in a tick of its own whether it should read on, which a socket that flows does anyway. Where it is
 * paused or still holds something, all goes its usual way: `receive` has to listen to 'data', too. So it does where
 * sockets do not call `push` for what they read.
 */
export function receiveDirectly(socket: Socket, receive: (chunk: Buffer) => void): void {
  socket.push = (chunk: Buffer | null, encoding?: BufferEncoding): boolean => {
    if (chunk === null || socket.readableFlowing !== true || socket.readableLength > 0) {
      return Readable.prototype.push.call(socket, chunk, encoding);
    }
    receive(chunk);
    return true;
  };
}

/** Has a socket deliver to whoever listens to it again. */
export function receiveAsUsual(socket: Socket): void {
  Reflect.deleteProperty(socket, 'push');
}
