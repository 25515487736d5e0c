import { ServerSocket } from '../net/server-socket.ts';
import type { ServerAddress } from '../net/server-socket.ts';
import { cancelRequest } from '../protocol/frontend-messages.ts';
import type { Server } from './session-link.ts';

/**
 * Asks the server to cancel what this connection runs (manual, "Canceling Requests in Progress"). Until the server has
 * closed the connection of the request, which it does after signalling, the connection to be cancelled does not change
 * hands: the next client must not be hit.
 */
export function sendCancel(server: Server, address: ServerAddress, timeoutMs: number): void {
  if (server.secretKey.length === 0) return;
  server.countCancel(1);
  let over = false;
  const arrived = (): void => {
    if (over) return;
    over = true;
    server.countCancel(-1);
  };
  ServerSocket.connect(address, { timeoutMs }).then((socket) => {
    const timer = setTimeout(() => {
      socket.destroy();
      arrived();
    }, timeoutMs);
    socket.handler = {
      bytes: () => undefined,
      closed: () => {
        clearTimeout(timer);
        arrived();
      },
    };
    socket.write(cancelRequest(server.processId, server.secretKey));
  }, arrived);
}
