import { isUtf8 } from 'node:buffer';
import type { PreparedText, StatementRegistry } from './statement-names.ts';

/** PostgreSQL tells longer names apart by so many bytes only (NAMEDATALEN - 1). */
export const NAME_BYTES = 63;

/** What a statement counts for besides its text: its name, and what is kept of it. */
const BYTES_EACH = 512;

/** What a statement of this definition counts for among the bytes that one client may hold. */
export function bytesOf(definitionLength: number): number {
  return BYTES_EACH + definitionLength;
}

/**
 * A prepared statement as its client knows it. `segment` numbers the Sync that ends the stretch of messages in which it
 * was parsed (or closed), for as long as the server has not confirmed it.
 */
export class ClientStatement {
  readonly kind = 'statement';
  /** As its Parse has it, as latin1: one character a byte. */
  readonly name: string;
  /** As much of it as counts. */
  readonly key: string;
  readonly keyBytes: Buffer;
  text: PreparedText;
  /** The shape the client was told (result-shape.ts), `undefined` until the server has described it. */
  shape: string | undefined;
  /** ParseComplete has come. */
  ready = false;
  /** A Close was sent and has not been confirmed. */
  closing = false;
  segment: number;
  /** What the name meant before, in case this Parse is skipped. */
  previous: ClientStatement | undefined;
  /** The registry has its text back. */
  released = false;

  constructor(name: string, text: PreparedText, segment: number, previous: ClientStatement | undefined) {
    this.name = name;
    this.key = name.slice(0, NAME_BYTES);
    this.keyBytes = Buffer.from(this.key, 'latin1');
    this.text = text;
    this.segment = segment;
    this.previous = previous;
  }
}

/** A Parse or a Close that was sent, and neither confirmed nor skipped. */
interface Unconfirmed {
  readonly statement: ClientStatement;
  readonly action: 'parse' | 'close';
  readonly segment: number;
}

/**
 * The named prepared statements of one client. A Parse or Close takes effect when the server confirms it; until then it
 * counts for the messages of the same segment (the server runs them in order, or skips them all), and whoever refers to
 * it from a later segment waits. Statements are not transactional: a rollback brings nothing back.
 */
export class ClientStatements {
  readonly #registry: StatementRegistry;
  readonly #context: () => string;
  readonly #byName = new Map<string, ClientStatement>();
  #unconfirmed: Unconfirmed[] = [];
  #last: ClientStatement | undefined;
  #own = false;
  /** What they count for together (bytesOf). */
  bytes = 0;

  /** `context` tells how the client's texts are read at the moment (parse-context.ts). */
  constructor(registry: StatementRegistry, context: () => string = () => '') {
    this.#registry = registry;
    this.#context = context;
  }

  get size(): number {
    return this.#byName.size;
  }

  /** What the names of texts begin with on servers. */
  get prefix(): string {
    return this.#registry.prefix;
  }

  /** They have the client's own names on its server connection, which it must keep. */
  get own(): boolean {
    return this.#own;
  }

  /** From here on they have the client's own names on its server connection; none of them is unconfirmed. */
  useOwnNames(): void {
    this.#own = true;
    for (const statement of this.#byName.values()) {
      const { text } = statement;
      if (text.isOwn || !statement.ready || statement.closing) continue;
      statement.text = this.#text(statement.keyBytes, text.definition);
      this.#registry.release(text);
    }
  }

  /**
   * A confirmed statement is about to be prepared where it is not: there, it is read as the client's texts are now, and is
   * not to pass for one that was read otherwise.
   */
  readAnew(statement: ClientStatement): void {
    const { text } = statement;
    if (this.isReadNow(text)) return;
    statement.text = this.#registry.acquire(text.definition, this.#context());
    this.#registry.release(text);
  }

  /** Whether a text that was parsed just now was read as it is said to be. */
  isReadNow(text: PreparedText): boolean {
    return text.isOwn || text.context === this.#context();
  }

  /** Those that the server has confirmed, oldest first. */
  confirmed(): ClientStatement[] {
    return [...this.#byName.values()].filter((statement) => statement.ready && !statement.closing);
  }

  /** The statement under the name at `start`–`end` (without its zero byte). */
  find(bytes: Buffer, start: number, end: number): ClientStatement | undefined {
    const last = this.#last;
    const length = Math.min(end - start, NAME_BYTES);
    if (last !== undefined && last.keyBytes.length === length && same(last.keyBytes, bytes, start)) return last;
    const found = this.#byName.get(bytes.toString('latin1', start, start + length));
    if (found !== undefined) this.#last = found;
    return found;
  }

  /** A Parse under `name` was sent. */
  parsing(name: string, definition: Buffer, segment: number): ClientStatement {
    const previous = this.#byName.get(name.slice(0, NAME_BYTES));
    const text = this.#text(Buffer.from(name.slice(0, NAME_BYTES), 'latin1'), definition);
    const statement = new ClientStatement(name, text, segment, previous);
    this.bytes += bytesOf(definition.length);
    this.#set(statement.key, statement);
    this.#unconfirmed.push({ statement, action: 'parse', segment });
    return statement;
  }

  /** ParseComplete. */
  parsed(statement: ClientStatement): void {
    statement.ready = true;
    this.#confirmed(statement, 'parse');
  }

  /** A Close was sent; or, `mayFail`, a Query that does the same: what comes behind it is not skipped where it fails. */
  closing(statement: ClientStatement, segment: number, mayFail = false): void {
    statement.closing = true;
    statement.segment = mayFail ? NaN : segment;
    this.#unconfirmed.push({ statement, action: 'close', segment });
  }

  /** CloseComplete. */
  closed(statement: ClientStatement): void {
    this.#confirmed(statement, 'close');
    if (this.#byName.get(statement.key) === statement) this.#set(statement.key, undefined);
    this.#forgetPrevious((previous) => previous === statement);
    this.#release(statement);
  }

  /** The Close was refused: the statement is as it was. */
  notClosed(statement: ClientStatement): void {
    statement.closing = false;
    this.#confirmed(statement, 'close');
  }

  /** An error came in `segment`: what was not confirmed in it was skipped, and is undone from its end. */
  segmentFailed(segment: number): void {
    if (this.#unconfirmed.length === 0) return;
    for (const entry of [...this.#unconfirmed].reverse()) {
      if (entry.segment !== segment) continue;
      const { statement } = entry;
      if (entry.action === 'close') {
        this.notClosed(statement);
        continue;
      }
      this.#confirmed(statement, 'parse');
      if (this.#byName.get(statement.key) === statement) this.#set(statement.key, statement.previous);
      this.#release(statement);
    }
  }

  /** DEALLOCATE ALL or DISCARD ALL was run: everything confirmed before it is gone. */
  clear(): void {
    for (const statement of [...this.#byName.values()]) {
      if (!statement.ready) continue;
      this.#set(statement.key, undefined);
      this.#release(statement);
    }
    this.#forgetPrevious((previous) => previous.ready);
    if (this.#byName.size === 0) this.#own = false;
  }

  /** The client is gone. */
  dispose(): void {
    this.#forgetPrevious(() => true);
    for (const { statement } of this.#unconfirmed) this.#release(statement);
    for (const statement of this.#byName.values()) this.#release(statement);
    this.#byName.clear();
    this.#unconfirmed = [];
    this.#last = undefined;
    this.bytes = 0;
  }

  #text(name: Buffer, definition: Buffer): PreparedText {
    const own = this.#own && isUtf8(name);
    return own ? this.#registry.own(name.toString(), definition) : this.#registry.acquire(definition, this.#context());
  }

  #set(key: string, statement: ClientStatement | undefined): void {
    if (statement === undefined) this.#byName.delete(key);
    else this.#byName.set(key, statement);
    this.#last = undefined;
  }

  #confirmed(statement: ClientStatement, action: Unconfirmed['action']): void {
    const index = this.#unconfirmed.findIndex((entry) => entry.statement === statement && entry.action === action);
    if (index >= 0) this.#unconfirmed.splice(index, 1);
  }

  /** A Parse that is skipped must not bring back what is gone meanwhile. */
  #forgetPrevious(gone: (previous: ClientStatement) => boolean): void {
    for (const { statement } of this.#unconfirmed) {
      const { previous } = statement;
      if (previous === undefined || !gone(previous)) continue;
      statement.previous = undefined;
      this.#release(previous);
    }
  }

  #release(statement: ClientStatement): void {
    if (statement.released) return;
    statement.released = true;
    this.bytes -= bytesOf(statement.text.definition.length);
    this.#registry.release(statement.text);
  }
}

function same(name: Buffer, bytes: Buffer, start: number): boolean {
  for (let index = 0; index < name.length; index++) if (name[index] !== bytes[start + index]) return false;
  return true;
}
