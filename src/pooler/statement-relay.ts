import { isUtf8 } from 'node:buffer';
import { bindAbsent, query } from '../protocol/frontend-messages.ts';
import { Frontend, HEADER_LENGTH, Target, TransactionStatus } from '../protocol/message-types.ts';
import { Owed } from '../session/answer-queue.ts';
import { toldParameters } from '../session/result-shape.ts';
import { bytesOf, type ClientStatement } from '../session/client-statements.ts';
import { endsTransaction } from '../session/ends-transaction.ts';
import { touchesOf } from '../session/state-touches.ts';
import type { TextSource } from '../session/state-watch.ts';
import { bringUnnamed, unnamedIsThere } from './bring-unnamed.ts';
import { deallocatedByParse, deallocating, nameToDeallocate, parseDeallocating } from './deallocation.ts';
import { mustShowStatements, takeOwnNames, tellNamed } from './own-statements.ts';
import { Portals } from './portals.ts';
import type { NamedMessage, RequestOutput } from './request-output.ts';
import { isBegin, nameIn, useOf } from './request-subject.ts';
import type { Executed } from './request-subject.ts';
import { mustForgetSequences } from './sequence-values.ts';
import { TOO_MANY_BYTES } from './session-errors.ts';
import { StatementText } from './session-link.ts';
import type { Server, SessionLink } from './session-link.ts';
import { StatementPreparation } from './statement-preparation.ts';
import { answerWithout, passUnknown, putStandIn, refuseUnnamed } from './without-statement.ts';

const NOTHING = Buffer.alloc(0);
const UNNAMED_CLOSED = { kind: 'unnamed', deallocates: undefined } as const;

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
  readonly #prepared: boolean;
  readonly #preparedBytes: number;
  readonly #absent: string;
  readonly #preparation: StatementPreparation;
  readonly #portals = new Portals();

  constructor(link: SessionLink, output: RequestOutput, options: StatementRelayOptions) {
    this.#link = link;
    this.#output = output;
    this.#prepared = options.prepared;
    this.#preparedBytes = options.preparedBytes;
    this.#absent = options.absentName;
    this.#preparation = new StatementPreparation(link, output, options.preparedLimit);
  }

  /** An error ended the oldest unanswered segment: what it would have prepared or closed was skipped. */
  segmentFailed(): void {
    this.#preparation.reset();
    this.#link.statements.segmentFailed(this.#output.answeredSegments);
  }

  /** A Sync was answered: the portals of a transaction end with it. */
  segmentAnswered(): void {
    const { answers, server } = this.#link;
    if (answers.length === 0 && server?.status === TransactionStatus.Idle) this.#portals.forget();
  }

  /** The link is given up. */
  reset(): void {
    this.#preparation.reset();
    this.#portals.forget();
  }

  bind(server: Server, bytes: Buffer, start: number, end: number, size: number): boolean | undefined {
    const portalEnd = bytes.indexOf(0, start + 5);
    const nameStart = portalEnd + 1;
    const nameEnd = bytes.indexOf(0, nameStart);
    if (portalEnd < 0 || portalEnd >= end || nameEnd < 0 || nameEnd >= end)
      return this.#malformed(server, bytes, start, end, size);
    if (nameEnd === nameStart) {
      const executed = this.#link.unnamed.latest;
      const touches = executed?.touches ?? 0;
      if (this.#mustPrepare(server, touches, executed)) return false;
      const isThere = unnamedIsThere(this.#link, this.#output, server);
      if (isThere === undefined) return false;
      if (!isThere) {
        const range = { start, end, size, nameStart, nameEnd: nameEnd + 1 };
        if (executed !== undefined && refuseUnnamed(this.#output, server, bytes, range, executed, this.#absent))
          return true;
        bringUnnamed(this.#link, this.#output, server);
      }
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
        const range = { start, end, size: end - start, nameStart, nameEnd: nameEnd + 1 };
        return this.#named(server, Owed.Describe, bytes, range);
      }
      const isThere = unnamedIsThere(this.#link, this.#output, server);
      if (isThere === undefined) return false;
      if (!isThere) bringUnnamed(this.#link, this.#output, server);
    }
    this.#output.beginRequest();
    this.#output.pass(server, Frontend.Describe, bytes, start, end);
    return true;
  }

  execute(server: Server, bytes: Buffer, start: number, end: number): void {
    this.#output.beginRequest();
    const executed = this.#portals.find(bytes, start + 5, bytes.indexOf(0, start + 5));
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
    if (executed === undefined || !isBegin(executed)) this.#link.hasUsedServer = true;
    if (touches !== 0 && executed !== undefined) {
      this.#link.sent(touches, executed);
      tellNamed(this.#link, touches, executed);
    }
    this.#portals.bound(bytes, portalStart, portalEnd, executed);
  }

  /** Bind or Describe of a named statement. */
  #named(server: Server, owed: number, bytes: Buffer, range: NamedMessage): boolean {
    if (!this.#prepared) return this.#asItIs(server, bytes, range.start, range.end);
    const statement = this.#link.statements.find(bytes, range.nameStart, range.nameEnd - 1);
    if (statement !== undefined && this.#preparation.isUndecided(statement)) return false;
    if (statement === undefined || statement.closing) {
      passUnknown(this.#output, server, { owed, bytes, range }, this.#absent);
      return true;
    }
    const { touches } = statement.text;
    if (owed === Owed.Bind && this.#mustPrepare(server, touches, statement.text)) return false;
    // Parsed in this very segment: the server has it, or skips this message too.
    if (statement.ready && !this.#preparation.isThere(server, statement)) {
      const without = answerWithout(this.#output, server, { owed, bytes, range, statement }, this.#absent);
      if (without !== undefined) return without;
      if (!this.#preparation.takeStale(server, statement)) {
        this.#preparation.provide(server, statement);
        return false;
      }
      // Describe tells the parameters before it finds out that the plan is stale.
      const before = owed === Owed.Describe ? toldParameters(statement.shape ?? '') : NOTHING;
      this.#output.beginRequest();
      this.#output.rename(server, owed, bytes, range, this.#absentBytes, { kind: 'stale', before });
      return true;
    }
    this.#output.beginRequest();
    this.#link.recorder?.usesStatement(statement.text);
    if (owed === Owed.Bind) {
      this.#portalBound(bytes, range.start + 5, range.nameStart - 1, statement.text, touches);
    }
    server.state.sends(statement.text.endsTransaction);
    const { isOwn, nameBytes, mirrorNameBytes } = statement.text;
    const name = isOwn ? bytes.subarray(range.nameStart, range.nameEnd) : nameBytes;
    this.#output.rename(server, owed, bytes, range, name, useOf(statement, bytes, range), mirrorNameBytes);
    return true;
  }

  parse(server: Server, bytes: Buffer, start: number, end: number): boolean {
    const nameStart = start + 5;
    const nameEnd = bytes.indexOf(0, nameStart);
    if (nameEnd < 0 || nameEnd >= end) return this.#malformed(server, bytes, start, end, end - start) ?? true;
    if (nameEnd === nameStart) return this.#parseUnnamed(server, bytes, start, nameEnd + 1, end);
    if (!this.#prepared) return this.#asItIs(server, bytes, start, end);
    const range = { start, end, size: end - start, nameStart, nameEnd: nameEnd + 1 };
    const existing = this.#link.statements.find(bytes, nameStart, nameEnd);
    if (existing !== undefined && this.#preparation.isUndecided(existing)) return false;
    if (existing !== undefined && !existing.closing) return this.#parseAgain(server, bytes, range, existing);
    // PostgreSQL refuses a name that is not in the client's encoding, as far as that can be wrong.
    const isEncoded = isUtf8(bytes.subarray(nameStart, nameEnd));
    if (!isEncoded && this.#link.reported.entries.get('client_encoding') === 'UTF8')
      return this.#asItIs(server, bytes, start, end);
    const touches = touchesOf(bytes, nameEnd + 1, end);
    const touching = touches === 0 ? undefined : new StatementText(bytes, nameEnd + 1, end);
    if (this.#mustPrepare(server, touches, touching)) return false;
    const name = bytes.toString('latin1', nameStart, nameEnd);
    this.#output.beginRequest();
    if (touching !== undefined) tellNamed(this.#link, touches, touching);
    if (this.#link.statements.bytes + bytesOf(end - nameEnd - 1) > this.#preparedBytes) {
      // Binding what does not exist fails where the Parse would: in its place among the answers.
      const subject = { kind: 'refused', error: TOO_MANY_BYTES } as const;
      this.#output.replace(server, Owed.Parse, bindAbsent(this.#absent), subject);
      return true;
    }
    this.#link.statistics.clientParses++;
    this.#link.statistics.serverParses++;
    const statement = this.#link.statements.parsing(name, bytes.subarray(nameEnd + 1, end), this.#output.segment);
    const text = statement.text;
    this.#preparation.makeRoom(server, text);
    server.state.prepared.sent(text);
    const subject = { kind: 'parse', statement } as const;
    this.#output.rename(server, Owed.Parse, bytes, range, text.nameBytes, subject, text.mirrorNameBytes);
    this.#preparation.describe(server, text, statement);
    return true;
  }

  /** Parse of the unnamed statement, whose text begins at `textStart`. */
  #parseUnnamed(server: Server, bytes: Buffer, start: number, textStart: number, end: number): boolean {
    const touches = touchesOf(bytes, textStart, end);
    const touching = touches === 0 ? undefined : new StatementText(bytes, textStart, end);
    if (this.#mustPrepare(server, touches, touching)) return false;
    const statement = deallocatedByParse(this.#link, bytes, textStart, end);
    if (statement !== undefined && !this.#parseDeallocate(server, statement, bytes, textStart, end)) return false;
    server.state.sends(endsTransaction(bytes, textStart));
    this.#output.beginRequest();
    if (touching !== undefined) tellNamed(this.#link, touches, touching);
    if (statement !== undefined) return true;
    this.#unnamedParsed(new StatementText(bytes, textStart, end, { touches }));
    this.#output.pass(server, Frontend.Parse, bytes, start, end, { kind: 'unnamed', deallocates: undefined });
    return true;
  }

  /** Parse of an unnamed DEALLOCATE of a statement that was prepared by message. */
  #parseDeallocate(server: Server, statement: ClientStatement, bytes: Buffer, textStart: number, end: number): boolean {
    const { text } = statement;
    const name = nameToDeallocate(this.#output, this.#preparation, server, statement, this.#absent);
    if (name === undefined) return false;
    this.#output.beginRequest();
    if (text.isOwn) this.#link.recorder?.namesStatements();
    // What stands in for it stays until the DEALLOCATE is executed, if it ever is: nobody is to see it.
    server.state.unclean ||= name !== text.name;
    const recorded = parseDeallocating(text.name, bytes, textStart, end);
    this.#unnamedParsed(new StatementText(recorded, HEADER_LENGTH + 1, recorded.length, { deallocates: statement }));
    const sent = parseDeallocating(name, bytes, textStart, end);
    this.#output.passAs(server, Owed.Parse, sent, recorded, { kind: 'unnamed', deallocates: statement });
    return true;
  }

  #unnamedParsed(text: StatementText): void {
    this.#link.unnamed.changing(text, this.#output.segment, this.#output.requests);
  }

  /** Parse under a name that is taken: the server itself is to refuse it, and so must have that name. */
  #parseAgain(server: Server, bytes: Buffer, range: NamedMessage, existing: ClientStatement): boolean {
    const { answers, prepared } = server.state;
    let { nameBytes } = existing.text;
    const isThere = prepared.use(existing.text) !== undefined && !prepared.isUnsettled(existing.text);
    const needsStandIn = existing.ready && !isThere;
    // Whatever was sent may have the server forget the name, or have it prepared; a COPY that goes on ends with the connection.
    if (needsStandIn && answers.length > 0 && !answers.copyIn) {
      this.#output.hurry(server);
      return false;
    }
    this.#output.beginRequest();
    if (needsStandIn) {
      nameBytes = Buffer.from(`${putStandIn(this.#output, server, this.#absent)}\0`);
      // It stays, for what is sent behind the error is skipped: nobody is to see it.
      server.state.unclean = true;
    }
    const definition = Buffer.from(bytes.subarray(range.nameEnd, range.end));
    const subject = { kind: 'parse again', statement: existing, name: nameIn(bytes, range), definition } as const;
    this.#output.rename(server, Owed.Parse, bytes, range, nameBytes, subject, existing.text.mirrorNameBytes);
    return true;
  }

  close(server: Server, bytes: Buffer, start: number, end: number): boolean {
    const nameStart = start + 6;
    const nameEnd = bytes.indexOf(0, nameStart);
    const named = bytes[start + 5] === Target.Statement && nameEnd > nameStart && nameEnd < end;
    if (!named) {
      this.#output.beginRequest();
      const unnamed = bytes[start + 5] === Target.Statement && nameEnd === nameStart;
      if (unnamed) this.#link.unnamed.changing(undefined, this.#output.segment, 0);
      this.#output.pass(server, Frontend.Close, bytes, start, end, unnamed ? UNNAMED_CLOSED : undefined);
      return true;
    }
    if (!this.#prepared) return this.#asItIs(server, bytes, start, end);
    const statement = this.#link.statements.find(bytes, nameStart, nameEnd);
    if (statement !== undefined && this.#preparation.isUndecided(statement)) return false;
    const range = { start, end, size: end - start, nameStart, nameEnd: nameEnd + 1 };
    if (statement === undefined || statement.closing) {
      passUnknown(this.#output, server, { owed: Owed.Close, bytes, range }, this.#absent);
      return true;
    }
    this.#output.beginRequest();
    // The text stays prepared for others: what is closed is a name that does not exist, which PostgreSQL confirms too.
    const { isOwn, nameBytes, mirrorNameBytes } = statement.text;
    this.#link.statements.closing(statement, this.#output.segment);
    if (isOwn) server.state.prepared.sent(statement.text);
    const subject = { kind: 'close', statement } as const;
    const [name, onMirrors] = isOwn ? [nameBytes, mirrorNameBytes] : [this.#absentBytes, this.#absentBytes];
    this.#output.rename(server, Owed.Close, bytes, range, name, subject, onMirrors);
    return true;
  }

  /** SQL's DEALLOCATE of a statement prepared by message, under its name on the server. `alone`: it is all of its request. */
  deallocate(server: Server, statement: ClientStatement, alone: boolean): boolean {
    const { text } = statement;
    const name = nameToDeallocate(this.#output, this.#preparation, server, statement, this.#absent);
    if (name === undefined) return false;
    this.#output.beginRequest();
    if (text.isOwn) this.#link.recorder?.namesStatements();
    else this.#link.recorder?.usesStatement(text);
    this.#link.statements.closing(statement, this.#output.segment, true);
    server.state.prepared.sent(text);
    const subject = { kind: 'deallocate', statement } as const;
    this.#output.passAs(server, Owed.Query, query(deallocating(name)), query(deallocating(text.name)), subject);
    this.#output.requestSent(alone);
    return true;
  }

  /** Whether something has to be done in the server's session before a text that touches it is parsed or bound. */
  #mustPrepare(server: Server, touches: number, text: TextSource | undefined): boolean {
    if (touches === 0 || text === undefined) return false;
    if (mustForgetSequences(this.#link, server, touches, this.#output.requestOpen)) return true;
    switch (mustShowStatements(this.#link, server, touches, text, this.#output.requestOpen)) {
      case 'no':
        return false;
      case 'later':
        this.#output.hurry(server);
        return true;
      case 'alone':
        return true;
      case 'amid':
        return this.#show(server);
    }
  }

  /** Has the server hold the client's statements under its own names, and no others. False: it does already. */
  #show(server: Server): boolean {
    const { closed, missing } = takeOwnNames(this.#link, server);
    if (closed.length === 0 && missing.length === 0) return false;
    for (const text of closed) this.#preparation.drop(server, text);
    for (const statement of missing) this.#preparation.prepare(server, statement);
    this.#output.hurry(server);
    return true;
  }

  /** Made when it is needed: hardly any client asks for what is not there. */
  get #absentBytes(): Buffer {
    return Buffer.from(`${this.#absent}\0`);
  }

  /** The client's names are the server's own (`prepared_statements = false`). */
  #asItIs(server: Server, bytes: Buffer, start: number, end: number): true {
    this.#output.beginRequest();
    this.#output.pass(server, bytes[start] ?? 0, bytes, start, end);
    return true;
  }

  /** The server answers for a message without its names; a long one must be there whole. */
  #malformed(server: Server, bytes: Buffer, start: number, end: number, size: number): true | undefined {
    return end - start < size ? undefined : this.#asItIs(server, bytes, start, end);
  }
}
