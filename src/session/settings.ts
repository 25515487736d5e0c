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

/** Whether a value is the same in every encoding. */
export function isAscii(value: string): boolean {
  return /^\p{ASCII}*$/u.test(value);
}

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
  // Who the session is comes off first and on last: another role might not be allowed to set the rest.
  for (const name of IDENTITY) if (differs(applied, wanted, name)) reset(statements, applied, name);
  for (const name of applied.entries.keys()) {
    if (!wanted.entries.has(name) && !IDENTITY.includes(name)) reset(statements, applied, name);
  }
  const names = [...wanted.entries.keys()].filter((name) => !IDENTITY.includes(name));
  const calls = [...names, ...IDENTITY.toReversed()]
    .filter((name) => wanted.entries.has(name) && differs(applied, wanted, name))
    .map((name) => {
      const value = wanted.entries.get(name) ?? '';
      return `pg_catalog.set_config(${quoteLiteral(name)}, ${quoteSetting(value)}, false)`;
    });
  for (let from = 0; from < calls.length; from += COLUMNS) {
    statements.push(`SELECT ${calls.slice(from, from + COLUMNS).join(', ')}`);
  }
  return statements.join('; ');
}

/** PostgreSQL has room for 1664 columns in a result. */
const COLUMNS = 1_000;
/** A client's settings are kept, given to each server connection and told to mirrors: so long they may be together. */
export const SETTINGS_LENGTH = 1_048_576;

/** Whether settings are more than can be kept for a client. */
export function areTooMany(settings: ParameterSet): boolean {
  return settings.key.length > SETTINGS_LENGTH;
}

/**
 * Settings without those that a fresh login of the same server has anyway. Those of the client's own login are kept,
 * whatever their value: where one is missing it was reset, and that brings back the login's.
 */
export function withoutBaseline(
  settings: ParameterSet,
  server: { readonly baseline: ParameterSet },
  login: ParameterSet,
): ParameterSet {
  let rest = settings;
  for (const [reported, value] of server.baseline.entries) {
    const name = reported.toLowerCase();
    if (!login.entries.has(name) && rest.entries.get(name) === value) rest = rest.without(name);
  }
  return rest;
}

/** Settings that say who the session is: the role, and whose role it is taken from. */
const IDENTITY: readonly string[] = ['role', 'session_authorization'];

function differs(applied: ParameterSet, wanted: ParameterSet, name: string): boolean {
  return applied.entries.get(name) !== wanted.entries.get(name);
}

/** A setting's value in SQL, in whatever encoding the session reads that. */
export function quoteSetting(value: string): string {
  if (isAscii(value)) return quoteLiteral(value);
  return `pg_catalog.convert_from(pg_catalog.decode('${Buffer.from(value).toString('hex')}', 'hex'), 'UTF8')`;
}

function reset(statements: string[], applied: ParameterSet, name: string): void {
  if (applied.entries.has(name)) statements.push(`RESET ${quoteParameterName(name)}`);
}

function quoteParameterName(name: string): string {
  return name.split('.').map(quoteIdentifier).join('.');
}
