import { createHash } from 'node:crypto';
import { fingerprintSync, loadModule, normalizeSync } from 'libpg-query';
import { shapeOf, withoutComments, withoutLiterals } from './query-shape.ts';

/** A kind of query. One object for each, as long as it is remembered: but two of them may have the same fingerprint. */
export interface QueryIdentity {
  /** 16 hexadecimal digits: libpg-query's own, or a hash of the text's shape where that has none to give. */
  readonly fingerprint: string;
  /** The text with parameters in place of literals, without comments; bounded in length. */
  readonly text: string;
  /** PostgreSQL's parser has understood it, and all of it is in `text`. */
  readonly isParsed: boolean;
}

/** A longer text is told by its beginning: the parser takes seconds and half a gigabyte for megabytes. */
const MAX_PARSED = 16_384;
const MAX_SHOWN = 4_096;
/** Shapes remembered, and how many characters of keys they may have together. */
const MAX_SHAPES = 10_000;
const MAX_SHAPE_CHARACTERS = 8_388_608;
const FINGERPRINT = /^[0-9a-f]{16}$/;

/**
 * Tells which kind of query a text is. Texts come as their bytes (latin1), as they lie in messages. What the parser said
 * is remembered by shape, so that a text with other literals costs one scan.
 */
export class QueryIdentifier {
  readonly #byShape = new Map<string, QueryIdentity>();
  #characters = 0;

  private constructor() {}

  static async load(): Promise<QueryIdentifier> {
    await loadModule();
    return new QueryIdentifier();
  }

  identify(text: string, standardConformingStrings = true): QueryIdentity {
    const isWhole = text.length <= MAX_PARSED;
    const beginning = isWhole ? text : text.slice(0, MAX_PARSED);
    const shape = shapeOf(beginning, standardConformingStrings);
    const known = this.#byShape.get(shape);
    if (known !== undefined) {
      // The order of a Map is that of insertion: what was used last stands at the end.
      if (this.#byShape.size > MAX_SHAPES / 2) {
        this.#byShape.delete(shape);
        this.#byShape.set(shape, known);
      }
      return known;
    }
    const identity = identified(beginning, shape, { isWhole, standardConformingStrings });
    this.#remember(shape, identity);
    return identity;
  }

  #remember(shape: string, identity: QueryIdentity): void {
    this.#byShape.set(shape, identity);
    this.#characters += shape.length;
    for (const oldest of this.#byShape.keys()) {
      if (this.#byShape.size <= MAX_SHAPES && this.#characters <= MAX_SHAPE_CHARACTERS) return;
      this.#byShape.delete(oldest);
      this.#characters -= oldest.length;
    }
  }
}

interface TextKind {
  readonly isWhole: boolean;
  readonly standardConformingStrings: boolean;
}

function identified(latin1: string, shape: string, kind: TextKind): QueryIdentity {
  const text = decoded(withoutComments(latin1, kind.standardConformingStrings));
  const known = kind.isWhole ? parsed(text) : undefined;
  if (known !== undefined) return known;
  const fingerprint = createHash('sha256').update(shape, 'latin1').digest('hex').slice(0, 16);
  const shown = withoutLiterals(text, kind.standardConformingStrings);
  return { fingerprint, text: shortened(shown, !kind.isWhole), isParsed: false };
}

/** What the parser says; undefined where it has no answer. */
function parsed(text: string): QueryIdentity | undefined {
  try {
    const fingerprint = fingerprintSync(text);
    // It returns some of its errors in place of a result.
    if (!FINGERPRINT.test(fingerprint)) return undefined;
    // It keeps the literals of statements that take no expressions, such as COMMENT.
    const shown = withoutLiterals(normalizeSync(text), true);
    return { fingerprint, text: shortened(shown, false), isParsed: shown.length <= MAX_SHOWN };
  } catch {
    return undefined;
  }
}

/** Invalid UTF-8 becomes U+FFFD. */
function decoded(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString('utf8');
}

function shortened(text: string, isCut: boolean): string {
  if (text.length > MAX_SHOWN) return `${text.slice(0, MAX_SHOWN)}…`;
  return isCut ? `${text}…` : text;
}
