import { quoteLiteral } from '../util/sql-quote.ts';
import { SETTINGS_LENGTH } from './settings.ts';

/** Why a client must keep its server connection; the first column of the audit's rows that say so. */
export const PinReason = {
  TemporaryObjects: 'temporary objects',
  AdvisoryLocks: 'advisory locks',
  Listen: 'LISTEN',
  HoldCursors: 'cursors WITH HOLD',
  Prepare: 'PREPARE',
  Load: 'LOAD',
  Connections: 'dblink connections',
  Seed: 'setseed',
  Sequences: 'sequence values',
  StatementNames: 'statement names',
} as const;
export type PinReason = (typeof PinReason)[keyof typeof PinReason];

/** What a look at a session found. */
export interface SessionFindings {
  /** Settings that were made in it, by lower-case name. */
  readonly settings: Map<string, string>;
  readonly pins: PinReason[];
}

const SETTING = 'setting';
/** Not the one that the session's own search_path leads to first. */
const EQUALS = 'OPERATOR(pg_catalog.=)';

/** Parameters of a transaction: SET TRANSACTION leaves them listed as the session's, where they mean nothing and cannot be reset. */
const OF_THE_TRANSACTION = ['transaction_isolation', 'transaction_read_only', 'transaction_deferrable'];

/**
 * The query that asks a session what was done to it. Rows are (kind, name, value): what the server itself knows is truer
 * than what could be read from the statements. `parameters`: names with a dot, which pg_settings does not list.
 */
export function auditQuery(parameters: Iterable<string>): string {
  const names = [...parameters].map(quoteLiteral).join(', ');
  const setting = quoteLiteral(SETTING);
  const selects = [
    `SELECT ${setting}, name, ${inAscii('setting')} FROM pg_catalog.pg_settings WHERE source ${EQUALS} 'session'` +
      OF_THE_TRANSACTION.map((name) => ` AND NOT name ${EQUALS} ${quoteLiteral(name)}`).join(''),
    `SELECT ${setting}, 'role', ${inAscii("pg_catalog.current_setting('role')")}`,
    `SELECT ${setting}, 'session_authorization', ${inAscii('session_user::pg_catalog.text')}`,
    pin(
      PinReason.TemporaryObjects,
      // Whatever is in a schema depends on it: relations, functions, types, operators …
      `SELECT 1 FROM pg_catalog.pg_depend WHERE refclassid ${EQUALS} 'pg_catalog.pg_namespace'::pg_catalog.regclass` +
        ` AND refobjid ${EQUALS} pg_catalog.pg_my_temp_schema()`,
    ),
    pin(
      PinReason.AdvisoryLocks,
      `SELECT 1 FROM pg_catalog.pg_locks WHERE locktype ${EQUALS} 'advisory' AND pid ${EQUALS} pg_catalog.pg_backend_pid()`,
    ),
    pin(PinReason.Listen, 'SELECT 1 FROM pg_catalog.pg_listening_channels()'),
    pin(PinReason.HoldCursors, 'SELECT 1 FROM pg_catalog.pg_cursors WHERE is_holdable'),
    pin(PinReason.Prepare, 'SELECT 1 FROM pg_catalog.pg_prepared_statements WHERE from_sql'),
  ];
  if (names !== '') {
    selects.push(
      `SELECT ${setting}, name, ${inAscii('pg_catalog.current_setting(name, true)')} FROM pg_catalog.unnest(ARRAY[${names}]) AS name`,
    );
  }
  return selects.join(' UNION ALL ');
}

/** A text as the digits of its UTF-8: the session may speak another encoding. Of one that is too long, enough to see that. */
function inAscii(expression: string): string {
  const enough = `pg_catalog.left(${expression}, ${SETTINGS_LENGTH + 1})`;
  return `pg_catalog.encode(pg_catalog.convert_to(${enough}, 'UTF8'), 'hex')`;
}

function pin(reason: PinReason, query: string): string {
  return `SELECT 'pin', ${quoteLiteral(reason)}, '' WHERE EXISTS (${query})`;
}

/** Reads the audit's rows. `loginUser`: whom a fresh session of this connection runs as. */
export function readFindings(rows: readonly (readonly (string | null)[])[], loginUser: string): SessionFindings {
  const settings = new Map<string, string>();
  const pins: PinReason[] = [];
  for (const [kind, name, text] of rows) {
    if (name === null || name === undefined || text === null || text === undefined) continue;
    const value = Buffer.from(text, 'hex').toString();
    if (kind === 'pin') pins.push(name as PinReason);
    else if (name === 'role' && value === 'none') continue;
    else if (name === 'session_authorization' && value === loginUser) continue;
    else settings.set(name.toLowerCase(), value);
  }
  return { settings, pins };
}
