import type { CancelKey } from '../protocol/cancel-key.ts';
import type { ClientSocket } from '../net/client-socket.ts';
import type { LoggedInServer } from '../pool/connect-server.ts';
import { deliverCancel } from '../pool/deliver-cancel.ts';
import { errorResponse } from '../protocol/backend-messages.ts';
import type { ErrorFields } from '../protocol/backend-messages.ts';
import { MessageBoundary } from '../protocol/message-boundary.ts';

const NOTHING = Buffer.alloc(0);

export interface ReplicationSessionOptions extends CancelKey {
  readonly client: ClientSocket;
  readonly database: string;
  readonly user: string;
  readonly applicationName: string;
  readonly kind: 'physical' | 'logical';
  /** The connection that it alone uses, to a walsender. */
  readonly server: LoggedInServer;
  readonly cancelTimeoutMs: number;
  /** The session is over and holds nothing any more. */
  readonly onClosed: (session: ReplicationSession, reason: string) => void;
}

/**
 * A client that replicates (manual, "Streaming Replication Protocol"). It has a server connection of its own from login to
 * end, whatever the pooler mode: every byte passes as it comes, in both directions, and nothing is looked at, recorded or
 * mirrored, but where messages end. Neither side is read from while the other has not taken what came before.
 */
export class ReplicationSession {
  readonly options: ReplicationSessionOptions;
  readonly connectedAt = Date.now();
  /** Of what the client was sent. */
  readonly #boundary = new MessageBoundary();
  #over = false;
  #inputPaused = false;
  #outputPaused = false;
  /** CancelRequests asked for: one is on its way at a time, and one more waits behind it. */
  #cancels = 0;

  constructor(options: ReplicationSessionOptions) {
    this.options = options;
  }

  /** Takes both connections over; `backlog` came behind the client's login; `ended`: and then it said that there is no more. */
  start(backlog: Buffer, ended = false): void {
    const { client, server } = this.options;
    client.handler = {
      bytes: (chunk) => this.#fromClient(chunk),
      ended: () => this.#clientEnded(),
      closed: () => this.#clientGone(),
    };
    server.socket.handler = {
      bytes: (chunk) => this.#fromServer(chunk),
      closed: (error) => this.#finish(error?.message ?? 'server closed the connection'),
    };
    if (backlog.length > 0) this.#fromClient(backlog);
    if (ended) this.#clientEnded();
  }

  /** Another connection asks to cancel what runs here. Until that has arrived, what the client sends next must not be hit. */
  cancel(): void {
    if (this.#over || this.options.server.secretKey.length === 0 || this.#cancels > 1) return;
    this.#cancels++;
    if (this.#cancels > 1) return;
    this.options.client.pause();
    this.#deliverCancel();
  }

  /** A stream of changes is never idle, and whoever follows one connects again: it ends at once. */
  closeWhenIdle(reason: ErrorFields): void {
    this.abort(reason);
  }

  cut(reason: ErrorFields): void {
    this.abort(reason);
  }

  /** Ends the session now, with this FATAL message. */
  abort(reason: ErrorFields): void {
    if (this.#over) return;
    const { client, server } = this.options;
    server.socket.destroy();
    // What the client has not taken lies in the server's read buffer.
    if (this.#outputPaused) client.destroy();
    else client.end(this.#boundary.reached ? errorResponse(reason) : undefined);
    this.#finish(reason.message);
  }

  #deliverCancel(): void {
    const { server, cancelTimeoutMs } = this.options;
    const { processId, secretKey } = server;
    const { address, encryption } = server.socket;
    const arrived = (): void => {
      this.#cancels--;
      if (this.#over) return;
      if (this.#cancels > 0) this.#deliverCancel();
      else this.#readOn();
    };
    deliverCancel({ address, encryption, processId, secretKey }, cancelTimeoutMs).then(arrived, arrived);
  }

  #fromClient(chunk: Buffer): void {
    const { client, server } = this.options;
    if (this.#over || server.socket.write(chunk)) return;
    this.#inputPaused = true;
    client.pause();
    server.socket.whenFlushed(() => {
      this.#inputPaused = false;
      this.#readOn();
    });
  }

  #readOn(): void {
    if (!this.#inputPaused && this.#cancels === 0) this.options.client.resume();
  }

  #fromServer(chunk: Buffer): void {
    const { client, server } = this.options;
    if (this.#over) return;
    this.#boundary.passed(chunk);
    if (client.write(chunk)) return;
    this.#outputPaused = true;
    server.socket.pause();
    client.whenFlushed(() => {
      this.#outputPaused = false;
      server.socket.resume();
    });
  }

  /** It is answered what it has asked before: the server closes when it has read that to its end. */
  #clientEnded(): void {
    if (!this.#over) this.options.server.socket.endSending();
  }

  #clientGone(): void {
    if (this.#over) return;
    // It may have gone amid a message: a good-bye would pass for the rest of that.
    this.options.server.socket.end(NOTHING);
    this.#finish('client closed the connection');
  }

  #finish(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    if (!this.options.client.over) this.options.client.end();
    this.options.onClosed(this, reason);
  }
}
