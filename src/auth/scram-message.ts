import { ProtocolError } from '../protocol/protocol-error.ts';

/**
 * Reads the attributes of a SCRAM message in order (RFC 5802, section 7): `r=…,s=…,i=…`. The text is latin1, one
 * character for each byte. Error messages quote nothing the peer sent, so that they are safe in any log.
 */
export class ScramAttributes {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    if (text === '') throw malformed('empty message');
    // PostgreSQL takes these messages for C strings and refuses a zero byte within.
    if (text.includes('\0')) throw malformed('length mismatch');
    this.#text = text;
  }

  /** The letter of the next attribute; empty at the end. */
  get next(): string {
    return this.#text.charAt(this.#at);
  }

  /** What has not been read yet. */
  get rest(): string {
    return this.#text.slice(this.#at);
  }

  /** The value of the next attribute, which must have this letter. */
  value(letter: string): string {
    if (this.next !== letter) throw malformed(`attribute "${letter}" expected`);
    if (this.#text.charAt(this.#at + 1) !== '=') throw malformed(`"=" expected after attribute "${letter}"`);
    return this.#upToComma(this.#at + 2);
  }

  /** Passes over an extension attribute, whatever its letter: optional extensions are to be ignored. */
  skip(): void {
    if (!/^[A-Za-z]=/.test(this.#text.slice(this.#at, this.#at + 2))) throw malformed('attribute expected');
    this.#upToComma(this.#at + 2);
  }

  /** Passes over the "," that must come next. */
  comma(): void {
    if (this.next !== ',') throw malformed('"," expected');
    this.#at++;
  }

  /** Passes over one character. */
  skipCharacter(): void {
    this.#at++;
  }

  /** The message must be over. */
  end(): void {
    if (this.#at < this.#text.length) throw malformed('garbage at the end');
  }

  #upToComma(start: number): string {
    const comma = this.#text.indexOf(',', start);
    const end = comma < 0 ? this.#text.length : comma;
    this.#at = comma < 0 ? end : end + 1;
    return this.#text.slice(start, end);
  }
}

/** The error for a message that does not keep to RFC 5802, as PostgreSQL words it. */
export function malformed(detail: string): ProtocolError {
  return new ProtocolError(`malformed SCRAM message: ${detail}`);
}

/** Whether a nonce is made of what the RFC allows: printable ASCII without the comma. */
export function isPrintable(nonce: string): boolean {
  return /^[\x21-\x2b\x2d-\x7e]+$/.test(nonce);
}

/**
 * Decodes base64 strictly: padded, canonical, no other character. `undefined` where it is not that; Node would guess.
 */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}
