import { TransactionStatus } from '../protocol/message-types.ts';
import { Touch } from '../session/state-touches.ts';
import type { Server, SessionLink } from './session-link.ts';

/**
 * What currval() and lastval() answer is a session's own. It was given in an earlier transaction, or before in the same
 * block. A client that asks outside of a block, or at the very beginning of one, keeps its server connection from then
 * on. Where the connection was another client's before, that one's numbers must be forgotten first: true says so, and the
 * message waits. `touches`: those of the statement that is about to be sent; `begun`: its request has begun.
 */
export function mustForgetSequences(link: SessionLink, server: Server, touches: number, begun: boolean): boolean {
  if ((touches & Touch.Sequences) === 0 || begun || server.status === TransactionStatus.Failed) return false;
  const { sequencesOf, answers } = server.state;
  const isForeign = sequencesOf !== undefined && sequencesOf !== link.statements && !link.hasUsedServer;
  // What was sent before is a BEGIN: it is answered first.
  if (answers.requests > 0) return isForeign;
  if (isForeign || server.status === TransactionStatus.Idle) link.watch.asksForSequences();
  link.foreignSequences = isForeign;
  return isForeign;
}
