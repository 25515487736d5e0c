import { copyFail, sync } from '../protocol/frontend-messages.ts';
import { TransactionStatus } from '../protocol/message-types.ts';
import { Owed } from '../session/answer-queue.ts';
import { runTask } from './server-task.ts';
import type { Server } from './session-link.ts';

/**
 * Whether a client that has closed its sending half is still to be served: what it sent will come to an end by itself,
 * outside a transaction block (as in PostgreSQL, which finishes what it was sent).
 */
export function farewell(server: Server, unsent: boolean): boolean {
  const answers = server.state.answers;
  if (unsent || answers.copyIn || answers.segmentOpen || answers.skipping) return false;
  if (answers.requests === 0) return false;
  return server.status === TransactionStatus.Idle || server.state.ending;
}

/**
 * The client is gone in mid-request: sees to it that the server comes to a ReadyForQuery, as it would with a client of
 * its own that vanished. What was sent whole is run to its end outside a transaction block; inside a block it is
 * cancelled, for it will be rolled back; a COPY is failed; what was sent in part, or was executed without its Sync, can
 * only be dropped with the connection (a Sync would commit it). Returns false where the connection was closed.
 */
export function departure(
  server: Server,
  act: {
    readonly partial: boolean;
    readonly cancelAll: boolean;
    readonly cancel: () => void;
    readonly close: () => void;
  },
): boolean {
  const answers = server.state.answers;
  if (act.partial || answers.executeWithoutSync) {
    if (answers.length > 0) act.cancel();
    act.close();
    return false;
  }
  if (answers.copyIn) {
    const simple = answers.head === Owed.Query;
    server.socket.write(copyFail('the client has gone'));
    answers.push(Owed.CopyEnd);
    if (!simple) {
      server.socket.write(sync());
      answers.push(Owed.Sync);
    }
    return true;
  }
  if (answers.segmentOpen || answers.skipping) {
    server.socket.write(sync());
    answers.push(Owed.Sync);
    return true;
  }
  const inBlock = server.status !== TransactionStatus.Idle && !server.state.ending;
  if (answers.requests > 0 && (inBlock || act.cancelAll)) act.cancel();
  return true;
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
