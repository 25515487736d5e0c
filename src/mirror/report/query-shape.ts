import { SqlScanner, Token } from '../../session/sql-scanner.ts';

/**
 * A text without comments and with `?` in place of every literal: what tells one kind of query from another, long before
 * a parser does. Texts of one shape have one fingerprint (but for `FETCH 10` and its kin, which it puts together).
 */
export function shapeOf(text: string, standardConformingStrings = true): string {
  return rewritten(text, standardConformingStrings, () => '?');
}

/** The text without comments, each run of white space one space. */
export function withoutComments(text: string, standardConformingStrings = true): string {
  return rewritten(text, standardConformingStrings, (literal) => literal);
}

/** The text with a parameter in place of every literal that is still there, numbered on from those it has. */
export function withoutLiterals(text: string, standardConformingStrings: boolean): string {
  let next = highestParameter(text);
  return rewritten(text, standardConformingStrings, () => `$${++next}`);
}

function rewritten(text: string, standardConformingStrings: boolean, literal: (raw: string) => string): string {
  const scanner = new SqlScanner(text, standardConformingStrings);
  let result = '';
  let end = 0;
  for (let token = scanner.next(); token !== Token.End; token = scanner.next()) {
    if (scanner.start > end && result !== '') result += ' ';
    end = scanner.end;
    const raw = text.slice(scanner.start, end);
    result += token === Token.String || token === Token.Number ? literal(raw) : raw;
  }
  return result;
}

function highestParameter(text: string): number {
  const scanner = new SqlScanner(text);
  let highest = 0;
  for (let token = scanner.next(); token !== Token.End; token = scanner.next()) {
    if (token === Token.Parameter) highest = Math.max(highest, Number(scanner.raw.slice(1)) || 0);
  }
  return highest;
}
