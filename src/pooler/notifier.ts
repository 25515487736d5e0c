import { Backend } from '../protocol/message-types.ts';
import type { Server, SessionLink } from './session-link.ts';

/** Where the message has the process id, behind its type and length. */
const PROCESS_ID = 5;

/**
 * Says in a NotificationResponse at `at` which client sent the notification: by the process id that this client was told at
 * its login, as the server's own would mean nothing to it. A client knows its own notifications by that. Who has notified
 * through another pool keeps the process id of its server connection, and a client that asked SQL for that gets no other.
 */
export function nameNotifier(link: SessionLink, server: Server, bytes: Buffer, at: number): void {
  if (link.watch.knowsServers) return;
  const processId = bytes.readUInt32BE(at + PROCESS_ID);
  const client = processId === server.processId ? link.processId : lastClientOf(link, processId);
  if (client !== undefined) bytes.writeUInt32BE(client, at + PROCESS_ID);
}

function lastClientOf(link: SessionLink, processId: number): number | undefined {
  for (const server of link.pool.connections) if (server.processId === processId) return server.state.lastClient;
  return undefined;
}

/** Passes a notification on to the client amid a task of pgmirror's own. False: it is another message. */
export function notified(link: SessionLink, server: Server, type: number, message: Buffer): boolean {
  if (type !== Backend.NotificationResponse) return false;
  nameNotifier(link, server, message, 0);
  if (!link.clientGone) link.client.write(message);
  return true;
}
