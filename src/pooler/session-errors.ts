import { CIRCLE_SQLSTATE } from '../mirror/record/look-name.ts';
import type { ErrorFields } from '../protocol/backend-messages.ts';

/** pgmirror ends a client, because it stops or was told to. */
export const SHUTDOWN: ErrorFields = {
  severity: 'FATAL',
  code: '57P01',
  message: 'terminating connection due to administrator command',
};

/** Nobody is let in any more. */
export const STOPPING: ErrorFields = {
  severity: 'FATAL',
  code: '57P03',
  message: 'the database system is shutting down',
};

/** More than `max_client_connections`. */
export const TOO_MANY_CLIENTS: ErrorFields = {
  severity: 'FATAL',
  code: '53300',
  message: 'sorry, too many clients already',
};

/** More than `max_login_connections`. */
export const TOO_MANY_LOGINS: ErrorFields = {
  severity: 'FATAL',
  code: '53300',
  message: 'too many connections are logging in',
};

/** A pgmirror looks at a database whose mirrors lead back to it. */
export const CIRCLE: ErrorFields = {
  severity: 'FATAL',
  code: CIRCLE_SQLSTATE,
  message: 'its mirrors lead back to this one',
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

/** A client makes more settings than are kept for it. */
export const TOO_MANY_SETTINGS: ErrorFields = {
  severity: 'FATAL',
  code: '54000',
  message: 'too many settings: a pooler keeps 10000 names and 1 MB of them for a client',
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
