import { Frontend, Target, TransactionStatus } from '../../protocol/message-types.ts';
import { close, parse, query, sync } from '../../protocol/frontend-messages.ts';
import { MessageWriter } from '../../protocol/message-writer.ts';
import { RESET_SESSION } from './session-settings.ts';

/** Releases the locks that a session holds beyond its transactions. */
const UNLOCK = 'SELECT pg_catalog.pg_advisory_unlock_all()';

/** No client's statement is called so: pool-wide names are pgmirror's own. */
const NAME = 'pgmirror_control';

/**
 * A request that runs one statement of pgmirror's own through a named prepared statement: a simple query would destroy
 * the unnamed one, which is the client's. Closed first, in case an earlier one was left behind by a failure.
 */
function controlRequest(sql: string): Buffer {
  const bind = new MessageWriter(Frontend.Bind).string('').string(NAME).int16(0).int16(0).int16(0).finish();
  const execute = new MessageWriter(Frontend.Execute).string('').int32(0).finish();
  const definition = new MessageWriter(undefined).string(sql).int16(0).finish().subarray(4);
  return Buffer.concat([
    close(Target.Statement, NAME),
    parse(NAME, definition),
    bind,
    execute,
    close(Target.Statement, NAME),
    sync(),
  ]);
}

export const BEGIN = controlRequest('BEGIN');
export const ROLLBACK = controlRequest('ROLLBACK');
export const ROLLBACK_AND_CHAIN = controlRequest('ROLLBACK AND CHAIN');

/**
 * What puts a session right at the end of a transaction, where anything has to be. `left`: what the client has left in it
 * beyond transactions, as nobody will need it.
 */
export function closingRequest(status: number, left: 'nothing' | 'locks' | 'session'): Buffer | undefined {
  const inBlock = status !== TransactionStatus.Idle;
  if (left === 'nothing') return inBlock ? ROLLBACK : undefined;
  const undone = left === 'locks' ? UNLOCK : `${RESET_SESSION.sql}; DEALLOCATE ALL`;
  return query(inBlock ? `ROLLBACK; ${undone}` : undone);
}
