/** What a token is. Comments and white space are no tokens. */
export const Token = {
  End: 0,
  /** An identifier or keyword without quotes. */
  Word: 1,
  /** An identifier in double quotes. */
  QuotedWord: 2,
  /** A string constant in any notation, dollar quotes included. */
  String: 3,
  Number: 4,
  /** `$1` */
  Parameter: 5,
  /** One character of punctuation or of an operator. */
  Symbol: 6,
} as const;
export type Token = (typeof Token)[keyof typeof Token];

const Quote = { None: 0, Plain: 1, Backslash: 2 } as const;
type Quote = (typeof Quote)[keyof typeof Quote];

/**
 * Walks over SQL as PostgreSQL's own scanner does (`scan.l`): nested comments, `E''` strings, strings continued on the
 * next line, dollar quotes. One token at a time and nothing allocated, since texts may be long.
 *
 * Works on a string whose characters are bytes (latin1) as well as on decoded text: every character that matters is
 * ASCII, and all above it belong to identifiers. What is unterminated ends with the text.
 */
export class SqlScanner {
  readonly text: string;
  readonly #standardConformingStrings: boolean;
  readonly #end: number;
  #at: number;

  /** First character of the token that `next()` found. */
  start = 0;

  constructor(text: string, standardConformingStrings = true, from = 0, to = text.length) {
    this.text = text;
    this.#standardConformingStrings = standardConformingStrings;
    this.#at = from;
    this.#end = to;
  }

  /** Just behind the token that `next()` found. */
  get end(): number {
    return this.#at;
  }

  /** The token's characters. */
  get raw(): string {
    return this.text.slice(this.start, this.#at);
  }

  /** The token as a name: a word in lower case, a quoted identifier without its quotes. */
  get name(): string {
    const raw = this.raw;
    return raw.startsWith('"') ? raw.slice(1, -1).replaceAll('""', '"') : raw.toLowerCase();
  }

  next(): Token {
    this.#skipSpace();
    const at = this.#at;
    this.start = at;
    if (at >= this.#end) return Token.End;
    const code = this.text.charCodeAt(at);
    const prefixed = this.#prefixedQuote(code, at);
    if (prefixed > 0) return this.#prefixedString(prefixed, code);
    if (isWordStart(code)) return this.#word();
    if (isDigit(code) || (code === 0x2e && isDigit(this.#code(at + 1)))) return this.#number();
    if (code === 0x27) {
      this.#string(at + 1, this.#standardConformingStrings ? Quote.Plain : Quote.Backslash);
      return Token.String;
    }
    if (code === 0x22) return this.#quotedWord(at + 1);
    if (code === 0x24) return this.#dollar(at);
    this.#at = at + 1;
    return Token.Symbol;
  }

  #code(at: number): number {
    return at < this.#end ? this.text.charCodeAt(at) : 0;
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#code(this.#at);
      if (isSpace(code)) this.#at++;
      else if (code === 0x2d && this.#code(this.#at + 1) === 0x2d) this.#skipLine();
      else if (code === 0x2f && this.#code(this.#at + 1) === 0x2a) this.#skipComment();
      else return;
    }
  }

  /** `--` to the end of the line; a carriage return ends it too. */
  #skipLine(): void {
    while (this.#at < this.#end && !isNewline(this.#code(this.#at))) this.#at++;
  }

  /** Block comments nest. */
  #skipComment(): void {
    let depth = 0;
    while (this.#at < this.#end) {
      const code = this.#code(this.#at);
      const following = this.#code(this.#at + 1);
      if (code === 0x2f && following === 0x2a) depth++;
      else if (code === 0x2a && following === 0x2f) depth--;
      else {
        this.#at++;
        continue;
      }
      this.#at += 2;
      if (depth === 0) return;
    }
  }

  /** Length of a prefix that makes the quote behind it a string or a quoted identifier of another notation; or 0. */
  #prefixedQuote(code: number, at: number): number {
    const lower = code | 0x20;
    const following = this.#code(at + 1);
    // E'', B'', X'', N''
    if (following === 0x27 && (lower === 0x65 || lower === 0x62 || lower === 0x78 || lower === 0x6e)) return 1;
    // U&'' and U&""
    if (lower !== 0x75 || following !== 0x26) return 0;
    const quote = this.#code(at + 2);
    return quote === 0x27 || quote === 0x22 ? 2 : 0;
  }

  #prefixedString(prefix: number, code: number): Token {
    const quote = this.start + prefix;
    if (this.#code(quote) === 0x22) return this.#quotedWord(quote + 1);
    const lower = code | 0x20;
    // N'' is a plain string behind a type name; B'', X'' and U&'' know no backslash.
    const plain = lower !== 0x65 && (lower !== 0x6e || this.#standardConformingStrings);
    this.#string(quote + 1, plain ? Quote.Plain : Quote.Backslash);
    return Token.String;
  }

  #string(from: number, quote: Quote): void {
    let at = from;
    while (at < this.#end) {
      const code = this.text.charCodeAt(at);
      if (code === 0x5c && quote === Quote.Backslash) at += 2;
      else if (code !== 0x27) at++;
      else if (this.#code(at + 1) === 0x27) at += 2;
      else {
        const continued = this.#continuation(at + 1);
        if (continued === 0) {
          this.#at = at + 1;
          return;
        }
        at = continued;
      }
    }
    this.#at = this.#end;
  }

  /** A string goes on behind white space with a newline in it (comments to the line's end allowed); else 0. */
  #continuation(from: number): number {
    let at = from;
    let newline = false;
    for (;;) {
      const code = this.#code(at);
      if (isSpace(code)) {
        newline ||= isNewline(code);
        at++;
      } else if (code === 0x2d && this.#code(at + 1) === 0x2d) {
        while (at < this.#end && !isNewline(this.#code(at))) at++;
      } else {
        return newline && code === 0x27 ? at + 1 : 0;
      }
    }
  }

  #quotedWord(from: number): Token {
    let at = from;
    for (;;) {
      const close = this.text.indexOf('"', at);
      if (close < 0 || close >= this.#end) {
        this.#at = this.#end;
        return Token.QuotedWord;
      }
      if (this.#code(close + 1) !== 0x22) {
        this.#at = close + 1;
        return Token.QuotedWord;
      }
      at = close + 2;
    }
  }

  #word(): Token {
    let at = this.#at + 1;
    while (at < this.#end && isWordPart(this.text.charCodeAt(at))) at++;
    this.#at = at;
    return Token.Word;
  }

  #number(): Token {
    let at = this.#at + 1;
    for (;;) {
      const code = this.#code(at);
      const signed = (code === 0x2b || code === 0x2d) && (this.#code(at - 1) | 0x20) === 0x65;
      if (!isWordPart(code) && code !== 0x2e && !signed) break;
      // A sign follows an exponent only where digits follow it: `1e-2`, but not the comment of `1e--`.
      if (signed && !isDigit(this.#code(at + 1))) break;
      at++;
    }
    this.#at = at;
    return Token.Number;
  }

  /** `$1`, `$$…$$`, `$tag$…$tag$`, or a lone `$`. */
  #dollar(at: number): Token {
    let tag = at + 1;
    if (isDigit(this.#code(tag))) {
      while (isDigit(this.#code(tag))) tag++;
      this.#at = tag;
      return Token.Parameter;
    }
    if (isWordStart(this.#code(tag))) while (isWordPart(this.#code(tag)) && this.#code(tag) !== 0x24) tag++;
    if (this.#code(tag) !== 0x24) {
      this.#at = at + 1;
      return Token.Symbol;
    }
    const delimiter = this.text.slice(at, tag + 1);
    const close = this.text.indexOf(delimiter, tag + 1);
    this.#at = close < 0 || close + delimiter.length > this.#end ? this.#end : close + delimiter.length;
    return Token.String;
  }
}

function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}

function isNewline(code: number): boolean {
  return code === 0x0a || code === 0x0d;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function isWordStart(code: number): boolean {
  const lower = code | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || code === 0x5f || code >= 0x80;
}

function isWordPart(code: number): boolean {
  return isWordStart(code) || isDigit(code) || code === 0x24;
}
