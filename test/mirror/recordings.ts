import { REQUEST_HEADER_LENGTH, RequestFlag, RequestOffset } from '../../src/mirror/record/record-stream.ts';
import { query, splitMessages } from '../support/bytes.ts';

/** One request as a recorder would have written it, with defaults for an autocommit request that went well; times in microseconds. */
export interface RequestSketch {
  readonly messages: readonly Buffer[];
  /** Statuses before and after: `II`, `IT`, `TE` … */
  readonly statuses?: string;
  readonly thinkTime?: number;
  readonly sourceTime?: number;
  readonly sentSequence?: number;
  readonly doneSequence?: number;
  readonly flags?: number;
  /** Five characters. */
  readonly sqlstate?: string;
  readonly skipFrom?: number;
  readonly skipTo?: number;
  readonly cancelAfter?: number;
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
  header.writeUInt32LE(bytes.length, RequestOffset.Bytes);
  header.writeUInt32LE(sketch.thinkTime ?? 0, RequestOffset.ThinkTime);
  header.writeUInt32LE(sketch.sourceTime ?? 500, RequestOffset.SourceTime);
  header.writeDoubleLE(sketch.sentSequence ?? 1, RequestOffset.SentSequence);
  header.writeDoubleLE(sketch.doneSequence ?? 2, RequestOffset.DoneSequence);
  header.write(statuses, RequestOffset.StatusBefore, 'latin1');
  header.writeUInt16LE(flags, RequestOffset.Flags);
  header.write(sketch.sqlstate ?? '', RequestOffset.Sqlstate, 'latin1');
  header.writeUInt32LE(sketch.skipFrom ?? 0, RequestOffset.SkipFrom);
  header.writeUInt32LE(sketch.skipTo ?? 0, RequestOffset.SkipTo);
  header.writeUInt32LE(sketch.cancelAfter ?? 0, RequestOffset.CancelAfter);
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
