import { openServerSocket } from '../net/open-server-socket.ts';
import type { ServerAddress } from '../net/server-socket.ts';
import type { ServerEncryption } from '../net/server-socket.ts';
import { cancelRequest } from '../protocol/frontend-messages.ts';

/** The session that is to be cancelled. */
export interface CancelTarget {
  readonly address: ServerAddress;
  /** That of the session's own connection: its key is not shown to anybody who could not see the session. */
  readonly encryption: ServerEncryption | undefined;
  readonly processId: number;
  readonly secretKey: Buffer;
}

/**
 * Delivers a CancelRequest (manual, "Canceling Requests in Progress"). Settles when the server has closed the connection
 * that brought it, which it does after signalling: true; or when the time is over: false. Rejects where it cannot be delivered.
 */
export async function deliverCancel(target: CancelTarget, timeoutMs: number): Promise<boolean> {
  const { address, encryption, processId, secretKey } = target;
  const socket = await openServerSocket(address, { tls: encryption?.options, timeoutMs, mustEncrypt: true });
  return new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => {
      socket.destroy();
      resolve(false);
    }, timeoutMs);
    socket.handler = {
      bytes: () => undefined,
      closed: () => {
        clearTimeout(timer);
        resolve(true);
      },
    };
    socket.write(cancelRequest(processId, secretKey));
  });
}
