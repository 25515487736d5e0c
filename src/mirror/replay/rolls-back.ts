import { executedStatements } from './executed-statements.ts';
import type { MirroredTransaction } from './mirrored-transaction.ts';
import { RequestCursor } from './request-cursor.ts';
import { StatementTracker } from './statement-tracker.ts';
import { Control, controlOf } from './transaction-control.ts';

/** Whether this request of a transaction rolls its block back, and does nothing more: what comes then belongs to another block. */
export function rollsBack({ recorded, settings, unnamed, origin }: MirroredTransaction, index: number): boolean {
  const tracker = new StatementTracker(origin.statements, unnamed);
  const cursor = new RequestCursor();
  cursor.reset(recorded.recording);
  while (cursor.next()) {
    const [first, second] = executedStatements(cursor, tracker, settings.standardConformingStrings);
    if (cursor.index === index) return second === undefined && controlOf(first?.words ?? []) === Control.Rollback;
  }
  return false;
}
