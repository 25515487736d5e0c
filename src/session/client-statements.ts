import type { PreparedText, StatementRegistry } from './statement-names.ts';

/**
 * A prepared statement as its client knows it. `segment` numbers the Sync that ends the stretch of messages in which it
 * was parsed (or closed), for as long as the server has not confirmed it.
 */
export class ClientStatement {
  /** As latin1: one character a byte. */
  readonly name: string;
  readonly nameBytes: Buffer;
  readonly text: PreparedText;
  /** The shape the client was told (result-shape.ts), `undefined` until the server has described it. */
  shape: string | undefined;
  /** ParseComplete has come. */
  ready = false;
  /** A Close was sent and has not been confirmed. */
  closing = false;
  segment: number;
  /** What the name meant before, in case this Parse is skipped. */
  readonly previous: ClientStatement | undefined;

  constructor(name: string, text: PreparedText, segment: number, previous: ClientStatement | undefined) {
    this.name = name;
    this.nameBytes = Buffer.from(name, 'latin1');
    this.text = text;
    this.segment = segment;
    this.previous = previous;
  }
}

/**
 * The named prepared statements of one client. A Parse or Close takes effect when the server confirms it; until then it
 * counts for the messages of the same segment (the server runs them in order, or skips them all), and whoever refers to
 * it from a later segment waits. Statements are not transactional: a rollback brings nothing back.
 */
export class ClientStatements {
  readonly #registry: StatementRegistry;
  readonly #byName = new Map<string, ClientStatement>();
  #unconfirmed: ClientStatement[] = [];
  #last: ClientStatement | undefined;
  /** Bytes of text held. */
  bytes = 0;

  constructor(registry: StatementRegistry) {
    this.#registry = registry;
  }

  get size(): number {
    return this.#byName.size;
  }

  /** The statement under the name at `start`–`end` (without its zero byte). */
  find(bytes: Buffer, start: number, end: number): ClientStatement | undefined {
    const last = this.#last;
    if (last !== undefined && last.nameBytes.length === end - start && same(last.nameBytes, bytes, start)) return last;
    const found = this.#byName.get(bytes.toString('latin1', start, end));
    if (found !== undefined) this.#last = found;
    return found;
  }

  /** A Parse under `name` was sent. */
  parsing(name: string, definition: Buffer, segment: number): ClientStatement {
    const previous = this.#byName.get(name);
    const statement = new ClientStatement(name, this.#registry.acquire(definition), segment, previous);
    this.bytes += definition.length;
    this.#set(name, statement);
    this.#unconfirmed.push(statement);
    return statement;
  }

  /** ParseComplete. */
  parsed(statement: ClientStatement): void {
    statement.ready = true;
    this.#confirmed(statement);
  }

  /** A Close was sent. */
  closing(statement: ClientStatement, segment: number): void {
    statement.closing = true;
    statement.segment = segment;
    this.#unconfirmed.push(statement);
  }

  /** CloseComplete. */
  closed(statement: ClientStatement): void {
    this.#confirmed(statement);
    if (this.#byName.get(statement.name) === statement) this.#set(statement.name, undefined);
    this.#release(statement);
  }

  /** An error came in `segment`: what was not confirmed in it was skipped. */
  segmentFailed(segment: number): void {
    if (this.#unconfirmed.length === 0) return;
    for (const statement of [...this.#unconfirmed].reverse()) {
      if (statement.segment !== segment) continue;
      this.#confirmed(statement);
      if (statement.closing && statement.ready) {
        statement.closing = false;
        continue;
      }
      if (this.#byName.get(statement.name) === statement) this.#set(statement.name, statement.previous);
      this.#release(statement);
    }
  }

  /** DEALLOCATE ALL or DISCARD ALL was run: everything confirmed before it is gone. */
  clear(): void {
    for (const statement of [...this.#byName.values()]) {
      if (!statement.ready) continue;
      this.#set(statement.name, undefined);
      this.#release(statement);
    }
  }

  /** The client is gone. */
  dispose(): void {
    for (const statement of this.#byName.values()) this.#registry.release(statement.text);
    this.#byName.clear();
    this.#unconfirmed = [];
    this.#last = undefined;
    this.bytes = 0;
  }

  #set(name: string, statement: ClientStatement | undefined): void {
    if (statement === undefined) this.#byName.delete(name);
    else this.#byName.set(name, statement);
    this.#last = undefined;
  }

  #confirmed(statement: ClientStatement): void {
    const index = this.#unconfirmed.indexOf(statement);
    if (index >= 0) this.#unconfirmed.splice(index, 1);
  }

  #release(statement: ClientStatement): void {
    this.bytes -= statement.text.definition.length;
    this.#registry.release(statement.text);
  }
}

function same(name: Buffer, bytes: Buffer, start: number): boolean {
  for (let index = 0; index < name.length; index++) if (name[index] !== bytes[start + index]) return false;
  return true;
}
