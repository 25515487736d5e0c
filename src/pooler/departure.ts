import { copyFail, flush, sync } from '../protocol/frontend-messages.ts';
import { TransactionStatus } from '../protocol/message-types.ts';
import { Owed } from '../session/answer-queue.ts';
import { InsistentCancel } from './cancel.ts';
import { runTask } from './server-task.ts';
import type { Server } from './session-link.ts';

/** Whether the server is in a transaction block that nothing it was sent ends. */
export function staysInBlock(server: Server): boolean {
  return server.status !== TransactionStatus.Idle && !server.state.isEnding;
}

/** What a departure needs of the session that the client has left. */
export interface DepartureActs {
  /** The server's answer has been read to the end of a message. */
  readonly atMessageStart: () => boolean;
  readonly cancel: () => void;
  /** The connection cannot be used any more: it is to be closed. */
  readonly abandon: () => void;
  /** The server is quiet, perhaps in a transaction block. */
  readonly quiet: () => void;
}

/**
 * The client is gone in mid-request: sees to it that the server comes to a ReadyForQuery, as it would with a client of
 * its own that vanished. What was sent whole is run to its end outside a transaction block; inside a block it is
 * cancelled, for it will be rolled back; a COPY is failed; what was sent in part, or was executed without its Sync, can
 * only be dropped with the connection (a Sync would commit it), once a COMMIT that was sent whole has been answered.
 */
export class Departure {
  readonly #server: Server;
  readonly #acts: DepartureActs;
  readonly #timeoutMs: number;
  #cancelling: InsistentCancel | undefined;
  /** The connection goes as soon as what ends a transaction block has been answered. */
  #leaves = false;
  /** Nothing more can be sent. */
  #isPartial = false;
  /** Not even an autocommit statement is to end. */
  #cancelsAll = false;

  /** After `timeoutMs` of cancelling in vain the connection is abandoned. */
  constructor(server: Server, timeoutMs: number, acts: DepartureActs) {
    this.#server = server;
    this.#timeoutMs = timeoutMs;
    this.#acts = acts;
  }

  /** `partial`: the client sent the beginning of a message; `cancelAll`: not even an autocommit statement is to end. */
  begin(partial: boolean, cancelAll: boolean): void {
    const { answers } = this.#server.state;
    this.#cancelsAll = cancelAll;
    // After a Sync amid COPY data, nobody knows how many ReadyForQuerys are to come.
    if (partial || answers.executeWithoutSync || answers.awaitsCopy) {
      this.#isPartial = partial || answers.awaitsCopy;
      if (!this.#isPartial && this.#server.state.isEndingUnasked) this.#server.socket.write(flush());
      this.#leave(this.#isPartial);
      return;
    }
    if (answers.copyIn) this.#failCopy();
    else if (answers.segmentOpen || answers.skipping) this.#sync();
    else if (cancelAll && answers.requests > 0) this.#insist();
    this.progress();
  }

  /** Nothing more can be said on the connection: what is under way is cancelled, but for what ends a transaction block. */
  #leave(partial: boolean): void {
    const { answers, isEnding, isEndingUnasked } = this.#server.state;
    // Where the server takes COPY data, all that was sent before has been answered.
    this.#leaves = !answers.copyIn && (isEnding || (isEndingUnasked && !partial));
    if (this.#leaves) return;
    // A request that was sent whole outside a block is run to its end all the same.
    const undone = answers.requests === 0 || this.#cancelsAll || staysInBlock(this.#server);
    if (answers.length > 0 && undone && !isEndingUnasked) this.#acts.cancel();
    this.#acts.abandon();
  }

  /** The server answered something. */
  progress(): void {
    const server = this.#server;
    if (this.#leaves) {
      if (this.#acts.atMessageStart()) this.#leave(this.#isPartial);
      return;
    }
    const { answers } = server.state;
    // What the client had sent has come to where the server waits for its data.
    if (answers.copyIn) return this.begin(false, this.#cancelsAll);
    if (!answers.quiet || !this.#acts.atMessageStart()) {
      if (answers.requests > 0 && staysInBlock(server)) this.#insist();
      return;
    }
    this.#cancelling?.stop();
    // What was to be cancelled has ended: the cancel must not hit what cleans up after it.
    if (server.cancels > 0) server.onCancelsDone = () => this.progress();
    else this.#acts.quiet();
  }

  /** The server connection is gone. */
  end(): void {
    this.#cancelling?.stop();
  }

  #failCopy(): void {
    const { socket, state } = this.#server;
    const simple = state.answers.head === Owed.Query;
    socket.write(copyFail('the client has gone'));
    state.answers.copyEnded();
    if (!simple) this.#sync();
  }

  #sync(): void {
    this.#server.socket.write(sync());
    this.#server.state.answers.push(Owed.Sync);
  }

  #insist(): void {
    const cancel = (): void => {
      if (this.#server.cancels === 0) this.#acts.cancel();
    };
    this.#cancelling ??= new InsistentCancel(cancel, this.#acts.abandon, this.#timeoutMs);
  }
}

/**
 * Ends the transaction block that a client left open, if there is one. `done` is told whether the connection can be used
 * again; where it cannot, it is closed.
 */
export function rollBack(server: Server, timeoutMs: number, done: (usable: boolean) => void): void {
  if (server.status === TransactionStatus.Idle) {
    done(true);
    return;
  }
  runTask(server, 'ROLLBACK', timeoutMs, (result) => {
    const usable = result.outcome === 'done' && server.status === TransactionStatus.Idle;
    if (!usable) server.close('cleanup_failed');
    done(usable);
  });
}
