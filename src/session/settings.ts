import { quoteIdentifier, quoteLiteral } from '../util/sql-quote.ts';
import type { ParameterSet } from './parameter-set.ts';

/** Reported parameters that no session can set. */
const NOT_SETTABLE = new Set([
  'server_version',
  'server_encoding',
  'integer_datetimes',
  'is_superuser',
  'in_hot_standby',
  'session_authorization',
]);

/** Whether a parameter the server reported can be given to another session by setting it. */
export function isSettable(name: string): boolean {
  return !NOT_SETTABLE.has(name.toLowerCase());
}

/**
 * The statement that turns a session with the settings `applied` into one with `wanted`. Values go through
 * set_config(), which takes a list (search_path) in the form in which the server reports it.
 */
export function settingsStatement(applied: ParameterSet, wanted: ParameterSet): string {
  const statements: string[] = [];
  for (const name of applied.entries.keys()) {
    if (!wanted.entries.has(name)) statements.push(`RESET ${quoteParameterName(name)}`);
  }
  const calls: string[] = [];
  for (const [name, value] of wanted.entries) {
    if (applied.entries.get(name) !== value) {
      calls.push(`pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(value)}, false)`);
    }
  }
  if (calls.length > 0) statements.push(`SELECT ${calls.join(', ')}`);
  return statements.join('; ');
}

function quoteParameterName(name: string): string {
  return name.split('.').map(quoteIdentifier).join('.');
}
