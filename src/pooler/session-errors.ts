import type { ErrorFields } from '../protocol/backend-messages.ts';

/** pgmirror ends a client, because it stops or was told to. */
export const SHUTDOWN: ErrorFields = {
  severity: 'FATAL',
  code: '57P01',
  message: 'terminating connection due to administrator command',
};

/** A client in statement mode began a transaction block. */
export const NO_BLOCKS: ErrorFields = {
  severity: 'FATAL',
  code: '25001',
  message: 'transaction blocks are not allowed in statement pooling mode',
};

/** A client would have to keep its server connection, and too many do. */
export const TOO_MANY_PINNED: ErrorFields = {
  severity: 'FATAL',
  code: '53300',
  message: 'too many clients keep a server connection of their own (pinned_pool_size)',
};

/** A client needs a server connection of its own, and its database has as many as it may have. */
export const TOO_MANY_OF_DATABASE: ErrorFields = {
  severity: 'FATAL',
  code: '53300',
  message: 'too many server connections of this database (max_db_connections)',
};

/** What a CancelRequest makes of a request that has not even got a server connection. */
export const CANCELLED: ErrorFields = {
  severity: 'ERROR',
  code: '57014',
  message: 'canceling statement due to user request',
};

/** A client prepares more than `prepared_statements_bytes`. */
export const TOO_MANY_BYTES: ErrorFields = {
  severity: 'ERROR',
  code: '54000',
  message: 'too many prepared statements: together they exceed prepared_statements_bytes',
};

/** A time limit of the configuration was passed. */
export function timeoutError(code: string, setting: string): ErrorFields {
  return { severity: 'FATAL', code, message: `terminating connection due to ${setting}` };
}

/** A client's server connection is gone. */
export function serverLostError(reason: string): ErrorFields {
  return { severity: 'FATAL', code: '08006', message: `the connection to the server was lost: ${reason}` };
}

/** Somebody who may log in asks for a database that is not configured. */
export function noDatabaseError(name: string): ErrorFields {
  return { severity: 'FATAL', code: '3D000', message: `database "${name}" does not exist` };
}
