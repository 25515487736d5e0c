import { Backend } from '../protocol/message-types.ts';
import { MessageWriter } from '../protocol/message-writer.ts';

/**
 * What PostgreSQL says of a prepared statement whose result would be of another shape than its client was told
 * (utils/cache/plancache.c).
 */
export function stalePlanError(severity: string): Buffer {
  const writer = new MessageWriter(Backend.ErrorResponse);
  const fields: [string, string][] = [
    ['S', severity],
    ['V', 'ERROR'],
    ['C', '0A000'],
    ['M', 'cached plan must not change result type'],
    ['F', 'plancache.c'],
    ['R', 'RevalidateCachedQuery'],
  ];
  for (const [type, value] of fields) writer.bytes(Buffer.from(type)).string(value);
  return writer.int8(0).finish();
}

/** The ErrorResponse with a pool-wide statement name replaced by the client's own; the same bytes where none occurs. */
export function withClientName(message: Buffer, poolName: string, clientName: string): Buffer {
  if (!message.includes(poolName, 5, 'latin1')) return message;
  const text = message.toString('latin1', 5, message.length).replaceAll(poolName, () => clientName);
  return new MessageWriter(Backend.ErrorResponse).bytes(Buffer.from(text, 'latin1')).finish();
}

/** The pool-wide statement name that an ErrorResponse speaks of, if it does. */
export function poolNameIn(message: Buffer, prefix: string): string | undefined {
  const start = message.indexOf(prefix, 5, 'latin1');
  if (start < 0) return undefined;
  return /^\w+/.exec(message.toString('latin1', start, Math.min(message.length, start + prefix.length + 20)))?.[0];
}
