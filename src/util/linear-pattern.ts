import { RE2JS } from 're2js';

/** Characters of a text that are searched: a match of any pattern within them takes some milliseconds at worst. */
const SEARCHED_LENGTH = 262_144;

/**
 * A regular expression that no text makes slow: RE2's syntax, in which everything is found in time proportional to the
 * text's length, so that neither lookaround nor references back exist (https://github.com/google/re2/wiki/Syntax).
 */
export class LinearPattern {
  readonly #pattern: RE2JS;

  /** Throws an Error that says what is wrong with the source. */
  constructor(source: string) {
    this.#pattern = RE2JS.compile(source);
  }

  /** Whether the text has a match; `undefined` where it is too long to be searched whole and none was found. */
  isIn(text: string): boolean | undefined {
    if (text.length <= SEARCHED_LENGTH) return this.#pattern.test(text);
    return this.#pattern.test(text.slice(0, SEARCHED_LENGTH)) || undefined;
  }
}
