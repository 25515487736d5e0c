import { Frontend, Target } from '../../protocol/message-types.ts';
import { deallocatedName } from '../../session/deallocated-name.ts';
import { close, parse } from '../../protocol/frontend-messages.ts';
import { Definitions } from './definitions.ts';
import { PreparedStatement } from './prepared-statement.ts';
import type { RequestCursor } from './request-cursor.ts';
import { nameAt } from './statement-tracker.ts';
import type { StatementLookup } from './statement-tracker.ts';

/** "cached plan must not change result type", for one (feature_not_supported). */
export const UNSUPPORTED = '0A000';

const Unnamed = {
  /** What the client's unnamed statement was when the transaction began has yet to be parsed on this connection. */
  Missing: 0,
  /** It is there, or it is not needed any more. */
  Settled: 1,
} as const;

/** A statement that is prepared on a connection, and what names meant when it was. */
interface Prepared {
  readonly statement: PreparedStatement;
  readonly namespace: string;
}

/**
 * The prepared statements of one mirror connection. Lanes share connections, so a statement that a request uses may
 * not be there: then a Parse goes ahead of the request, in the same write. The least recently used ones are closed.
 *
 * `undefined` in the map: whether the statement is there is not known (its request failed somewhere), so it is closed
 * before it is parsed again; closing what is not there is no error. PostgreSQL refuses a prepared statement whose result
 * has another shape by now, which its client on the source knows nothing of, if it was prepared for another one: so does
 * every connection that has it when a relation is redefined, and one that serves lanes of different schemas.
 */
export class ConnectionStatements {
  readonly #limit: number;
  readonly #definitions: Definitions;
  /** The version of the definitions that all were prepared for. */
  #version = 0;
  #namespace = '';
  readonly #prepared = new Map<string, Prepared | undefined>();
  #unnamed: PreparedStatement | undefined;
  #unnamedState: (typeof Unnamed)[keyof typeof Unnamed] = Unnamed.Settled;
  /** Names that the request in flight parses or closes. */
  readonly #touched = new Set<string>();
  #ahead: Buffer[] = [];
  /** The request in flight deallocates one of the touched. */
  #deallocates = false;

  /** `limit`: how many are kept prepared. */
  constructor(limit: number, definitions = new Definitions()) {
    this.#limit = Math.max(1, limit);
    this.#definitions = definitions;
    this.#version = definitions.version;
  }

  get size(): number {
    return this.#prepared.size;
  }

  /** A transaction begins whose client had this unnamed statement, and to which names mean what they do in `namespace`. */
  begin(unnamed: PreparedStatement | undefined, namespace = ''): void {
    this.#namespace = namespace;
    this.#unnamed = unnamed;
    this.#unnamedState = unnamed === undefined ? Unnamed.Settled : Unnamed.Missing;
  }

  /** A request was answered. */
  answered(): void {
    if (this.#touched.size > 0) this.#touched.clear();
  }

  /** A request failed: what it parsed or closed may or may not be there. */
  failed(): void {
    for (const name of this.#touched) this.#prepared.set(name, undefined);
  }

  /** The request at the cursor was refused what the source was not: its statements perhaps give another shape than before. */
  unsupported(cursor: RequestCursor, lookup: StatementLookup): void {
    const { bytes } = cursor;
    for (let at = cursor.start; at < cursor.end; at = cursor.messageEnd(at)) {
      const name = bytes[at] === Frontend.Bind ? boundName(bytes, at, cursor.end) : undefined;
      if (name === undefined || !this.#prepared.has(name)) continue;
      const wanted = lookup(name);
      if (wanted !== undefined) wanted.varies = true;
      this.#prepared.set(name, undefined);
    }
  }

  /**
   * DEALLOCATE ALL, DISCARD ALL: the unnamed statement stays (DropAllPreparedStatements in prepare.c). What else the
   * request in flight parses may stand behind that.
   */
  forgetAll(): void {
    this.#prepared.clear();
    for (const name of this.#touched) this.#prepared.set(name, undefined);
  }

  /** DEALLOCATE of one, whose name the answer does not tell. */
  deallocated(): void {
    if (this.#deallocates) return;
    this.#doubtAll();
  }

  #doubtAll(): void {
    for (const name of this.#prepared.keys()) this.#prepared.set(name, undefined);
  }

  /**
   * A request that is one Query message, which destroys the unnamed statement on both sides. The messages to send before
   * it, with a Sync behind them: a DEALLOCATE needs its statement.
   */
  simpleQuery(cursor: RequestCursor, lookup: StatementLookup): readonly Buffer[] {
    this.#ahead = [];
    this.#unnamedState = Unnamed.Settled;
    this.#deallocate(cursor.bytes, cursor.start + 5, cursor.end, lookup);
    return this.#ahead;
  }

  /**
   * The messages to send ahead of a request so that it finds its statements as the source did; one answer
   * (ParseComplete or CloseComplete) comes for each.
   */
  ahead(cursor: RequestCursor, lookup: StatementLookup): readonly Buffer[] {
    this.#ahead = [];
    this.#deallocates = false;
    // What the source refused is to be refused here, too.
    if (this.#version !== this.#definitions.version && cursor.sqlstate !== UNSUPPORTED) {
      this.#version = this.#definitions.version;
      this.#doubtAll();
    }
    const { bytes, end, skipFrom, skipTo } = cursor;
    for (let at = cursor.start; at < end;) {
      const messageEnd = cursor.messageEnd(at);
      if (at < skipFrom || at >= skipTo) this.#message(bytes, at, messageEnd, lookup);
      at = messageEnd;
    }
    if (this.#prepared.size > this.#limit) this.#evict();
    return this.#ahead;
  }

  #message(bytes: Buffer, at: number, end: number, lookup: StatementLookup): void {
    const type: number = bytes[at] ?? 0;
    switch (type) {
      case Frontend.Parse:
        return this.#parse(bytes, at + 5, end, lookup);
      case Frontend.Bind: {
        const name = boundName(bytes, at, end);
        if (name !== undefined) this.#use(name, lookup);
        return;
      }
      case Frontend.Describe:
        if (bytes[at + 5] === Target.Statement) this.#use(nameAt(bytes, at + 6, end), lookup);
        return;
      case Frontend.Close:
        if (bytes[at + 5] === Target.Statement) this.#close(nameAt(bytes, at + 6, end));
        return;
      case Frontend.Query:
        this.#unnamedState = Unnamed.Settled;
        return;
    }
  }

  /** The client's own Parse: what another lane left under that name is closed first. */
  #parse(bytes: Buffer, at: number, end: number, lookup: StatementLookup): void {
    const name = nameAt(bytes, at, end);
    if (name === '') {
      this.#unnamedState = Unnamed.Settled;
      this.#deallocate(bytes, at + 1, Math.max(at + 1, bytes.indexOf(0, at + 1)), lookup);
      return;
    }
    if (this.#prepared.has(name) && !this.#touched.has(name)) this.#ahead.push(close(Target.Statement, name));
    const definition = bytes.subarray(at + name.length + 1, end);
    const known = lookup(name);
    const statement = known?.isSameAs(name, definition) ? known : new PreparedStatement(name, definition);
    this.#keep(name, statement);
  }

  #use(name: string, lookup: StatementLookup): void {
    if (name === '') return this.#useUnnamed();
    const there = this.#prepared.get(name);
    const wanted = lookup(name);
    const same = there !== undefined && wanted !== undefined && this.#isSame(there, wanted);
    if (there !== undefined && (same || this.#touched.has(name))) {
      // Last in the map: the most recently used.
      if (this.#prepared.size > 1) this.#prepared.delete(name);
      this.#prepared.set(name, same && wanted !== there.statement ? { ...there, statement: wanted } : there);
      return;
    }
    // Not known at all, or closed by this very request: the source answered with an error, and so will the mirror.
    if (wanted === undefined || this.#touched.has(name)) return;
    if (this.#prepared.has(name)) this.#ahead.push(close(Target.Statement, name));
    this.#ahead.push(parse(name, wanted.definition));
    this.#keep(name, wanted);
  }

  /** The text of a DEALLOCATE: the statement must be there, and is not any more afterwards. */
  #deallocate(bytes: Buffer, at: number, end: number, lookup: StatementLookup): void {
    const name = deallocatedName(bytes, at, end)?.toString('latin1');
    this.#deallocates = name !== undefined;
    if (name === undefined) return;
    this.#use(name, lookup);
    this.#close(name);
  }

  #useUnnamed(): void {
    if (this.#unnamedState !== Unnamed.Missing || this.#unnamed === undefined) return;
    this.#unnamedState = Unnamed.Settled;
    this.#ahead.push(parse('', this.#unnamed.definition));
  }

  #close(name: string): void {
    if (name === '') {
      this.#unnamedState = Unnamed.Settled;
      return;
    }
    this.#prepared.delete(name);
    this.#touched.add(name);
  }

  #keep(name: string, statement: PreparedStatement): void {
    this.#prepared.delete(name);
    this.#prepared.set(name, { statement, namespace: this.#namespace });
    this.#touched.add(name);
  }

  /** Also if it was parsed by a client's own message, and declared since. */
  #isSame({ statement, namespace }: Prepared, wanted: PreparedStatement): boolean {
    if (statement !== wanted && !wanted.isSameAs(statement.name, statement.definition)) return false;
    return !wanted.varies || namespace === this.#namespace;
  }

  #evict(): void {
    for (const name of this.#prepared.keys()) {
      if (this.#prepared.size <= this.#limit) return;
      if (this.#touched.has(name)) continue;
      this.#prepared.delete(name);
      this.#ahead.unshift(close(Target.Statement, name));
      // If the request fails before this Close, the statement stays: no harm but its memory.
      this.#touched.add(name);
    }
  }
}

function boundName(bytes: Buffer, at: number, end: number): string | undefined {
  const portalEnd = bytes.indexOf(0, at + 5);
  return portalEnd >= 0 && portalEnd < end ? nameAt(bytes, portalEnd + 1, end) : undefined;
}
