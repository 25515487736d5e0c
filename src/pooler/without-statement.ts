import type { ErrorFields } from '../protocol/backend-messages.ts';
import type { ClientStatement } from '../session/client-statements.ts';
import { hasResult, parameterCount } from '../session/result-shape.ts';
import type { NamedMessage } from './request-output.ts';

/**
 * What PostgreSQL says of a Bind with another number of values than its statement has parameters, before it looks at
 * anything else, even in a failed transaction: there, the statement could not be prepared to let the server say so.
 */
export function wrongValues(bytes: Buffer, range: NamedMessage, statement: ClientStatement): ErrorFields | undefined {
  if (statement.shape === undefined || range.end - range.start < range.size) return undefined;
  const formats = shortAt(bytes, range.nameEnd, range.end);
  const values = shortAt(bytes, range.nameEnd + 2 + 2 * formats, range.end);
  const parameters = parameterCount(statement.shape);
  // A message that is malformed otherwise is the server's to refuse.
  if (formats < 0 || values < 0 || values === parameters || (formats > 1 && formats !== values)) return undefined;
  const name = Buffer.from(statement.name, 'latin1').toString('utf8');
  return {
    severity: 'ERROR',
    code: '08P01',
    message: `bind message supplies ${values} parameters, but prepared statement "${name}" requires ${parameters}`,
  };
}

/** A statement may be described in a failed transaction if it has no result, but not be prepared there to that end. */
export function isDescribedAnywhere({ shape }: ClientStatement): boolean {
  return shape !== undefined && !hasResult(shape);
}

function shortAt(bytes: Buffer, at: number, end: number): number {
  return at + 2 > end ? -1 : bytes.readInt16BE(at);
}
