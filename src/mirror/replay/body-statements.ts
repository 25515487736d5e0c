import { SqlScanner, Token } from '../../session/sql-scanner.ts';
import type { StatementText } from '../../session/statement-text.ts';

/** Behind these words of PL/pgSQL a statement begins. */
const OPENS: ReadonlySet<string> = new Set(['begin', 'else', 'loop', 'then']);
/** As many words of each as `splitStatements` tells. */
const HEAD_WORDS = 8;

/**
 * The statements of a body in PL/pgSQL, nested ones apart. Rather one too many: an expression with CASE is taken for
 * several.
 */
export function bodyStatements(text: string, standardConformingStrings = true): StatementText[] {
  const scanner = new SqlScanner(text, standardConformingStrings);
  const statements: StatementText[] = [];
  let start = -1;
  let end = 0;
  let words: string[] = [];
  let headOpen = true;
  for (;;) {
    const token = scanner.next();
    const divides = token === Token.Symbol && text[scanner.start] === ';';
    if (token === Token.End || divides || (token === Token.Word && OPENS.has(scanner.name))) {
      if (start >= 0) statements.push({ start, end, words });
      if (token === Token.End) return statements;
      start = -1;
      words = [];
      headOpen = true;
      continue;
    }
    if (start < 0) start = scanner.start;
    end = scanner.end;
    headOpen &&= (token === Token.Word || token === Token.QuotedWord) && words.length < HEAD_WORDS;
    if (headOpen) words.push(scanner.name);
  }
}
