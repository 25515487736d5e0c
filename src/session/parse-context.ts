import type { ParameterSet } from './parameter-set.ts';

/**
 * Parameters by which a text and its constants are read, when it is parsed, and by which PostgreSQL writes constants when
 * it plans it ("immutable" output functions), and not when it is run.
 */
const READ_BY = [
  'client_encoding',
  'datestyle',
  'intervalstyle',
  'timezone',
  'timezone_abbreviations',
  'standard_conforming_strings',
  'backslash_quote',
  'transform_null_equals',
  'array_nulls',
  'xmloption',
  'lc_monetary',
  'bytea_output',
  'extra_float_digits',
  'quote_all_identifiers',
];

/** What else than its text makes a prepared statement what it is: among a client's settings, those by which it is read. */
export function parseContext({ entries }: ParameterSet): string {
  if (entries.size === 0) return '';
  return READ_BY.flatMap((name) => {
    const value = entries.get(name);
    return value === undefined ? [] : [`${name}=${value}`];
  }).join('\n');
}
