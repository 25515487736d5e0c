import { Frontend } from '../../protocol/message-types.ts';
import { MessageWriter } from '../../protocol/message-writer.ts';
import type { RequestCursor } from './request-cursor.ts';
import type { Treatment } from './treatment.ts';

/** The bytes of a request that are sent: as recorded, but for what the source did not run and a statement cut out. */
export function requestBody(cursor: RequestCursor, treatment: Treatment | undefined): Buffer {
  const { bytes, start, end, skipFrom, skipTo } = cursor;
  const cut = cutOf(treatment);
  if (cut === undefined && skipFrom === skipTo) return bytes.subarray(start, end);
  if (cut !== undefined && cursor.isQuery) return without(bytes, start, end, cut);
  const holes = [
    { from: skipFrom, to: skipTo },
    { from: cut?.from ?? end, to: cut?.to ?? end },
  ].sort((a, b) => a.from - b.from);
  const parts: Buffer[] = [];
  let at = start;
  for (const hole of holes) {
    if (hole.from > at) parts.push(bytes.subarray(at, hole.from));
    at = Math.max(at, hole.to);
  }
  parts.push(bytes.subarray(at, end));
  return Buffer.concat(parts);
}

type Cut = Treatment & { readonly kind: 'cut' };

/** The statement that is cut out, where one is. */
export function cutOf(treatment: Treatment | undefined): Cut | undefined {
  return treatment?.kind === 'cut' ? treatment : undefined;
}

/** Messages without the statement that is cut out: an Execute, or the end of a Query's text. */
export function without(bytes: Buffer, from: number, to: number, cut: Cut): Buffer {
  if (bytes[from] !== Frontend.Query)
    return Buffer.concat([bytes.subarray(from, cut.from), bytes.subarray(cut.to, to)]);
  return new MessageWriter(Frontend.Query)
    .bytes(bytes.subarray(from + 5, cut.from))
    .int8(0)
    .finish();
}
