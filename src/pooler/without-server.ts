import type { ClientSocket } from '../net/client-socket.ts';
import { errorResponse, readyForQuery } from '../protocol/backend-messages.ts';
import type { ErrorFields } from '../protocol/backend-messages.ts';
import { Frontend, HEADER_LENGTH, TransactionStatus } from '../protocol/message-types.ts';

const READY = readyForQuery(TransactionStatus.Idle);

/**
 * What a client sends while it has no server connection, as far as none is needed: a lone Sync is answered, what a server
 * would ignore is ignored, and a request for which there was no connection is refused as a server refuses it, with one
 * ErrorResponse, and in the extended protocol silence up to the Sync.
 */
export class WithoutServer {
  readonly #client: ClientSocket;
  #refusal: ErrorFields | undefined;
  #skipping = false;

  constructor(client: ClientSocket) {
    this.#client = client;
  }

  /** The next request is to be refused. */
  refuse(error: ErrorFields): void {
    this.#refusal = error;
  }

  /** A message that is not whole may need a server: it does not where it is refused or skipped anyway. */
  get refusing(): boolean {
    return this.#refusal !== undefined || this.#skipping;
  }

  /** Whether the message is dealt with; otherwise it needs a server. */
  takes(type: number, length: number): boolean {
    const refusal = this.#refusal;
    if (refusal !== undefined) {
      this.#refusal = undefined;
      this.#client.write(errorResponse(refusal));
      if (type === Frontend.Query || type === Frontend.FunctionCall || type === Frontend.Sync) {
        this.#client.write(READY);
      } else {
        this.#skipping = true;
      }
      return true;
    }
    // With a body these two are the server's to refuse.
    const isEmpty = length === HEADER_LENGTH;
    if (type === Frontend.Sync) {
      this.#skipping = false;
      if (isEmpty) this.#client.write(READY);
      return isEmpty;
    }
    if (this.#skipping) return true;
    if (type === Frontend.Flush) return isEmpty;
    return type === Frontend.CopyData || type === Frontend.CopyDone || type === Frontend.CopyFail;
  }
}
