/**
 * A COPY FROM STDIN failed after Syncs had been sent amid its data. Those that it had read it ignored, those behind are
 * answered: only the server knows how many. It is asked with Sync, Close of a portal that does not exist, and Sync: all
 * ReadyForQuerys before the CloseComplete belong to the Syncs in question, but for the last.
 *
 * Before that a message may have been sent that does not belong into a COPY, without its body: a server still in COPY
 * ends the connection because of it; any other refuses it, and it is sent again when all is settled.
 */
export class CopyDoubt {
  /** The server has been asked. */
  asked = false;
  readonly #statuses: number[] = [];
  #refused = false;
  #closed = false;

  /** The message without a body was refused: what is answered from now on does not count. */
  errorCame(): void {
    this.#refused = true;
  }

  closeCompleteCame(): void {
    this.#closed = true;
  }

  /** A ReadyForQuery. Returns whether it is the last. */
  readyCame(status: number): boolean {
    if (this.#closed) return true;
    if (!this.#refused) this.#statuses.push(status);
    return false;
  }

  /** The transaction statuses that the client is to be told, one for each of its Syncs that was answered. */
  get answered(): readonly number[] {
    return this.#refused ? this.#statuses : this.#statuses.slice(0, -1);
  }
}
