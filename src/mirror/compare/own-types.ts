import { Frontend } from '../../protocol/message-types.ts';
import type { MirroredTransaction } from '../replay/mirrored-transaction.ts';
import { RequestCursor } from '../replay/request-cursor.ts';
import { nameAt, StatementTracker } from '../replay/statement-tracker.ts';

/** FirstNormalObjectId (transam.h): what users make gets its OIDs from here on, on each server others. */
const FIRST_OWN_OID = 16_384;
/** MAXDIM (array.h). */
const MAX_DIMENSIONS = 6;

/**
 * Whether a request calls types that users made by their OIDs: those of parameters, in Parse, or within a value in the binary
 * format, in Bind. A mirror that is no physical copy has them under other OIDs, and knows these for nothing or something else.
 */
export function namesOwnTypes(
  { recorded, unnamed, origin }: Pick<MirroredTransaction, 'recorded' | 'unnamed' | 'origin'>,
  request: number,
): boolean {
  const tracker = new StatementTracker(origin.statements, unnamed);
  const cursor = new RequestCursor();
  cursor.reset(recorded.recording);
  while (cursor.index < request && cursor.next()) {
    const { bytes } = cursor;
    for (let at = cursor.start; at < cursor.end;) {
      const end = cursor.messageEnd(at);
      const type = bytes[at];
      const statement = tracker.message(type ?? 0, bytes, at, end);
      if (cursor.index === request && type === Frontend.Parse) {
        const definition = bytes.subarray(afterName(bytes, at + 5, end), end);
        if (declaresOwnTypes(definition)) return true;
      } else if (cursor.index === request && type === Frontend.Bind) {
        if (statement !== undefined && declaresOwnTypes(statement.definition)) return true;
        if (bindsOwnTypes(bytes.subarray(at + 5, end))) return true;
      }
      // A COPY in a simple query: the rest is its data.
      if (type === Frontend.Query) break;
      at = end;
    }
  }
  return false;
}

/** What follows the name in a Parse message: text, number of types, and types. */
function declaresOwnTypes(definition: Buffer): boolean {
  const at = afterName(definition, 0, definition.length) + 2;
  for (let type = at; type + 4 <= definition.length; type += 4) {
    if (definition.readUInt32BE(type) >= FIRST_OWN_OID) return true;
  }
  return false;
}

/** The body of a Bind message: portal, statement, formats, values. */
function bindsOwnTypes(body: Buffer): boolean {
  const formats = afterName(body, afterName(body, 0, body.length), body.length);
  if (formats + 2 > body.length) return false;
  const values = formats + 2 + 2 * body.readUInt16BE(formats);
  if (values + 2 > body.length) return false;
  let at = values + 2;
  for (let left = body.readUInt16BE(values); left > 0 && at + 4 <= body.length; left--) {
    const length = body.readInt32BE(at);
    at += 4;
    if (length < 0) continue;
    if (holdsOwnTypes(body.subarray(at, at + length))) return true;
    at += length;
  }
  return false;
}

/** Whether it is what array_send or record_send (arrayfuncs.c, rowtypes.c) make of values of such types. */
function holdsOwnTypes(value: Buffer): boolean {
  if (value.length < 12) return false;
  const [first, second, third] = [value.readUInt32BE(0), value.readUInt32BE(4), value.readUInt32BE(8)];
  if (first <= MAX_DIMENSIONS && second <= 1 && third >= FIRST_OWN_OID) return true;
  let isOwn = false;
  let at = 4;
  for (let column = 0; column < first && at + 8 <= value.length; column++) {
    isOwn ||= value.readUInt32BE(at) >= FIRST_OWN_OID;
    at += 8 + Math.max(0, value.readInt32BE(at + 4));
  }
  return isOwn && at === value.length;
}

function afterName(bytes: Buffer, at: number, end: number): number {
  return at + nameAt(bytes, at, end).length + 1;
}
