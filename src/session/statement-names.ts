import { parse } from '../protocol/frontend-messages.ts';
import { touchesOf } from './state-touches.ts';
import { beginsTransaction } from './begins-transaction.ts';
import { endsTransaction } from './ends-transaction.ts';

/**
 * A statement text with its declared parameter types, as a Parse message carries them, under the one name it has on
 * every server connection and mirror. Clients that prepare the same text and read it alike share it, but for one that has
 * its own names on a server connection that it keeps.
 */
export class PreparedText {
  readonly id: number;
  readonly name: string;
  /** The name with its closing zero byte. */
  readonly nameBytes: Buffer;
  /** Its name on mirrors, where no client has names of its own; and with its closing zero byte. */
  readonly mirrorName: string;
  readonly mirrorNameBytes: Buffer;
  /** What follows the name in a Parse message: text, zero byte, parameter types. */
  readonly definition: Buffer;
  /** How it is read (parse-context.ts). */
  readonly context: string;
  /** What its text may do to the session (state-touches.ts). */
  readonly touches: number;
  /** Whether running it does nothing but begin a transaction block, or ends one. */
  readonly beginsTransaction: boolean;
  readonly endsTransaction: boolean;
  /** It has the name that its client gave it, and is no other client's. */
  readonly isOwn: boolean;
  /** Client statements that refer to it; at 0 the registry forgets it. */
  references = 0;
  /** The mirror process (by its incarnation) that was told the definition. */
  toldIncarnation = 0;
  #lastShape = '';

  constructor(id: number, name: string, definition: Buffer, mirrorName = name, context = '') {
    this.id = id;
    this.context = context;
    this.isOwn = mirrorName !== name;
    this.mirrorName = mirrorName;
    this.name = name;
    this.nameBytes = Buffer.from(`${name}\0`);
    this.mirrorNameBytes = this.isOwn ? Buffer.from(`${mirrorName}\0`) : this.nameBytes;
    this.definition = definition;
    this.touches = touchesOf(definition, 0, definition.length);
    this.beginsTransaction = beginsTransaction(definition, 0);
    this.endsTransaction = endsTransaction(definition, 0);
  }

  /** The statement's text alone. */
  get text(): string {
    return this.definition.toString('utf8', 0, this.definition.indexOf(0));
  }

  /** The Parse message that prepares it on a server. */
  parseMessage(): Buffer {
    return parse(this.name, this.definition);
  }

  /** The same shape as one string object: shapes are kept by every client and server, and hardly ever differ. */
  internShape(shape: string): string {
    if (shape !== this.#lastShape) this.#lastShape = shape;
    return this.#lastShape;
  }
}

/** The statement texts in use, each under one name. `prefix` keeps names apart from every other process and thread. */
export class StatementRegistry {
  readonly prefix: string;
  readonly #byDefinition = new Map<string, PreparedText>();
  readonly #forgotten: (text: PreparedText) => void;
  #nextId = 1;

  constructor(prefix: string, forgotten: (text: PreparedText) => void = () => undefined) {
    this.prefix = prefix;
    this.#forgotten = forgotten;
  }

  /** The text's entry, with one more reference. `definition` is copied where it is new. `context`: how it is read. */
  acquire(definition: Buffer, context = ''): PreparedText {
    const key = keyOf(definition, context);
    let text = this.#byDefinition.get(key);
    if (text === undefined) {
      const id = this.#nextId++;
      text = new PreparedText(id, `${this.prefix}${id}`, Buffer.from(definition), undefined, context);
      this.#byDefinition.set(key, text);
    }
    text.references++;
    return text;
  }

  /** An entry of one client alone, under the client's own name, with one reference. */
  own(name: string, definition: Buffer): PreparedText {
    const id = this.#nextId++;
    const text = new PreparedText(id, name, Buffer.from(definition), `${this.prefix}${id}`);
    text.references = 1;
    return text;
  }

  /** Gives one reference back. */
  release(text: PreparedText): void {
    text.references--;
    if (text.references > 0) return;
    if (!text.isOwn) this.#byDefinition.delete(keyOf(text.definition, text.context));
    this.#forgotten(text);
  }

  get size(): number {
    return this.#byDefinition.size;
  }
}

/** No text ends a context and begins another: what stands between them is not to be had in latin1. */
function keyOf(definition: Buffer, context: string): string {
  const text = definition.toString('latin1');
  return context === '' ? text : `${context}\uffff${text}`;
}
