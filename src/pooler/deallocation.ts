import { parse } from '../protocol/frontend-messages.ts';
import type { ClientStatement } from '../session/client-statements.ts';
import { deallocatedName } from '../session/deallocated-name.ts';
import { quoteIdentifier } from '../util/sql-quote.ts';
import type { RequestOutput } from './request-output.ts';
import type { Server, SessionLink } from './session-link.ts';
import type { StatementPreparation } from './statement-preparation.ts';
import { putStandIn } from './without-statement.ts';

/** The client's statement that a text in `start` to `end` deallocates by SQL. */
export function deallocatedBy(
  link: SessionLink,
  bytes: Buffer,
  start: number,
  end: number,
): ClientStatement | undefined {
  if (link.statements.size === 0) return undefined;
  const name = deallocatedName(bytes, start, end);
  const statement = name === undefined ? undefined : link.statements.find(name, 0, name.length);
  return statement?.closing === true ? undefined : statement;
}

/** The same of a Parse, whose text begins at `textStart`. */
export function deallocatedByParse(
  link: SessionLink,
  bytes: Buffer,
  textStart: number,
  end: number,
): ClientStatement | undefined {
  // Where there is none, the text is not even searched for its end.
  if (link.statements.size === 0) return undefined;
  return deallocatedBy(link, bytes, textStart, Math.min(end, bytes.indexOf(0, textStart) + 1));
}

/**
 * The name under which a server finds something to deallocate. Where it lacks the statement another is put in its place
 * (`absentName` and more): the statement itself may be impossible to prepare by now, or in a failed block. `undefined`: not now.
 */
export function nameToDeallocate(
  output: RequestOutput,
  preparation: StatementPreparation,
  server: Server,
  statement: ClientStatement,
  absentName: string,
): string | undefined {
  const name = preparation.nameOnServer(server, statement);
  if (name !== '') return name;
  const { answers } = server.state;
  // A COPY that goes on ends with the connection.
  if (answers.length > 0 && !answers.copyIn) {
    output.hurry(server);
    return undefined;
  }
  output.beginRequest();
  return putStandIn(output, server, absentName);
}

/** SQL's DEALLOCATE of a name. */
export function deallocating(name: string): string {
  return `DEALLOCATE ${quoteIdentifier(name)}`;
}

/** A Parse of it as the unnamed statement, with the parameter types of another Parse whose text begins at `textStart`. */
export function parseDeallocating(name: string, bytes: Buffer, textStart: number, end: number): Buffer {
  const types = bytes.subarray(bytes.indexOf(0, textStart) + 1, end);
  return parse('', Buffer.concat([Buffer.from(`${deallocating(name)}\0`), types]));
}
