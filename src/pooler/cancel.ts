import { deliverCancel } from '../pool/deliver-cancel.ts';
import type { Server } from './session-link.ts';

/** Servers for which another CancelRequest is wanted behind the one that is on its way. */
const again = new WeakSet<Server>();

/**
 * Asks the server to cancel what this connection runs. Until the server has taken note, the connection to be cancelled
 * does not change hands: the next client must not be hit. Each request costs the server a connection: one is on its way at a
 * time, and one more waits behind it, for it may come too soon for what runs now.
 */
export function sendCancel(server: Server, timeoutMs: number): void {
  if (server.secretKey.length === 0 || again.has(server)) return;
  server.countCancel(1);
  if (server.cancels > 1) again.add(server);
  else deliver(server, timeoutMs);
}

function deliver(server: Server, timeoutMs: number): void {
  const { processId, secretKey } = server;
  const arrived = (): void => {
    if (again.delete(server)) deliver(server, timeoutMs);
    server.countCancel(-1);
  };
  const { address, encryption } = server.socket;
  deliverCancel({ address, encryption, processId, secretKey }, timeoutMs).then(arrived, arrived);
}

/** So often a cancel is repeated. */
const REPEAT_MS = 200;

/**
 * Cancels what a server runs for a client that is gone, again and again until it has ended: a CancelRequest that
 * overtakes its query on the way finds nothing to cancel. After `timeoutMs` it gives up.
 */
export class InsistentCancel {
  readonly #repeat: NodeJS.Timeout;
  readonly #deadline: NodeJS.Timeout;

  constructor(cancel: () => void, giveUp: () => void, timeoutMs: number) {
    this.#repeat = setInterval(cancel, REPEAT_MS);
    this.#deadline = setTimeout(() => {
      this.stop();
      giveUp();
    }, timeoutMs);
    cancel();
  }

  stop(): void {
    clearInterval(this.#repeat);
    clearTimeout(this.#deadline);
  }
}
