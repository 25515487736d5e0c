import * as z from 'zod';
import { LinearPattern } from '../util/linear-pattern.ts';

/** The longest delay that Node's timers take: 2^31 - 1 ms; a longer one would fire at once. */
const MAX_MILLISECONDS = 2_147_483_647;

/** What a section's schema gives, with every key present and nothing writable. */
export type Resolved<Schema extends z.ZodType> = DeepReadonly<Required<z.output<Schema>>>;

type DeepReadonly<T> = T extends (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

/** Each part carries as its only error message what it accepts, worded to follow "accepted: ". */
function part<Schema extends z.ZodType>(make: (accepted: string) => Schema, accepted: string): Schema {
  return make(accepted);
}

/** An integer within bounds; `unit` and `zero` (what 0 means) are told to whoever gives another value. */
export function integer(from: number, to: number, words: { readonly unit?: string; readonly zero?: string } = {}) {
  const remarks = [words.unit, words.zero === undefined ? undefined : `0: ${words.zero}`].filter(
    (remark) => remark !== undefined,
  );
  const remark = remarks.length === 0 ? '' : ` (${remarks.join(', ')})`;
  return part(
    (error) => z.number({ error }).int({ error }).min(from, { error }).max(to, { error }),
    `an integer from ${from} to ${to}${remark}`,
  );
}

/** A duration that cannot be switched off. */
export function milliseconds() {
  return integer(1, MAX_MILLISECONDS, { unit: 'milliseconds' });
}

/** A duration of which 0 means `zero`. */
export function millisecondsOr(zero: string) {
  return integer(0, MAX_MILLISECONDS, { unit: 'milliseconds', zero });
}

/** A size in bytes. */
export function bytes(from: number, to: number) {
  return integer(from, to, { unit: 'bytes' });
}

/** A TCP port. */
export function port() {
  return integer(1, 65_535);
}

/** A share: 0.5 is half. */
export function share() {
  return part((error) => z.number({ error }).min(0, { error }).max(1, { error }), 'a number from 0 to 1');
}

/** A switch. */
export function flag() {
  return part((error) => z.boolean({ error }), 'true or false');
}

/** A string that says something. NUL ends a string in PostgreSQL's protocol, so none may hold one. */
export function text(accepted = 'a string that is not empty') {
  return part(
    (error) =>
      z
        .string({ error })
        .min(1, { error })
        .regex(/^[^\0]*$/, { error }),
    accepted,
  );
}

/** One of a few words. */
export function oneOf<const Words extends readonly [string, ...string[]]>(words: Words, remark = '') {
  const quoted = words.map((word) => `"${word}"`);
  const last = quoted.pop();
  const accepted = quoted.length === 0 ? `${last}` : `${quoted.join(', ')} or ${last}`;
  return part((error) => z.enum(words, { error }), accepted + remark);
}

/** At least one string. */
export function texts() {
  return part((error) => z.array(text(), { error }).min(1, { error }), 'a list of at least one string');
}

/** A regular expression that no text makes slow, as text. */
export function regularExpression() {
  const accepted = 'a regular expression in the syntax of RE2 (no lookaround, no references back)';
  return part((error) => text(error).refine(compiles, { error }), accepted);
}

function compiles(source: string): boolean {
  try {
    return new LinearPattern(source) instanceof LinearPattern;
  } catch {
    return false;
  }
}
