import { isAscii, isUtf8 } from 'node:buffer';
import {
  contains,
  leftToRight,
  mappedToNothing,
  nonAsciiSpace,
  prohibited,
  rightToLeft,
  unassigned,
} from './saslprep-tables.ts';

/** Characters that are put in order among themselves: marks, and two letters that normalization makes marks of. */
const MARKS = /[\p{M}\uff9e\uff9f]+/gu;
/** The Stream-Safe Text Format (UAX #15, section 13) has no more than 30. */
const MAX_MARKS = 100;

/**
 * Prepares a password for hashing as PostgreSQL does (RFC 4013; `pg_saslprep` in src/common/saslprep.c). What is not
 * valid UTF-8 or holds a prohibited character is hashed as it came: its encoding is unknown before login, and refusing
 * it would lock the user out. So is what has more combining marks in a row than any language: putting them in order takes
 * time that grows with their square, and whoever sends a password need not have one.
 */
export function saslprep(password: Buffer): Buffer {
  if (isAscii(password) || !isUtf8(password)) return password;
  const mapped = map(password.toString('utf8'));
  if (mapped.length === 0 || isProhibited(mapped)) return password;
  const text = mapped.map((codePoint) => String.fromCodePoint(codePoint)).join('');
  if (hasLongRunOfMarks(text)) return password;
  return Buffer.from(text.normalize('NFKC'), 'utf8');
}

function hasLongRunOfMarks(text: string): boolean {
  for (const [run] of text.matchAll(MARKS)) if (run.length > MAX_MARKS) return true;
  return false;
}

function map(text: string): number[] {
  const mapped: number[] = [];
  for (const character of text) {
    const codePoint = character.codePointAt(0) ?? 0;
    if (contains(nonAsciiSpace, codePoint)) mapped.push(0x20);
    else if (!contains(mappedToNothing, codePoint)) mapped.push(codePoint);
  }
  return mapped;
}

// PostgreSQL looks at the characters before normalization, where the RFC means those after it. What decides here is
// that both ends of a login compute the same bytes, so the deviation is kept.
function isProhibited(mapped: readonly number[]): boolean {
  return (
    mapped.some((codePoint) => contains(prohibited, codePoint) || contains(unassigned, codePoint)) ||
    breaksBidirectionalRules(mapped)
  );
}

// RFC 3454, section 6: right-to-left text has no left-to-right character, and begins and ends with a right-to-left one.
function breaksBidirectionalRules(mapped: readonly number[]): boolean {
  const isRightToLeft = (codePoint: number | undefined): boolean =>
    codePoint !== undefined && contains(rightToLeft, codePoint);
  if (!mapped.some(isRightToLeft)) return false;
  return (
    mapped.some((codePoint) => contains(leftToRight, codePoint)) ||
    !isRightToLeft(mapped[0]) ||
    !isRightToLeft(mapped.at(-1))
  );
}
