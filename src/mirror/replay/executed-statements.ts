import { Frontend } from '../../protocol/message-types.ts';
import { splitStatements } from '../../session/statement-text.ts';
import type { RequestCursor } from './request-cursor.ts';
import type { StatementTracker } from './statement-tracker.ts';

/** A statement that a request runs: its first words, and where in the recording it stands. */
export interface ExecutedStatement {
  readonly words: readonly string[];
  /** In a Query: the statement's text. Otherwise its Execute message. */
  readonly from: number;
  readonly to: number;
}

/**
 * What a request runs, in order, but for what the source skipped. Takes the request's messages past the tracker, which
 * must have seen those of the transaction's earlier requests. A statement whose portal is not known has no words.
 */
export function executedStatements(
  cursor: RequestCursor,
  tracker: StatementTracker,
  standardConformingStrings: boolean,
): ExecutedStatement[] {
  const { bytes, end } = cursor;
  const executed: ExecutedStatement[] = [];
  for (let at = cursor.start; at < end;) {
    const messageEnd = cursor.messageEnd(at);
    const type = bytes[at] ?? 0;
    if (at < cursor.skipFrom || at >= cursor.skipTo) {
      const statement = tracker.message(type, bytes, at, messageEnd);
      if (type === Frontend.Query) {
        for (const { words, start, end: to } of splitStatements(
          cursor.queryText(at, messageEnd),
          standardConformingStrings,
        )) {
          executed.push({ words, from: at + 5 + start, to: at + 5 + to });
        }
      } else if (type === Frontend.Execute) {
        executed.push({ words: statement?.words ?? [], from: at, to: messageEnd });
      }
    }
    at = messageEnd;
  }
  return executed;
}
