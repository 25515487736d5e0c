import { SqlScanner, Token } from './sql-scanner.ts';

/** One statement of a simple query's text. */
export interface StatementText {
  /** First character of its first token. */
  readonly start: number;
  /** Behind its last token; its semicolon is not part of it. */
  readonly end: number;
  /** Its first words (keywords and names, quoted ones included) in lower case; `(` and other tokens end the list. */
  readonly words: readonly string[];
}

/** As many words as it takes to tell `CREATE OR REPLACE TEMPORARY VIEW` and kin. */
const HEAD_WORDS = 8;

/**
 * Splits the text of a simple query into its statements, as PostgreSQL would: empty ones are left out; semicolons in
 * quotes, comments, parentheses (rules) and SQL-standard function bodies (`BEGIN ATOMIC … END`) divide nothing.
 * Offsets count characters of `text`, so on latin1 text they count bytes.
 */
export function splitStatements(text: string, standardConformingStrings = true): StatementText[] {
  const scanner = new SqlScanner(text, standardConformingStrings);
  const statements: StatementText[] = [];
  const splitter = new Splitter();
  for (;;) {
    const token = scanner.next();
    if (token === Token.End || splitter.ends(token, scanner)) {
      const statement = splitter.take();
      if (statement) statements.push(statement);
      if (token === Token.End) return statements;
    } else {
      splitter.add(token, scanner);
    }
  }
}

/** The first words of a text that holds one statement (that of a Parse message). */
export function headWords(text: string): readonly string[] {
  return splitStatements(text)[0]?.words ?? [];
}

/** Gathers the tokens of one statement. Function bodies are told as psql tells them (`psqlscan.l`). */
class Splitter {
  #start = -1;
  #end = 0;
  #words: string[] = [];
  #headOpen = true;
  #parentheses = 0;
  #bodyDepth = 0;

  ends(token: Token, scanner: SqlScanner): boolean {
    return isSymbol(token, scanner, 0x3b) && this.#parentheses === 0 && this.#bodyDepth === 0;
  }

  add(token: Token, scanner: SqlScanner): void {
    if (this.#start < 0) this.#start = scanner.start;
    this.#end = scanner.end;
    if (isSymbol(token, scanner, 0x28)) this.#parentheses++;
    else if (isSymbol(token, scanner, 0x29) && this.#parentheses > 0) this.#parentheses--;
    if (this.#headOpen) this.#addToHead(token, scanner);
    if (token === Token.Word && this.#parentheses === 0) this.#followBody(scanner);
  }

  take(): StatementText | undefined {
    const statement = this.#start < 0 ? undefined : { start: this.#start, end: this.#end, words: this.#words };
    this.#start = -1;
    this.#words = [];
    this.#headOpen = true;
    this.#parentheses = 0;
    this.#bodyDepth = 0;
    return statement;
  }

  #addToHead(token: Token, scanner: SqlScanner): void {
    if (token === Token.Word || token === Token.QuotedWord) this.#words.push(scanner.name);
    else if (!isSymbol(token, scanner, 0x28) || this.#words.length > 0) this.#headOpen = false;
    if (this.#words.length === HEAD_WORDS) this.#headOpen = false;
  }

  #followBody(scanner: SqlScanner): void {
    if (!this.#createsRoutine()) return;
    const length = scanner.end - scanner.start;
    if (length < 3 || length > 5) return;
    const word = scanner.name;
    if (word === 'begin') this.#bodyDepth++;
    else if (word === 'case' && this.#bodyDepth > 0) this.#bodyDepth++;
    else if (word === 'end' && this.#bodyDepth > 0) this.#bodyDepth--;
  }

  #createsRoutine(): boolean {
    const [first, second, , fourth] = this.#words;
    if (first !== 'create') return false;
    const kind = second === 'or' ? fourth : second;
    return kind === 'function' || kind === 'procedure';
  }
}

function isSymbol(token: Token, scanner: SqlScanner, code: number): boolean {
  return token === Token.Symbol && scanner.text.charCodeAt(scanner.start) === code;
}
