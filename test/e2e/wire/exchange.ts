import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';

import {
  commandComplete,
  counted,
  int16,
  msg,
  query,
  readyForQuery,
  splitMessages,
  sync,
  terminate,
} from '../../support/bytes.ts';
import type { WireClient } from '../../support/wire-client.ts';
import { copyFail } from './copy-messages.ts';
import { describeMessage } from './dialogue.ts';

const mark = 'the end of the sequence';

/** What the tables and the session hold when nothing has happened to them. */
const look = `SELECT (SELECT string_agg(id || '=' || v, ',' ORDER BY id) FROM t), (SELECT string_agg(id::text, ',') FROM c),
  (SELECT count(*) FROM deferred), current_setting('application_name'), current_setting('TimeZone'), current_setting('search_path')`;

/** Brings any conversation to a known state: no COPY, no segment that waits for Sync, no block; and says what there is. */
const tail = Buffer.concat([copyFail('over'), sync, query('ROLLBACK'), query(look), query(`SELECT '${mark}'`)]);

const ending = Buffer.concat([msg('D', int16(1), counted(mark)), commandComplete('SELECT 1'), readyForQuery('I')]);

/** Without the Sync, PostgreSQL would answer what fails, and nothing else. */
const farewell = Buffer.concat([sync, terminate]);

/** What is left behind by a client that has gone. */
export const leftBehind = query(look);

/**
 * Sends a sequence, in pieces that end at the given offsets, and its tail, or a farewell in place of that; returns the
 * transcript of all that was answered.
 */
export async function exchange(
  client: WireClient,
  { bytes, splits, terminates }: { bytes: Buffer; splits: readonly number[]; terminates: boolean },
  deadlineMs: number,
): Promise<string[]> {
  let from = 0;
  for (const split of [...splits.toSorted((a, b) => a - b), bytes.length]) {
    if (split <= from || split > bytes.length) continue;
    if (from > 0) for (let turn = 0; turn < 3; turn += 1) await setImmediate();
    if (client.socket.writable) client.socket.write(bytes.subarray(from, split));
    from = split;
  }
  if (client.socket.writable) client.socket.write(terminates ? farewell : tail);
  const lines: string[] = [];
  let end = '';
  let received: Buffer;
  try {
    received = await client.readThrough(ending, deadlineMs);
  } catch (error) {
    received = client.unread;
    end = error instanceof Error && error.message.includes('ended before') ? 'closed' : 'SILENT';
  }
  lines.push(...splitMessages(received).messages.map(describeMessage).map(withoutType).map(inShort));
  if (end !== '') lines.push(end);
  return lines;
}

/** A long line by its beginning and a digest of all of it. */
function inShort(line: string): string {
  if (line.length <= 2_000) return line;
  const digest = createHash('sha256').update(line).digest('hex');
  return `${line.slice(0, 200)}… (${line.length} characters, ${digest})`;
}

/** What ended a COPY may be a message of pgmirror's own, before that of the client: the connection is lost all the same. */
function withoutType(line: string): string {
  return line.replace(/(unexpected message type) 0x[0-9A-F]{2} (during COPY)/, '$1 $2');
}
