import { counted, int16, int32, msg } from '../../support/bytes.ts';

/** CopyData. */
export function copyData(text: string): Buffer {
  return msg('d', Buffer.from(text));
}

/** CopyDone. */
export const copyDone = msg('c');

/** CopyFail. */
export function copyFail(reason: string): Buffer {
  return msg('f', Buffer.from(`${reason}\0`));
}

/** FunctionCall of the function with this OID, arguments and result in text format. */
export function functionCall(oid: number, ...values: readonly (string | null)[]): Buffer {
  return msg('F', int32(oid), int16(0), int16(values.length), ...values.map(counted), int16(0));
}
