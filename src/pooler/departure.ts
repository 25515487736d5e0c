import { copyFail, sync } from '../protocol/frontend-messages.ts';
import { TransactionStatus } from '../protocol/message-types.ts';
import { Owed } from '../session/answer-queue.ts';
import { runTask } from './server-task.ts';
import type { Server } from './session-link.ts';

/** Whether the server is in a transaction block that nothing it was sent ends. */
export function staysInBlock(server: Server): boolean {
  return server.status !== TransactionStatus.Idle && !server.state.ending;
}

/**
 * The client is gone in mid-request: sees to it that the server comes to a ReadyForQuery, as it would with a client of
 * its own that vanished. What was sent whole is run to its end outside a transaction block; inside a block it is to be
 * cancelled, for it will be rolled back; a COPY is failed; what was sent in part, or was executed without its Sync, can
 * only be dropped with the connection (a Sync would commit it). `partial`: the client sent the beginning of a message.
 */
export function departure(server: Server, partial: boolean): 'ends' | 'cancel' | 'close' {
  const { answers } = server.state;
  // After a Sync amid COPY data, nobody knows how many ReadyForQuerys are to come.
  if (partial || answers.executeWithoutSync || answers.awaitsCopy) return 'close';
  if (answers.copyIn) {
    const simple = answers.head === Owed.Query;
    server.socket.write(copyFail('the client has gone'));
    answers.copyEnded();
    if (!simple) {
      server.socket.write(sync());
      answers.push(Owed.Sync);
    }
    return 'ends';
  }
  if (answers.segmentOpen || answers.skipping) {
    server.socket.write(sync());
    answers.push(Owed.Sync);
    return 'ends';
  }
  return answers.requests > 0 && staysInBlock(server) ? 'cancel' : 'ends';
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
