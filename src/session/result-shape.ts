import { createHash } from 'node:crypto';
import { Backend } from '../protocol/message-types.ts';
import { MessageWriter } from '../protocol/message-writer.ts';

/** Shapes whose columns take more bytes than this are told apart by a hash. */
const LONG = 256;

/**
 * The shape of a statement as Describe tells it: parameter types, and for each column its name, type, size and
 * modifier. Which table and column it came from is left out (PostgreSQL's equalRowTypes does not look at it either: a
 * table dropped and made anew keeps the shape), and so is the format, which Describe of a statement does not know. Of many
 * columns it holds a hash: each statement of each client keeps its shape.
 */
export function resultShape(parameterDescription: Buffer, rowDescription: Buffer | undefined): string {
  const parameters = parameterDescription.toString('latin1', 5);
  if (rowDescription === undefined) return `${parameters}-`;
  let shape = '';
  const columns = rowDescription.readUInt16BE(5);
  let at = 7;
  for (let column = 0; column < columns; column++) {
    const nameEnd = rowDescription.indexOf(0, at);
    if (nameEnd < 0 || nameEnd + 19 > rowDescription.length) break;
    shape += rowDescription.toString('latin1', at, nameEnd + 1);
    shape += rowDescription.toString('latin1', nameEnd + 7, nameEnd + 17);
    at = nameEnd + 19;
  }
  const kept = shape.length > LONG ? createHash('sha256').update(shape, 'latin1').digest('base64') : shape;
  return `${parameters}+${kept}`;
}

/** How many parameters a statement of this shape has. */
export function parameterCount(shape: string): number {
  return (shape.charCodeAt(0) << 8) | shape.charCodeAt(1);
}

/** Whether it returns rows. */
export function hasResult(shape: string): boolean {
  return shape[2 + 4 * parameterCount(shape)] === '+';
}

/** The ParameterDescription that a shape begins with. */
export function toldParameters(shape: string): Buffer {
  const body = Buffer.from(shape.slice(0, 2 + 4 * parameterCount(shape)), 'latin1');
  return new MessageWriter(Backend.ParameterDescription).bytes(body).finish();
}
