import { Backend } from '../protocol/message-types.ts';
import { runTask } from './server-task.ts';
import type { TaskResult } from './server-task.ts';
import type { Server } from './session-link.ts';

/**
 * Finds out whether a server still owes a ReadyForQuery: where a COPY fails whose data had a Sync among them, nobody can
 * tell from outside whether the COPY had taken that Sync or it ended the skipping behind the error. An empty query is
 * sent, whose EmptyQueryResponse divides what is left of the old answers (`late` is told of each ReadyForQuery with its
 * status) from the query's own.
 */
export function settleAnswers(
  server: Server,
  timeoutMs: number,
  late: (status: number) => void,
  done: (result: TaskResult) => void,
): void {
  let answered = false;
  runTask(server, '', timeoutMs, done, {
    before: (type, message) => {
      if (type === Backend.EmptyQueryResponse) answered = true;
      if (answered || type !== Backend.ReadyForQuery) return false;
      late(message[5] ?? 0);
      return true;
    },
  });
}
