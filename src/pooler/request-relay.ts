import type { ErrorFields } from '../protocol/backend-messages.ts';
import { bindAbsent, close, describe, flush, parse, query } from '../protocol/frontend-messages.ts';
import { Frontend, Target } from '../protocol/message-types.ts';
import { INJECTED, Owed, owedByType } from '../session/answer-queue.ts';
import { deallocatedName } from '../session/deallocated-name.ts';
import { endsTransaction } from '../session/ends-transaction.ts';
import type { ClientStatement } from '../session/client-statements.ts';
import { quoteIdentifier } from '../util/sql-quote.ts';
import { touchesOf } from '../session/state-touches.ts';
import type { PreparedText } from '../session/statement-names.ts';
import type { OutputAssembly } from './output-assembly.ts';
import { StatementText } from './session-link.ts';
import type { Server, SessionLink } from './session-link.ts';

/** What the answer to an injected or rewritten message means, kept beside it in the answer queue. */
export type Subject =
  | { readonly kind: 'parse'; readonly statement: ClientStatement }
  | { readonly kind: 'prepare'; readonly text: PreparedText }
  | { readonly kind: 'describe'; readonly text: PreparedText; readonly statement: ClientStatement | undefined }
  | { readonly kind: 'close'; readonly statement: ClientStatement }
  | { readonly kind: 'deallocate'; readonly statement: ClientStatement }
  | { readonly kind: 'drop'; readonly text: PreparedText }
  | { readonly kind: 'unnamed'; readonly unnamed: StatementText | undefined }
  /** The statement's result is of another shape than the client was told: the server's error is made PostgreSQL's. */
  | { readonly kind: 'stale' }
  /** A statement too many: the server's error is made this one. */
  | { readonly kind: 'refused'; readonly error: ErrorFields };

/** What a Query or an Execute runs: asked for its text where the answer makes that matter. */
export type Executed = StatementText | PreparedText;

const TOO_MANY_BYTES: ErrorFields = {
  severity: 'ERROR',
  code: '54000',
  message: 'too many prepared statements: their texts exceed prepared_statements_bytes',
};

export interface RequestRelayOptions {
  /** Whether named statements are followed; without, they are the server's own. */
  readonly prepared: boolean;
  readonly preparedLimit: number;
  readonly preparedBytes: number;
  readonly maxPipelineDepth: number;
  /** No statement is ever prepared under this name. */
  readonly absentName: string;
}

/**
 * Passes a client's messages on to its server connection. Bytes go through as they are but for the names of prepared
 * statements, which on pooled connections are not the client's but those of the texts (statement-names.ts).
 *
 * A statement that the server connection lacks is prepared and described there first, and the client's message waits for
 * the answer: only so is it certain that rows come in the shape the client was told. Where they would not, the message
 * is made to fail on the server, inside the client's transaction, as PostgreSQL would have it fail.
 */
export class RequestRelay {
  readonly #link: SessionLink;
  readonly #assembly: OutputAssembly;
  readonly #options: RequestRelayOptions;
  readonly #absent: Buffer;
  /** The current request has begun and the message that owes its ReadyForQuery has not been sent. */
  #requestOpen = false;
  /** Syncs sent and answered: which segment a statement's Parse belongs to. */
  #segment = 0;
  #answeredSegments = 0;

  constructor(link: SessionLink, assembly: OutputAssembly, options: RequestRelayOptions) {
    this.#link = link;
    this.#assembly = assembly;
    this.#options = options;
    this.#absent = Buffer.from(`${options.absentName}\0`);
  }

  /** A Sync was answered. */
  segmentAnswered(): void {
    this.#answeredSegments++;
  }

  /** An error ended the oldest unanswered segment: what it would have prepared or closed was skipped. */
  segmentFailed(): void {
    this.#stale = undefined;
    this.#link.statements.segmentFailed(this.#answeredSegments);
  }

  /** The link is given up: the next request begins anew. */
  reset(): void {
    this.#requestOpen = false;
    this.#bound = undefined;
    this.#parsed = undefined;
    this.#portals = undefined;
    this.#segment = this.#answeredSegments;
  }

  /** Passes a whole message on. False: not now; something it depends on has yet to be answered. */
  forward(server: Server, type: number, bytes: Buffer, start: number, end: number): boolean {
    const answers = server.state.answers;
    if (answers.skipping && type !== Frontend.Sync) return true;
    if (answers.requests >= this.#options.maxPipelineDepth) return false;
    switch (type) {
      case Frontend.Query:
        return this.#query(server, bytes, start, end);
      case Frontend.Execute:
        this.#execute(server, bytes, start, end);
        return true;
      case Frontend.Sync:
        this.#sync(server, bytes, start, end);
        return true;
      case Frontend.Bind:
        return this.#bind(server, bytes, start, end, end - start) ?? true;
      case Frontend.Describe:
        return this.#describe(server, bytes, start, end);
      case Frontend.Parse:
        return this.#parse(server, bytes, start, end);
      case Frontend.Close:
        return this.#close(server, bytes, start, end);
      case Frontend.CopyData:
      case Frontend.CopyDone:
      case Frontend.CopyFail:
        this.#copy(server, type, bytes, start, end);
        return true;
      case Frontend.FunctionCall:
        this.#beginRequest();
        this.#pass(server, type, bytes, start, end);
        this.#requestSent(false);
        return true;
      default:
        this.#beginRequest();
        this.#pass(server, type, bytes, start, end);
        return true;
    }
  }

  /** Passes the beginning of a long message on; `undefined`: it must be seen whole. */
  forwardLong(
    server: Server,
    type: number,
    bytes: Buffer,
    start: number,
    end: number,
    size: number,
  ): boolean | undefined {
    if (server.state.answers.skipping) return undefined;
    switch (type) {
      case Frontend.CopyData:
        this.#longCopy = true;
        this.#copy(server, type, bytes, start, end);
        return true;
      case Frontend.Query:
      case Frontend.FunctionCall:
        this.#longCopy = false;
        this.#beginRequest();
        server.state.unnamedOwner = undefined;
        server.state.ending = false;
        this.#link.unnamed = undefined;
        this.#pass(server, type, bytes, start, end);
        return true;
      case Frontend.Bind:
        this.#longCopy = false;
        return this.#bind(server, bytes, start, end, size);
      default:
        return undefined;
    }
  }

  #longCopy = false;

  /** More of a long message; with its last piece it is sent. */
  piece(server: Server, bytes: Buffer, start: number, end: number, last: boolean): void {
    this.#assembly.append(bytes, start, end);
    if (this.#longCopy) this.#link.recorder?.appendCopy(bytes, start, end);
    else this.#link.recorder?.append(bytes, start, end);
    const kind = server.state.answers.last;
    if (last && !this.#longCopy && (kind === Owed.Query || kind === Owed.FunctionCall)) {
      this.#requestSent(kind === Owed.Query);
    }
  }

  #beginRequest(): void {
    if (this.#requestOpen) return;
    this.#requestOpen = true;
    if (this.#link.answers.length === 0) this.#link.busySince = performance.now();
    this.#link.recorder?.requestStarts();
  }

  #requestSent(simple: boolean): void {
    this.#requestOpen = false;
    this.#link.recorder?.requestSent(simple);
  }

  #query(server: Server, bytes: Buffer, start: number, end: number): boolean {
    const named = this.#link.statements.size > 0 ? deallocatedName(bytes, start + 5, end) : undefined;
    const statement = named === undefined ? undefined : this.#link.statements.find(named, 0, named.length);
    if (statement !== undefined && !statement.closing) return this.#deallocate(server, statement);
    const alone = !this.#requestOpen;
    this.#beginRequest();
    server.state.unnamedOwner = undefined;
    server.state.ending = endsTransaction(bytes, start + 5);
    this.#link.unnamed = undefined;
    const text = new StatementText(bytes, start + 5, end);
    const touches = touchesOf(bytes, start + 5, end);
    if (touches !== 0) this.#link.watch.sent(touches, text);
    this.#pass(server, Frontend.Query, bytes, start, end, text);
    this.#requestSent(alone);
    return true;
  }

  /** SQL's DEALLOCATE of a statement that was prepared by message, under the name that it has on the server. */
  #deallocate(server: Server, statement: ClientStatement): boolean {
    if (this.#undecided(statement)) return false;
    if (statement.ready && server.state.use(statement.text) === undefined) {
      this.#prepareThenWait(server, statement);
      return false;
    }
    this.#beginRequest();
    server.state.unnamedOwner = undefined;
    this.#link.unnamed = undefined;
    this.#link.recorder?.usesStatement(statement.text);
    const message = query(`DEALLOCATE ${quoteIdentifier(statement.text.name)}`);
    this.#link.statements.closing(statement, this.#segment);
    this.#pass(server, Frontend.Query, message, 0, message.length, { kind: 'deallocate', statement });
    this.#requestSent(true);
    return true;
  }

  #execute(server: Server, bytes: Buffer, start: number, end: number): void {
    this.#beginRequest();
    const portalEnd = bytes.indexOf(0, start + 5);
    const unnamed = portalEnd === start + 5;
    const executed = unnamed ? this.#bound : this.#portals?.get(bytes.toString('latin1', start + 5, portalEnd));
    this.#pass(server, Frontend.Execute, bytes, start, end, executed);
  }

  /** The unnamed statement that was parsed last and may not have been confirmed. */
  #parsed: StatementText | undefined;
  /** What the unnamed portal was bound to last, and each named one. */
  #bound: Executed | undefined;
  #portals: Map<string, Executed> | undefined;

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

  /** The message as it is. */
  #pass(server: Server, type: number, bytes: Buffer, start: number, end: number, subject?: Subject | Executed): void {
    this.#assembly.append(bytes, start, end);
    const recorder = this.#link.recorder;
    recorder?.append(bytes, start, end);
    const owed = owedByType(type);
    if (owed !== 0) server.state.answers.push(owed, subject, recorder?.offset ?? 0);
  }

  /** The message with a statement's name replaced. */
  #rename(
    server: Server,
    owed: number,
    bytes: Buffer,
    range: { start: number; end: number; size: number; nameStart: number; nameEnd: number },
    name: Buffer,
    subject: Subject | undefined,
  ): void {
    const assembly = this.#assembly;
    assembly.appendRenamed(bytes, range.start, range.end, range.size, range.nameStart, range.nameEnd, name);
    const recorder = this.#link.recorder;
    recorder?.append(assembly.scratch, assembly.lastStart, assembly.used);
    server.state.answers.push(owed, subject, recorder?.offset ?? 0);
  }

  /** A message of pgmirror's own: its answer is swallowed, and mirrors never see it. */
  #inject(server: Server, owed: number, message: Buffer, subject: Subject | undefined): void {
    this.#assembly.appendAll(message);
    if (owed !== 0) server.state.answers.push(owed | INJECTED, subject, this.#link.recorder?.offset ?? 0);
  }

  #sync(server: Server, bytes: Buffer, start: number, end: number): void {
    const swallowed = server.state.answers.copyIn;
    this.#beginRequest();
    this.#pass(server, Frontend.Sync, bytes, start, end);
    if (swallowed) return;
    this.#segment++;
    this.#requestSent(false);
  }

  #copy(server: Server, type: number, bytes: Buffer, start: number, end: number): void {
    // Data that comes when nothing is asked for belongs to a COPY that has failed: PostgreSQL ignores it too.
    if (server.state.answers.length === 0) return;
    this.#assembly.append(bytes, start, end);
    if (this.#requestOpen) this.#link.recorder?.append(bytes, start, end);
    else this.#link.recorder?.appendCopy(bytes, start, end);
    if (type !== Frontend.CopyData) server.state.answers.push(Owed.CopyEnd);
  }

  #bind(server: Server, bytes: Buffer, start: number, end: number, size: number): boolean | undefined {
    const portalEnd = bytes.indexOf(0, start + 5);
    const nameStart = portalEnd + 1;
    const nameEnd = bytes.indexOf(0, nameStart);
    if (portalEnd < 0 || portalEnd >= end || nameEnd < 0 || nameEnd >= end)
      return this.#malformed(server, bytes, start, end, size);
    if (nameEnd === nameStart) {
      this.#needUnnamed(server);
      this.#beginRequest();
      const executed = this.#parsed ?? this.#link.unnamed;
      const touches = executed === undefined ? 0 : touchesOf(executed.bytes, executed.start, executed.end);
      this.#portalBound(bytes, start + 5, portalEnd, executed, touches);
      this.#pass(server, Frontend.Bind, bytes, start, end);
      return true;
    }
    return this.#named(server, Owed.Bind, bytes, { start, end, size, nameStart, nameEnd: nameEnd + 1 });
  }

  #describe(server: Server, bytes: Buffer, start: number, end: number): boolean {
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
    this.#beginRequest();
    this.#pass(server, Frontend.Describe, bytes, start, end);
    return true;
  }

  /** Bind or Describe of a named statement. */
  #named(
    server: Server,
    owed: number,
    bytes: Buffer,
    range: { start: number; end: number; size: number; nameStart: number; nameEnd: number },
  ): boolean {
    if (!this.#options.prepared) return this.#asItIs(server, bytes, range.start, range.end);
    const statement = this.#link.statements.find(bytes, range.nameStart, range.nameEnd - 1);
    if (statement !== undefined && this.#undecided(statement)) return false;
    if (statement === undefined || statement.closing) {
      this.#beginRequest();
      this.#rename(server, owed, bytes, range, this.#unknownName(bytes, range.nameStart, range.nameEnd), undefined);
      return true;
    }
    const there = server.state.use(statement.text);
    // Parsed in this very segment: the server has it, or skips this message too.
    const inSegment = !statement.ready;
    const suits = inSegment || (there !== undefined && there.shape === statement.shape);
    const stale = !suits && this.#stale === statement && there !== undefined;
    if (!suits && !stale) {
      this.#prepareThenWait(server, statement);
      return false;
    }
    this.#stale = undefined;
    this.#beginRequest();
    if (stale) {
      this.#rename(server, owed, bytes, range, this.#absent, { kind: 'stale' });
      return true;
    }
    this.#link.recorder?.usesStatement(statement.text);
    if (owed === Owed.Bind) {
      this.#portalBound(bytes, range.start + 5, range.nameStart - 1, statement.text, statement.text.touches);
    }
    server.state.ending = statement.text.endsTransaction;
    this.#rename(server, owed, bytes, range, statement.text.nameBytes, undefined);
    return true;
  }

  /** The statement that was just prepared anew and described: if its shape still differs, it is stale. */
  #stale: ClientStatement | undefined;

  /** Prepares a statement on a server that lacks it, or has it in another shape; the client's message waits. */
  #prepareThenWait(server: Server, statement: ClientStatement): void {
    const text = statement.text;
    this.#stale = statement;
    this.#link.statistics.serverParses++;
    if (server.state.prepared.has(text)) this.#drop(server, text);
    else this.#makeRoom(server);
    this.#inject(server, Owed.Parse, text.parseMessage(), { kind: 'prepare', text });
    this.#inject(server, Owed.Describe, describe(Target.Statement, text.name), {
      kind: 'describe',
      text,
      statement: undefined,
    });
    this.#inject(server, 0, flush(), undefined);
  }

  #drop(server: Server, text: PreparedText): void {
    this.#inject(server, Owed.Close, close(Target.Statement, text.name), { kind: 'drop', text });
  }

  #makeRoom(server: Server): void {
    const oldest = server.state.overLimit(this.#options.preparedLimit);
    if (oldest !== undefined) this.#drop(server, oldest);
  }

  /** Whether what the name means depends on a segment that has not been answered, other than the one being sent. */
  #undecided(statement: ClientStatement): boolean {
    return (!statement.ready || statement.closing) && statement.segment !== this.#segment;
  }

  #parse(server: Server, bytes: Buffer, start: number, end: number): boolean {
    const nameStart = start + 5;
    const nameEnd = bytes.indexOf(0, nameStart);
    if (nameEnd < 0 || nameEnd >= end) return this.#malformed(server, bytes, start, end, end - start) ?? true;
    if (nameEnd === nameStart) {
      server.state.unnamedOwner = this.#link;
      server.state.ending = endsTransaction(bytes, nameEnd + 1);
      this.#beginRequest();
      const unnamed = new StatementText(bytes, nameEnd + 1, end);
      this.#parsed = unnamed;
      this.#pass(server, Frontend.Parse, bytes, start, end, { kind: 'unnamed', unnamed });
      return true;
    }
    if (!this.#options.prepared) return this.#asItIs(server, bytes, start, end);
    const range = { start, end, size: end - start, nameStart, nameEnd: nameEnd + 1 };
    const existing = this.#link.statements.find(bytes, nameStart, nameEnd);
    if (existing !== undefined && this.#undecided(existing)) return false;
    if (existing !== undefined && !existing.closing) return this.#parseAgain(server, bytes, range, existing);
    const name = bytes.toString('latin1', nameStart, nameEnd);
    this.#beginRequest();
    if (this.#link.statements.bytes + end - nameEnd > this.#options.preparedBytes) {
      // Binding what does not exist fails where the Parse would: in its place among the answers.
      this.#assembly.appendAll(bindAbsent(this.#options.absentName));
      server.state.answers.push(
        Owed.Parse,
        { kind: 'refused', error: TOO_MANY_BYTES },
        this.#link.recorder?.offset ?? 0,
      );
      return true;
    }
    this.#link.statistics.clientParses++;
    this.#link.statistics.serverParses++;
    const statement = this.#link.statements.parsing(name, bytes.subarray(nameEnd + 1, end), this.#segment);
    const text = statement.text;
    if (server.state.prepared.has(text)) this.#drop(server, text);
    else this.#makeRoom(server);
    this.#rename(server, Owed.Parse, bytes, range, text.nameBytes, { kind: 'parse', statement });
    this.#inject(server, Owed.Describe, describe(Target.Statement, text.name), { kind: 'describe', text, statement });
    return true;
  }

  /** Parse under a name that is taken: the server itself is to refuse it, and so must have that name. */
  #parseAgain(
    server: Server,
    bytes: Buffer,
    range: { start: number; end: number; size: number; nameStart: number; nameEnd: number },
    existing: ClientStatement,
  ): boolean {
    if (existing.ready && server.state.use(existing.text) === undefined) {
      this.#prepareThenWait(server, existing);
      return false;
    }
    this.#beginRequest();
    this.#rename(server, Owed.Parse, bytes, range, existing.text.nameBytes, undefined);
    return true;
  }

  #close(server: Server, bytes: Buffer, start: number, end: number): boolean {
    const nameStart = start + 6;
    const nameEnd = bytes.indexOf(0, nameStart);
    const named = bytes[start + 5] === Target.Statement && nameEnd > nameStart && nameEnd < end;
    if (!named) {
      if (bytes[start + 5] === Target.Statement && nameEnd === nameStart) {
        server.state.unnamedOwner = undefined;
        this.#beginRequest();
        this.#pass(server, Frontend.Close, bytes, start, end, { kind: 'unnamed', unnamed: undefined });
        return true;
      }
      this.#beginRequest();
      this.#pass(server, Frontend.Close, bytes, start, end);
      return true;
    }
    if (!this.#options.prepared) return this.#asItIs(server, bytes, start, end);
    const statement = this.#link.statements.find(bytes, nameStart, nameEnd);
    if (statement !== undefined && this.#undecided(statement)) return false;
    this.#beginRequest();
    const range = { start, end, size: end - start, nameStart, nameEnd: nameEnd + 1 };
    if (statement === undefined || statement.closing) {
      this.#rename(server, Owed.Close, bytes, range, this.#unknownName(bytes, nameStart, nameEnd + 1), undefined);
      return true;
    }
    // The text stays prepared for others: what is closed is a name that does not exist, which PostgreSQL confirms too.
    this.#link.statements.closing(statement, this.#segment);
    this.#rename(server, Owed.Close, bytes, range, this.#absent, { kind: 'close', statement });
    return true;
  }

  /** Makes the server's unnamed statement the client's own: it must never be another client's. */
  #needUnnamed(server: Server): void {
    if (server.state.unnamedOwner === this.#link) return;
    const unnamed = this.#link.unnamed;
    if (unnamed === undefined) {
      this.#inject(server, Owed.Close, close(Target.Statement, ''), undefined);
    } else {
      this.#inject(server, Owed.Parse, parse('', unnamed.bytes.subarray(unnamed.start, unnamed.end)), undefined);
      this.#link.recorder?.usesUnnamed(unnamed.bytes, unnamed.start, unnamed.end);
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
    this.#beginRequest();
    this.#pass(server, bytes[start] ?? 0, bytes, start, end);
    return true;
  }

  /** The server answers for a message without its names; a long one must be there whole. */
  #malformed(server: Server, bytes: Buffer, start: number, end: number, size: number): true | undefined {
    if (end - start < size) return undefined;
    this.#beginRequest();
    this.#pass(server, bytes[start] ?? 0, bytes, start, end);
    return true;
  }
}
