import { TransactionStatus } from '../protocol/message-types.ts';
import { Touch } from '../session/state-touches.ts';
import type { Server, SessionLink } from './session-link.ts';

/**
 * What currval() and lastval() answer is a session's own. In a transaction block it was given there; outside of one it
 * was given in an earlier transaction. A client that asks for that keeps its server connection from then on. Where the
 * connection was another client's before, that one's numbers must be forgotten first: true says so, and the message
 * waits. `touches`: those of the statement that is about to be sent; `begun`: its request has begun.
 */
export function mustForgetSequences(link: SessionLink, server: Server, touches: number, begun: boolean): boolean {
  if ((touches & Touch.Sequences) === 0 || begun) return false;
  if (server.status !== TransactionStatus.Idle || server.state.answers.requests > 0) return false;
  link.watch.asksForSequences();
  const { sequencesOf } = server.state;
  link.foreignSequences = sequencesOf !== undefined && sequencesOf !== link.statements;
  return link.foreignSequences;
}
