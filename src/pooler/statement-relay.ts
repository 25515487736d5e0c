import type { ErrorFields } from '../protocol/backend-messages.ts';
import { bindAbsent, close, describe, flush, parse, query } from '../protocol/frontend-messages.ts';
import { Frontend, HEADER_LENGTH, Target } from '../protocol/message-types.ts';
import { Owed } from '../session/answer-queue.ts';
import { toldParameters } from '../session/result-shape.ts';
import type { ClientStatement } from '../session/client-statements.ts';
import { deallocatedName } from '../session/deallocated-name.ts';
import { endsTransaction } from '../session/ends-transaction.ts';
import { touchesOf } from '../session/state-touches.ts';
import type { PreparedText } from '../session/statement-names.ts';
import { quoteIdentifier } from '../util/sql-quote.ts';
import type { NamedMessage, RequestOutput } from './request-output.ts';
import type { Executed } from './request-subject.ts';
import { StatementText } from './session-link.ts';
import type { Server, SessionLink } from './session-link.ts';

const NOTHING = Buffer.alloc(0);

const TOO_MANY_BYTES: ErrorFields = {
  severity: 'ERROR',
  code: '54000',
  message: 'too many prepared statements: their texts exceed prepared_statements_bytes',
};

export interface StatementRelayOptions {
  /** Whether named statements are followed; without, they are the server's own. */
  readonly prepared: boolean;
  readonly preparedLimit: number;
  readonly preparedBytes: number;
  /** No statement is ever prepared under this name. */
  readonly absentName: string;
}

/**
 * Passes on the messages that speak of prepared statements: Parse, Bind, Describe, Execute, Close, and SQL's DEALLOCATE.
 * On pooled connections a statement's name is not the client's but that of its text (statement-names.ts).
 *
 * A statement that the server connection lacks is prepared and described there first, and the client's message waits for
 * the answer: only so is it certain that rows come in the shape the client was told. Where they would not, the message
 * is made to fail on the server, inside the client's transaction, as PostgreSQL would have it fail.
 *
 * Methods return false for "not now": the message is shown again when something was answered.
 */
export class StatementRelay {
  readonly #link: SessionLink;
  readonly #output: RequestOutput;
  readonly #options: StatementRelayOptions;
  readonly #absent: Buffer;
  /** The statement that was just prepared anew and described: if its shape still differs, it is stale. */
  #stale: ClientStatement | undefined;
  /** The segment in which a statement is being prepared that a message waits for. */
  #preparingIn: number | undefined;
  /** The unnamed statement that was parsed last and may not have been confirmed. */
  #parsed: StatementText | undefined;
  /** The request in which it was. */
  #parsedIn = 0;
  /** What the unnamed portal was bound to last, and each named one. */
  #bound: Executed | undefined;
  #portals: Map<string, Executed> | undefined;

  constructor(link: SessionLink, output: RequestOutput, options: StatementRelayOptions) {
    this.#link = link;
    this.#output = output;
    this.#options = options;
    this.#absent = Buffer.from(`${options.absentName}\0`);
  }

  /** An error ended the oldest unanswered segment: what it would have prepared or closed was skipped. */
  segmentFailed(): void {
    const segment = this.#output.answeredSegments;
    if (this.#preparingIn === segment) {
      this.#preparingIn = undefined;
      this.#stale = undefined;
    }
    this.#link.statements.segmentFailed(segment);
  }

  /** A statement that had to be prepared first has been prepared and described. */
  prepared(): void {
    this.#preparingIn = undefined;
  }

  /** The unnamed statement that was parsed last is not there: its Parse was skipped. */
  unnamedSkipped(): void {
    this.#parsed = undefined;
  }

  /** The link is given up. */
  reset(): void {
    this.#preparingIn = undefined;
    this.#stale = undefined;
    this.#bound = undefined;
    this.#parsed = undefined;
    this.#portals = undefined;
  }

  bind(server: Server, bytes: Buffer, start: number, end: number, size: number): boolean | undefined {
    const portalEnd = bytes.indexOf(0, start + 5);
    const nameStart = portalEnd + 1;
    const nameEnd = bytes.indexOf(0, nameStart);
    if (portalEnd < 0 || portalEnd >= end || nameEnd < 0 || nameEnd >= end)
      return this.#malformed(server, bytes, start, end, size);
    if (nameEnd === nameStart) {
      this.#needUnnamed(server);
      this.#output.beginRequest();
      const executed = this.#parsed ?? this.#link.unnamed;
      const touches = executed === undefined ? 0 : touchesOf(executed.bytes, executed.start, executed.end);
      this.#portalBound(bytes, start + 5, portalEnd, executed, touches);
      this.#output.pass(server, Frontend.Bind, bytes, start, end, undefined, size - (end - start));
      return true;
    }
    return this.#named(server, Owed.Bind, bytes, { start, end, size, nameStart, nameEnd: nameEnd + 1 });
  }

  describe(server: Server, bytes: Buffer, start: number, end: number): boolean {
    const nameStart = start + 6;
    const nameEnd = bytes.indexOf(0, nameStart);
    if (bytes[start + 5] === Target.Statement && nameEnd > 0 && nameEnd < end) {
      if (nameEnd > nameStart) {
        return this.#named(server, Owed.Describe, bytes, {
          start,
          end,
          size: end - start,
          nameStart,
          nameEnd: nameEnd + 1,
        });
      }
      this.#needUnnamed(server);
    }
    this.#output.beginRequest();
    this.#output.pass(server, Frontend.Describe, bytes, start, end);
    return true;
  }

  execute(server: Server, bytes: Buffer, start: number, end: number): void {
    this.#output.beginRequest();
    const portalEnd = bytes.indexOf(0, start + 5);
    const unnamed = portalEnd === start + 5;
    const executed = unnamed ? this.#bound : this.#portals?.get(bytes.toString('latin1', start + 5, portalEnd));
    this.#output.pass(server, Frontend.Execute, bytes, start, end, executed);
  }

  /** A portal was bound: `portalStart`–`portalEnd` is its name. */
  #portalBound(
    bytes: Buffer,
    portalStart: number,
    portalEnd: number,
    executed: Executed | undefined,
    touches: number,
  ): void {
    this.#link.statistics.binds++;
    if (touches !== 0 && executed !== undefined) this.#link.watch.sent(touches, executed);
    if (portalStart === portalEnd) this.#bound = executed;
    else if (executed !== undefined) {
      (this.#portals ??= new Map<string, Executed>()).set(bytes.toString('latin1', portalStart, portalEnd), executed);
    }
  }

  /** Bind or Describe of a named statement. */
  #named(server: Server, owed: number, bytes: Buffer, range: NamedMessage): boolean {
    if (!this.#options.prepared) return this.#asItIs(server, bytes, range.start, range.end);
    const statement = this.#link.statements.find(bytes, range.nameStart, range.nameEnd - 1);
    if (statement !== undefined && this.#undecided(statement)) return false;
    if (statement === undefined || statement.closing) {
      this.#output.beginRequest();
      this.#output.rename(
        server,
        owed,
        bytes,
        range,
        this.#unknownName(bytes, range.nameStart, range.nameEnd),
        undefined,
      );
      return true;
    }
    const there = server.state.use(statement.text);
    // Parsed in a way that was not described at once: it is told now.
    if (statement.ready && statement.shape === undefined) statement.shape = there?.shape;
    // Parsed in this very segment: the server has it, or skips this message too.
    const inSegment = !statement.ready;
    const suits = inSegment || (there !== undefined && there.shape === statement.shape);
    const stale = !suits && this.#stale === statement && there !== undefined;
    if (!suits && !stale) {
      this.#prepareThenWait(server, statement);
      return false;
    }
    if (this.#preparingIn !== undefined) return false;
    this.#stale = undefined;
    this.#output.beginRequest();
    if (stale) {
      // Describe tells the parameters before it finds out that the plan is stale.
      const before = owed === Owed.Describe ? toldParameters(statement.shape ?? '') : NOTHING;
      this.#output.rename(server, owed, bytes, range, this.#absent, { kind: 'stale', before });
      return true;
    }
    this.#link.recorder?.usesStatement(statement.text);
    if (owed === Owed.Bind) {
      this.#portalBound(bytes, range.start + 5, range.nameStart - 1, statement.text, statement.text.touches);
    }
    server.state.ending = statement.text.endsTransaction;
    this.#output.rename(server, owed, bytes, range, statement.text.nameBytes, undefined);
    return true;
  }

  /** Prepares a statement on a server that lacks it, or has it in another shape; the client's message waits. */
  #prepareThenWait(server: Server, statement: ClientStatement): void {
    if (this.#preparingIn !== undefined) return;
    const text = statement.text;
    this.#preparingIn = this.#output.segment;
    this.#stale = statement;
    this.#link.statistics.serverParses++;
    if (!server.state.prepared.has(text)) this.#makeRoom(server);
    this.#drop(server, text);
    this.#output.inject(server, Owed.Parse, text.parseMessage(), { kind: 'prepare', text });
    this.#output.inject(server, Owed.Describe, describe(Target.Statement, text.name), {
      kind: 'describe',
      text,
      statement: undefined,
    });
    this.#output.inject(server, 0, flush(), undefined);
  }

  /**
   * Whether the server has it or not: a Parse of it may be on its way, or be undone by what has not been answered, and
   * closing what is not there is no error.
   */
  #drop(server: Server, text: PreparedText): void {
    this.#output.inject(server, Owed.Close, close(Target.Statement, text.name), { kind: 'drop', text });
  }

  #makeRoom(server: Server): void {
    const oldest = server.state.overLimit(this.#options.preparedLimit);
    if (oldest !== undefined) this.#drop(server, oldest);
  }

  /** Whether what the name means depends on a segment that has not been answered, other than the one being sent. */
  #undecided(statement: ClientStatement): boolean {
    return (!statement.ready || statement.closing) && statement.segment !== this.#output.segment;
  }

  parse(server: Server, bytes: Buffer, start: number, end: number): boolean {
    const nameStart = start + 5;
    const nameEnd = bytes.indexOf(0, nameStart);
    if (nameEnd < 0 || nameEnd >= end) return this.#malformed(server, bytes, start, end, end - start) ?? true;
    if (nameEnd === nameStart) return this.#parseUnnamed(server, bytes, start, nameEnd + 1, end);
    if (!this.#options.prepared) return this.#asItIs(server, bytes, start, end);
    const range = { start, end, size: end - start, nameStart, nameEnd: nameEnd + 1 };
    const existing = this.#link.statements.find(bytes, nameStart, nameEnd);
    if (existing !== undefined && this.#undecided(existing)) return false;
    if (existing !== undefined && !existing.closing) return this.#parseAgain(server, bytes, range, existing);
    const name = bytes.toString('latin1', nameStart, nameEnd);
    this.#output.beginRequest();
    if (this.#link.statements.bytes + end - nameEnd > this.#options.preparedBytes) {
      // Binding what does not exist fails where the Parse would: in its place among the answers.
      const subject = { kind: 'refused', error: TOO_MANY_BYTES } as const;
      this.#output.replace(server, Owed.Parse, bindAbsent(this.#options.absentName), subject);
      return true;
    }
    this.#link.statistics.clientParses++;
    this.#link.statistics.serverParses++;
    const statement = this.#link.statements.parsing(name, bytes.subarray(nameEnd + 1, end), this.#output.segment);
    const text = statement.text;
    if (!server.state.prepared.has(text)) this.#makeRoom(server);
    this.#drop(server, text);
    this.#output.rename(server, Owed.Parse, bytes, range, text.nameBytes, { kind: 'parse', statement });
    this.#output.inject(server, Owed.Describe, describe(Target.Statement, text.name), {
      kind: 'describe',
      text,
      statement,
    });
    return true;
  }

  /** Parse of the unnamed statement, whose text begins at `textStart`. */
  #parseUnnamed(server: Server, bytes: Buffer, start: number, textStart: number, end: number): boolean {
    const statement = this.#deallocatedBy(bytes, textStart, end);
    if (statement !== undefined && !this.#isHere(server, statement)) return false;
    const ownerBefore = server.state.unnamedOwner;
    server.state.unnamedOwner = this.#link;
    server.state.ending = endsTransaction(bytes, textStart);
    this.#output.beginRequest();
    let message = bytes.subarray(start, end);
    if (statement !== undefined) {
      const text = `DEALLOCATE ${quoteIdentifier(statement.text.name)}\0`;
      message = parse('', Buffer.concat([Buffer.from(text), bytes.subarray(bytes.indexOf(0, textStart) + 1, end)]));
    }
    const unnamed =
      statement === undefined
        ? new StatementText(bytes, textStart, end)
        : new StatementText(message, HEADER_LENGTH + 1, message.length, statement);
    this.#parsed = unnamed;
    this.#parsedIn = this.#output.requests;
    const subject = { kind: 'unnamed', unnamed, ownerBefore } as const;
    if (statement === undefined) this.#output.pass(server, Frontend.Parse, bytes, start, end, subject);
    else this.#output.pass(server, Frontend.Parse, message, 0, message.length, subject);
    return true;
  }

  /** The client's statement that a text deallocates by SQL. */
  #deallocatedBy(bytes: Buffer, textStart: number, end: number): ClientStatement | undefined {
    if (this.#link.statements.size === 0) return undefined;
    const name = deallocatedName(bytes, textStart, Math.min(end, bytes.indexOf(0, textStart) + 1));
    const statement = name === undefined ? undefined : this.#link.statements.find(name, 0, name.length);
    return statement?.closing === true ? undefined : statement;
  }

  /** Whether what the statement means is decided, and the server has it; where it has not, it is prepared first. */
  #isHere(server: Server, statement: ClientStatement): boolean {
    if (this.#undecided(statement)) return false;
    if (!statement.ready || server.state.use(statement.text) !== undefined) return true;
    this.#prepareThenWait(server, statement);
    return false;
  }

  /** Parse under a name that is taken: the server itself is to refuse it, and so must have that name. */
  #parseAgain(server: Server, bytes: Buffer, range: NamedMessage, existing: ClientStatement): boolean {
    if (existing.ready && server.state.use(existing.text) === undefined) {
      this.#prepareThenWait(server, existing);
      return false;
    }
    this.#output.beginRequest();
    this.#output.rename(server, Owed.Parse, bytes, range, existing.text.nameBytes, {
      kind: 'parse again',
      statement: existing,
      definition: Buffer.from(bytes.subarray(range.nameEnd, range.end)),
    });
    return true;
  }

  close(server: Server, bytes: Buffer, start: number, end: number): boolean {
    const nameStart = start + 6;
    const nameEnd = bytes.indexOf(0, nameStart);
    const named = bytes[start + 5] === Target.Statement && nameEnd > nameStart && nameEnd < end;
    if (!named) {
      if (bytes[start + 5] === Target.Statement && nameEnd === nameStart) {
        this.#output.beginRequest();
        const ownerBefore = server.state.unnamedOwner;
        const subject = { kind: 'unnamed', unnamed: undefined, ownerBefore } as const;
        this.#output.pass(server, Frontend.Close, bytes, start, end, subject);
        return true;
      }
      this.#output.beginRequest();
      this.#output.pass(server, Frontend.Close, bytes, start, end);
      return true;
    }
    if (!this.#options.prepared) return this.#asItIs(server, bytes, start, end);
    const statement = this.#link.statements.find(bytes, nameStart, nameEnd);
    if (statement !== undefined && this.#undecided(statement)) return false;
    this.#output.beginRequest();
    const range = { start, end, size: end - start, nameStart, nameEnd: nameEnd + 1 };
    if (statement === undefined || statement.closing) {
      this.#output.rename(
        server,
        Owed.Close,
        bytes,
        range,
        this.#unknownName(bytes, nameStart, nameEnd + 1),
        undefined,
      );
      return true;
    }
    // The text stays prepared for others: what is closed is a name that does not exist, which PostgreSQL confirms too.
    this.#link.statements.closing(statement, this.#output.segment);
    this.#output.rename(server, Owed.Close, bytes, range, this.#absent, { kind: 'close', statement });
    return true;
  }

  /** SQL's DEALLOCATE of a statement that was prepared by message, under the name that it has on the server. */
  deallocate(server: Server, statement: ClientStatement): boolean {
    if (!this.#isHere(server, statement)) return false;
    this.#output.beginRequest();
    this.#link.recorder?.usesStatement(statement.text);
    const message = query(`DEALLOCATE ${quoteIdentifier(statement.text.name)}`);
    this.#link.statements.closing(statement, this.#output.segment);
    this.#output.pass(server, Frontend.Query, message, 0, message.length, { kind: 'deallocate', statement });
    this.#output.requestSent(true);
    return true;
  }

  /** Makes the server's unnamed statement the client's own: it must never be another client's. */
  #needUnnamed(server: Server): void {
    this.#output.beginRequest();
    const unnamed = this.#parsed ?? this.#link.unnamed;
    // Parsed by an earlier request it may come from an earlier transaction, which a mirror may not have got.
    if (unnamed !== undefined && this.#parsedIn !== this.#output.requests) {
      this.#link.recorder?.usesUnnamed(unnamed.bytes, unnamed.start, unnamed.end);
    }
    if (server.state.unnamedOwner === this.#link) return;
    const confirmed = this.#link.unnamed;
    if (confirmed === undefined) {
      this.#output.inject(server, Owed.Close, close(Target.Statement, ''), undefined);
    } else {
      const definition = confirmed.bytes.subarray(confirmed.start, confirmed.end);
      this.#output.inject(server, Owed.Parse, parse('', definition), undefined);
    }
    server.state.unnamedOwner = this.#link;
  }

  /** A name the client never prepared, as the server is to see it: never one that pgmirror gave. */
  #unknownName(bytes: Buffer, nameStart: number, nameEnd: number): Buffer {
    const prefix = this.#absent.subarray(0, this.#options.absentName.lastIndexOf('_'));
    const name = bytes.subarray(nameStart, nameEnd);
    return name.length >= prefix.length && name.subarray(0, prefix.length).equals(prefix) ? this.#absent : name;
  }

  /** The client's names are the server's own (`prepared_statements = false`). */
  #asItIs(server: Server, bytes: Buffer, start: number, end: number): true {
    this.#output.beginRequest();
    this.#output.pass(server, bytes[start] ?? 0, bytes, start, end);
    return true;
  }

  /** The server answers for a message without its names; a long one must be there whole. */
  #malformed(server: Server, bytes: Buffer, start: number, end: number, size: number): true | undefined {
    if (end - start < size) return undefined;
    this.#output.beginRequest();
    this.#output.pass(server, bytes[start] ?? 0, bytes, start, end);
    return true;
  }
}
