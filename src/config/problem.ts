import { inspectValue } from './inspect-value.ts';

/** One thing wrong with a file, before it is put into words. */
export interface Problem {
  /** Dotted key, as an operator would name it: `general.port`, `databases[app].host`. */
  readonly key: string;
  readonly found: string;
  readonly accepted: string;
}

/** The line an operator reads: `pgmirror.toml: general.mirror_exposure: found 1.5, accepted: a number from 0 to 1`. */
export function problemLine(file: string, problem: Problem): string {
  return `${file}: ${problem.key}: found ${problem.found}, accepted: ${problem.accepted}`;
}

/** Keys whose values are never shown; a `${NAME}` in another key may carry a secret too, but then the key refuses nothing. */
const secretKeys: ReadonlySet<string> = new Set(['password', 'password_hash', 'server_password']);

/** What was found under `key`, in words that are safe to print. */
export function found(key: string, value: unknown): string {
  return inspectValue(value, { secret: secretKeys.has(key) });
}
