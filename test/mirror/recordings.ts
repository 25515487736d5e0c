import { writeRequestHeader, REQUEST_HEADER_LENGTH, RequestFlag } from '../../src/mirror/record/record-stream.ts';
import type { RequestHeader } from '../../src/mirror/record/record-stream.ts';
import { query, splitMessages } from '../support/bytes.ts';

/** One request as a recorder would have written it, with defaults for an autocommit request that went well. */
export interface RequestSketch extends Partial<Omit<RequestHeader, 'bytes' | 'statusBefore' | 'statusAfter'>> {
  readonly messages: readonly Buffer[];
  /** Statuses before and after: `II`, `IT`, `TE` … */
  readonly statuses?: string;
}

/** A request with its fixed header. */
export function request(sketch: RequestSketch): Buffer {
  const bytes = Buffer.concat(sketch.messages);
  const types = splitMessages(bytes).messages.map(({ type }) => type);
  const statuses = sketch.statuses ?? 'II';
  let flags = sketch.flags ?? 0;
  if (sketch.sqlstate) flags |= RequestFlag.Errored;
  if (types.length === 1 && types[0] === 'Q') flags |= RequestFlag.Simple;
  if (types.some((type) => 'dcf'.includes(type))) flags |= RequestFlag.CopyIn;
  const header = Buffer.alloc(REQUEST_HEADER_LENGTH);
  writeRequestHeader(header, 0, {
    bytes: bytes.length,
    thinkTime: 0,
    sourceTime: 500,
    sentSequence: 1,
    doneSequence: 2,
    sqlstate: '',
    skipFrom: 0,
    skipTo: 0,
    cancelAfter: 0,
    ...sketch,
    statusBefore: statuses.charCodeAt(0),
    statusAfter: statuses.charCodeAt(1),
    flags,
  });
  return Buffer.concat([header, bytes]);
}

/** The requests of a transaction, one behind the other. */
export function recording(...requests: readonly RequestSketch[]): Buffer {
  return Buffer.concat(requests.map(request));
}

/** The same with their number, as a record stream takes them. */
export function transaction(...requests: readonly RequestSketch[]): { requestCount: number; recording: Buffer } {
  return { requestCount: requests.length, recording: recording(...requests) };
}

/** A transaction of simple queries: of one, or a block of several. */
export function simple(...texts: readonly string[]): { requestCount: number; recording: Buffer } {
  const last = texts.length - 1;
  return transaction(
    ...texts.map((text, at) => ({
      messages: [query(text)],
      statuses: (at === 0 ? 'I' : 'T') + (at === last ? 'I' : 'T'),
    })),
  );
}
