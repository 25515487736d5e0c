/** Longest text of a value that a message shows. */
const MAX_SHOWN = 60;

/** A TOML value in words for a message: scalars as TOML writes them, the rest by kind; a secret by kind alone. */
export function inspectValue(value: unknown, options: { readonly secret: boolean }): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (value instanceof Date) return 'a date';
  if (typeof value === 'object') return 'a table';
  if (options.secret) return value === '' ? 'an empty string' : `a ${typeof value}`;
  if (typeof value === 'string') return quoted(value);
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : `a ${typeof value}`;
}

/** `text` between quotes, escaped so that it stays on one line, and cut where it is long. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text);
}
