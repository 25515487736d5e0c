import { deliverCancel } from '../pool/deliver-cancel.ts';
import type { Server } from './session-link.ts';

/**
 * Asks the server to cancel what this connection runs. Until the server has taken note, the connection to be cancelled
 * does not change hands: the next client must not be hit.
 */
export function sendCancel(server: Server, timeoutMs: number): void {
  const { processId, secretKey } = server;
  if (secretKey.length === 0) return;
  server.countCancel(1);
  const arrived = (): void => server.countCancel(-1);
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
