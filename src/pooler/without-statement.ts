import type { ErrorFields } from '../protocol/backend-messages.ts';
import { bindAbsent, close, describe, parse } from '../protocol/frontend-messages.ts';
import { Target, TransactionStatus } from '../protocol/message-types.ts';
import { Owed } from '../session/answer-queue.ts';
import type { ClientStatement } from '../session/client-statements.ts';
import { hasResult, parameterCount, toldParameters } from '../session/result-shape.ts';
import { SqlScanner, Token } from '../session/sql-scanner.ts';
import type { NamedMessage, RequestOutput } from './request-output.ts';
import { nameIn } from './request-subject.ts';
import type { Server, StatementText } from './session-link.ts';

/** A message that names a statement. */
interface NamingMessage {
  readonly owed: number;
  readonly bytes: Buffer;
  readonly range: NamedMessage;
}

/** Bind or Describe of a named statement. */
interface UseOfStatement extends NamingMessage {
  readonly statement: ClientStatement;
}

/**
 * Answers a Bind or Describe of a statement that the server lacks, where PostgreSQL would even in a failed transaction, in
 * which nothing can be prepared. False: not now. `undefined`: it is no such message. Nothing is ever prepared under
 * `absentName`.
 */
export function answerWithout(
  output: RequestOutput,
  server: Server,
  { owed, bytes, range, statement }: UseOfStatement,
  absentName: string,
): boolean | undefined {
  if (owed === Owed.Bind) {
    const parameters = statement.shape === undefined ? undefined : parameterCount(statement.shape);
    const error = wrongValues(bytes, range, nameIn(bytes, range), parameters);
    if (error === undefined) return undefined;
    output.beginRequest();
    output.replace(server, Owed.Bind, bindAbsent(absentName), { kind: 'refused', error });
    return true;
  }
  if (!isDescribedAnywhere(statement)) return undefined;
  const { requests, copyIn } = server.state.answers;
  if (requests > 0) return copyIn ? undefined : false;
  if (server.status !== TransactionStatus.Failed) return undefined;
  output.beginRequest();
  const standIn = putStandIn(output, server, absentName);
  const parameters = toldParameters(statement.shape ?? '');
  output.replace(server, Owed.Describe, describe(Target.Statement, standIn), { kind: 'told', parameters });
  output.inject(server, Owed.Close, close(Target.Statement, standIn), undefined);
  return true;
}

/** Puts a statement in the place of one that the server lacks: one that can be prepared in a failed transaction, too. */
export function putStandIn(output: RequestOutput, server: Server, absentName: string): string {
  const name = `${absentName}_stand_in`;
  output.inject(server, Owed.Close, close(Target.Statement, name), undefined);
  output.inject(server, Owed.Parse, parse(name, Buffer.from('ROLLBACK\0\0\0')), undefined);
  return name;
}

/**
 * Refuses a Bind of the unnamed statement, which the server does not have any more, where the number of values is wrong:
 * parsing it anew may fail by now, with an error that PostgreSQL would not have come to. False: it is not wrong.
 */
export function refuseUnnamed(
  output: RequestOutput,
  server: Server,
  bytes: Buffer,
  range: NamedMessage,
  statement: StatementText,
  absentName: string,
): boolean {
  const error = wrongValues(bytes, range, '', parametersOf(statement));
  if (error === undefined) return false;
  output.replace(server, Owed.Bind, bindAbsent(absentName), { kind: 'refused', error });
  return true;
}

/** Passes on a message with a name that the client never prepared. The server is not to see one that pgmirror gave. */
export function passUnknown(
  output: RequestOutput,
  server: Server,
  { owed, bytes, range }: NamingMessage,
  absentName: string,
): void {
  output.beginRequest();
  const absent = Buffer.from(`${absentName}\0`);
  const prefix = absent.subarray(0, absentName.lastIndexOf('_'));
  const name = bytes.subarray(range.nameStart, range.nameEnd);
  const hidden = name.length >= prefix.length && name.subarray(0, prefix.length).equals(prefix);
  const subject = hidden ? ({ kind: 'unknown', name: nameIn(bytes, range) } as const) : undefined;
  output.rename(server, owed, bytes, range, hidden ? absent : name, subject);
}

/**
 * What PostgreSQL says of a Bind with another number of values than its statement has parameters, before it looks at
 * anything else, even in a failed transaction: there, the statement could not be prepared to let the server say so.
 * `statementName` as latin1.
 */
function wrongValues(
  bytes: Buffer,
  range: NamedMessage,
  statementName: string,
  parameters: number | undefined,
): ErrorFields | undefined {
  if (parameters === undefined || range.end - range.start < range.size) return undefined;
  const formats = shortAt(bytes, range.nameEnd, range.end);
  const values = shortAt(bytes, range.nameEnd + 2 + 2 * formats, range.end);
  // A message that is malformed otherwise is the server's to refuse.
  if (formats < 0 || values < 0 || values === parameters || (formats > 1 && formats !== values)) return undefined;
  const name = Buffer.from(statementName, 'latin1').toString('utf8');
  return {
    severity: 'ERROR',
    code: '08P01',
    message: `bind message supplies ${values} parameters, but prepared statement "${name}" requires ${parameters}`,
  };
}

/** How many parameters an unnamed statement has: as many as its Parse gave types for, or as its text numbers. */
function parametersOf({ bytes, start, end }: StatementText): number {
  const textEnd = bytes.indexOf(0, start);
  let count = Math.max(0, shortAt(bytes, textEnd + 1, end));
  const scanner = new SqlScanner(bytes.toString('latin1', start, textEnd));
  for (let token = scanner.next(); token !== Token.End; token = scanner.next()) {
    if (token === Token.Parameter) count = Math.max(count, Number(scanner.raw.slice(1)));
  }
  return count;
}

/** A statement may be described in a failed transaction if it has no result, but not be prepared there to that end. */
function isDescribedAnywhere({ shape }: ClientStatement): boolean {
  return shape !== undefined && !hasResult(shape);
}

function shortAt(bytes: Buffer, at: number, end: number): number {
  return at + 2 > end ? -1 : bytes.readInt16BE(at);
}
