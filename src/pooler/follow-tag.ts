import { TransactionStatus } from '../protocol/message-types.ts';
import { Owed } from '../session/answer-queue.ts';
import { doTouches } from '../session/state-touches.ts';
import { isReported } from './reported-parameters.ts';
import type { Executed } from './request-subject.ts';
import type { Server, SessionLink } from './session-link.ts';
import type { StateTag } from './state-tag.ts';
import type { StatementAnswers } from './statement-answers.ts';

/** Takes note of what a command did to the client's session, as its tag tells. It is the oldest that is answered. */
export function followTag(tag: StateTag, link: SessionLink, server: Server, statements: StatementAnswers): void {
  const executed = server.state.answers.headSubject as Executed | undefined;
  switch (tag) {
    case 'ROLLBACK':
      link.watch.rolledBack(executed);
      return link.recorder?.rolledBack();
    case 'SET': {
      const autocommit = server.status === TransactionStatus.Idle && server.state.answers.head !== Owed.Query;
      const alone = autocommit || (server.status === TransactionStatus.Idle && isLone(executed));
      return link.watch.set(executed, alone, (name) => isReported(server, name));
    }
    case 'RESET':
      return link.watch.ran(executed);
    case 'DISCARD ALL':
      server.state.discarded();
      link.watch.sequences = false;
      statements.allDeallocated(server);
      return link.watch.discarded();
    case 'DEALLOCATE ALL':
      statements.allDeallocated(server);
      return link.pins.length > 0 ? link.watch.unclear() : undefined;
    case 'DISCARD SEQUENCES':
      link.watch.sequences = false;
      return link.pins.length > 0 ? link.watch.unclear() : undefined;
    case 'DO':
      return doTouches(executed?.text) ? link.watch.ran(executed) : undefined;
    case 'LOAD':
      link.watch.loaded = true;
      return link.watch.unclear();
    case 'ends a pin':
      statements.deallocated(server);
      return link.pins.length > 0 ? link.watch.unclear() : undefined;
    default:
      return link.watch.unclear();
  }
}

/** Whether a simple query is one statement: others in it could undo what it does. */
function isLone(executed: Executed | undefined): boolean {
  return executed !== undefined && !/;\s*\S/.test(executed.text);
}
