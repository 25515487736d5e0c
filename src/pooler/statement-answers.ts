import { Backend } from '../protocol/message-types.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { Owed } from '../session/answer-queue.ts';
import type { ClientStatement } from '../session/client-statements.ts';
import type { PreparedText } from '../session/statement-names.ts';
import { resultShape } from '../session/result-shape.ts';
import { clientNameOf, textOf } from './request-subject.ts';
import type { Executed, Subject } from './request-subject.ts';
import { StatementText } from './session-link.ts';
import type { Server, SessionLink } from './session-link.ts';
import { poolNameIn, withClientName } from './statement-errors.ts';

const NOTHING = Buffer.alloc(0);
/** A ParameterDescription without parameters. */
const NO_PARAMETERS = Buffer.from([0x74, 0, 0, 0, 6, 0, 0]);

/**
 * What a server's answers say of prepared statements, its own and the client's. Methods return `undefined` for an answer
 * that is the client's as it is, and otherwise what goes in its place: nothing, where pgmirror itself had asked.
 */
export class StatementAnswers {
  readonly #link: SessionLink;
  readonly #settled: () => void;
  /** Parameter types of a statement that pgmirror describes. */
  #described: Buffer | undefined;
  /** Parsed since the last ReadyForQuery. */
  #parsed: PreparedText[] | undefined;

  /** `settled` is called when something is known that a message may have been waiting for. */
  constructor(link: SessionLink, settled: () => void) {
    this.#link = link;
    this.#settled = settled;
  }

  /** The link is given up. */
  reset(): void {
    this.#described = undefined;
    this.#parsed = undefined;
  }

  parseComplete(server: Server): Buffer | undefined {
    const { answers } = server.state;
    expect(server, Owed.Parse);
    const injected = answers.headInjected;
    const subject = answers.headSubject as Subject | undefined;
    answers.shift();
    if (subject?.kind === 'parse again') {
      this.#parsedAgain(server, subject.statement, subject.definition);
    } else if (subject?.kind === 'parse') {
      this.#link.statements.parsed(subject.statement);
      this.#prepared(server, subject.statement.text);
    } else if (subject?.kind === 'prepare') {
      this.#prepared(server, subject.text);
    } else if (subject?.kind === 'unnamed') {
      this.#unnamedChanged(server);
    }
    this.#answered(server, subject);
    return injected ? NOTHING : undefined;
  }

  #prepared(server: Server, text: PreparedText): void {
    server.state.prepared.prepared(text);
    (this.#parsed ??= []).push(text);
  }

  /** A request was answered; what was set before by what was sent together with it has been reported. */
  requestAnswered(server: Server): void {
    if (this.#parsed === undefined) return;
    // Parsed behind a SET whose answer had not come, it was read otherwise than was thought: nobody else is to have it.
    if (!this.#parsed.every((text) => this.#link.statements.isReadNow(text))) server.state.unclean = true;
    this.#parsed = undefined;
  }

  /** The name was free after all (a DEALLOCATE sent ahead of it was run): the server has another text under it. */
  #parsedAgain(server: Server, former: ClientStatement, definition: Buffer): void {
    const { prepared } = server.state;
    if (former.text.isOwn) prepared.closed(former.text);
    this.#link.statements.closed(former);
    const statement = this.#link.statements.parsing(former.name, definition, former.segment);
    this.#link.statements.parsed(statement);
    if (statement.text.isOwn) prepared.prepared(statement.text);
    server.state.unclean = true;
  }

  closeComplete(server: Server): Buffer | undefined {
    const { answers, prepared } = server.state;
    expect(server, Owed.Close);
    const injected = answers.headInjected;
    const subject = answers.headSubject as Subject | undefined;
    answers.shift();
    if (subject?.kind === 'close') {
      const { text } = subject.statement;
      if (text.isOwn) prepared.closed(text);
      this.#link.statements.closed(subject.statement);
    } else if (subject?.kind === 'drop') prepared.closed(subject.text);
    else if (subject?.kind === 'unnamed') this.#unnamedChanged(server);
    this.#answered(server, subject);
    return injected ? NOTHING : undefined;
  }

  #unnamedChanged(server: Server): void {
    this.#link.unnamed.changed();
    server.state.unnamedOwner = this.#link;
  }

  parameterDescription(server: Server, bytes: Buffer, at: number, end: number): Buffer | undefined {
    const { answers } = server.state;
    if (!answers.headInjected) {
      const subject = answers.headSubject as Subject | undefined;
      return subject?.kind === 'told' ? subject.parameters : undefined;
    }
    this.#described = Buffer.from(bytes.subarray(at, end));
    return NOTHING;
  }

  /** RowDescription or NoData, which may also be part of a Query's answer. */
  describeComplete(server: Server, type: number, bytes: Buffer, at: number, end: number): Buffer | undefined {
    const { answers } = server.state;
    if (type === Backend.RowDescription && !answers.headInjected) {
      this.#link.recorder?.digest?.description(bytes, at, end);
    }
    if (answers.head !== Owed.Describe) return undefined;
    const injected = answers.headInjected;
    const subject = answers.headSubject as Subject | undefined;
    answers.shift();
    if (!injected || subject?.kind !== 'describe') return undefined;
    const row = type === Backend.RowDescription ? bytes.subarray(at, end) : undefined;
    const shape = subject.text.internShape(resultShape(this.#described ?? NO_PARAMETERS, row));
    this.#described = undefined;
    const there = server.state.prepared.get(subject.text);
    if (there !== undefined) there.shape = shape;
    if (subject.statement !== undefined) subject.statement.shape = shape;
    this.#answered(server, subject);
    return NOTHING;
  }

  /** A simple query has been answered: it destroyed the unnamed statement. */
  queryAnswered(server: Server): void {
    this.#link.unnamed.destroyed();
    if (server.state.unnamedOwner !== this.#link) server.state.unnamedOwner = undefined;
  }

  /** A DEALLOCATE was run, perhaps of a statement that was prepared by message. */
  deallocated(server: Server): void {
    const subject = server.state.answers.headSubject as Subject | Executed | undefined;
    const statement = subject instanceof StatementText ? subject.deallocates : deallocatedBy(subject);
    if (statement === undefined) return;
    server.state.prepared.closed(statement.text);
    this.#link.statements.closed(statement);
    if (!(subject instanceof StatementText)) this.#answered(server, subject as Subject);
  }

  /** A simple query failed: in a failed transaction even DEALLOCATE is refused, and the statement stays. */
  queryFailed(server: Server): void {
    const subject = server.state.answers.headSubject as Subject | undefined;
    if (subject?.kind !== 'deallocate') return;
    // What was put in its place stays, and nobody is to see it.
    if (!server.state.prepared.has(subject.statement.text)) server.state.unclean = true;
    this.#link.statements.notClosed(subject.statement);
    this.#answered(server, subject);
  }

  /** All named statements of the session were closed at once. */
  allDeallocated(server: Server): void {
    this.#link.statements.clear();
    server.state.prepared.clear();
  }

  /** A message of the extended flow failed (`erred`), or was skipped because another did: it has changed nothing. */
  undone(server: Server, subject: Subject | undefined, erred: boolean, injected: boolean): void {
    if (subject === undefined) return;
    this.#answered(server, subject);
    if (subject.kind !== 'unnamed') return;
    // A Parse that is refused has destroyed the unnamed statement all the same.
    if (erred && !injected) this.#link.unnamed.refused();
    else this.#link.unnamed.skipped();
  }

  /** The server lacks a statement that it had: SQL closed it where that is not seen. The next use prepares it anew. */
  missing(server: Server, subject: Subject | undefined): void {
    if (subject?.kind === 'statement' && subject.ready && !subject.text.isOwn)
      server.state.prepared.closed(subject.text);
  }

  /** An error as the client would have had it from PostgreSQL: its statements have its own names. */
  inClientsWords(message: Buffer, subject: Subject | undefined): Buffer | undefined {
    const name = clientNameOf(subject);
    if (name === undefined) return undefined;
    const poolName = poolNameIn(message, this.#link.statements.prefix);
    return poolName === undefined ? undefined : withClientName(message, poolName, name);
  }

  #answered(server: Server, subject: Subject | undefined): void {
    const text = textOf(subject);
    if (text === undefined) return;
    const { prepared } = server.state;
    prepared.answered(text);
    if (!prepared.isUnsettled(text)) this.#settled();
  }
}

function expect(server: Server, owed: number): void {
  if (server.state.answers.head !== owed) throw new ProtocolError('answer from the server out of order');
}

function deallocatedBy(subject: Subject | Executed | undefined): ClientStatement | undefined {
  return subject !== undefined && 'kind' in subject && subject.kind === 'deallocate' ? subject.statement : undefined;
}
