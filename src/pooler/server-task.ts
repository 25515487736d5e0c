import type { ServerConnection } from '../pool/server-connection.ts';
import { dataRowValues, isLastMessage, parseErrorFields } from '../protocol/backend-messages.ts';
import type { ErrorFields } from '../protocol/backend-messages.ts';
import { query } from '../protocol/frontend-messages.ts';
import { MessageCollector } from '../protocol/message-collector.ts';
import { Backend } from '../protocol/message-types.ts';
import type { ServerSession } from '../session/server-session.ts';
import { readParameterStatus } from './parameter-status.ts';

/** Where a session's own statements end: nothing of theirs is long. */
const MESSAGE_LIMIT = 16 * 1024 * 1024;

/** How a task of pgmirror's own on a server ended. */
export type TaskResult =
  | { readonly outcome: 'done' }
  /** The server answered with an error; the connection is usable. */
  | { readonly outcome: 'error'; readonly error: ErrorFields }
  /** The connection was lost, or did not answer in time and was closed. */
  | LostServer;

/** A server connection is gone; `lastWords` is the ErrorResponse in which the server said why. */
export interface LostServer {
  readonly outcome: 'lost';
  readonly reason: string;
  readonly lastWords: Buffer | undefined;
}

/** What else is to be seen of a task's answers. */
export interface TaskWatch {
  /** Each row's values, as text. */
  readonly row?: (values: (string | null)[]) => void;
  /** Every message; true: it is none of the task's. */
  readonly before?: (type: number, message: Buffer) => boolean;
}

/**
 * Runs a simple query of pgmirror's own on a server connection that nobody else uses, and calls `done` once. Parameters
 * that change with it are followed; rows go to `watch`. The server's unnamed statement is gone afterwards.
 */
export function runTask(
  server: ServerConnection<ServerSession>,
  sql: string,
  timeoutMs: number,
  done: (result: TaskResult) => void,
  watch: TaskWatch = {},
): void {
  runMessages(server, query(sql), timeoutMs, done, watch);
}

/** Sends messages of pgmirror's own that one ReadyForQuery answers, as `runTask` does a query. */
export function runMessages(
  server: ServerConnection<ServerSession>,
  messages: Buffer,
  timeoutMs: number,
  done: (result: TaskResult) => void,
  watch: TaskWatch = {},
): void {
  let error: ErrorFields | undefined;
  let lastWords: Buffer | undefined;
  const collector = new MessageCollector({ maxLength: MESSAGE_LIMIT });
  const timer = setTimeout(() => {
    server.close('cleanup_failed');
    done(lost(`the server did not answer within ${timeoutMs} ms`));
  }, timeoutMs);
  let finished: TaskResult | undefined;
  const each = (type: number, message: Buffer): false | void => {
    if (watch.before?.(type, message) === true) return;
    if (type === Backend.DataRow) watch.row?.(dataRowValues(message));
    if (type === Backend.ErrorResponse) {
      error ??= parseErrorFields(message);
      if (isLastMessage(message)) lastWords = message;
    }
    if (type === Backend.ParameterStatus) {
      const { name, value } = readParameterStatus(message, 0, message.length);
      server.state.reported = server.state.reported.with(name, value);
    }
    if (type !== Backend.ReadyForQuery) return;
    server.status = message[5] ?? 0;
    finished = error === undefined ? { outcome: 'done' } : { outcome: 'error', error };
    return false;
  };
  server.setUser({
    bytes: (chunk) => {
      try {
        collector.push(chunk, each);
      } catch {
        clearTimeout(timer);
        server.close('protocol_error');
        done(lost('the server broke the protocol'));
        return;
      }
      if (finished === undefined) return;
      clearTimeout(timer);
      // What came behind the answer, a notification or the server's last words, is for whoever has the connection next.
      const rest = collector.takeRest();
      server.setUser(undefined);
      done(finished);
      if (rest.length > 0) server.received(rest);
    },
    lost: (reason) => {
      clearTimeout(timer);
      done(lost(reason, lastWords));
    },
  });
  server.state.unnamedOwner = undefined;
  server.socket.resume();
  server.socket.write(messages);
}

function lost(reason: string, lastWords?: Buffer): LostServer {
  return { outcome: 'lost', reason, lastWords };
}
