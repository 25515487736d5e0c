import { Backend, HEADER_LENGTH, TransactionStatus } from '../../protocol/message-types.ts';
import { sqlstateOf } from '../../protocol/backend-messages.ts';

/** Who is told what an answer says. Any of these may end the connection: the walk stops then. */
export interface AnswerHandler {
  /** `status`: a TransactionStatus byte. */
  readyForQuery(status: number): void;
  errorResponse(sqlstate: string): void;
  noticeResponse(sqlstate: string): void;
  /** The server waits for CopyData. */
  copyInResponse(): void;
  /** `tag` of a CommandComplete that changes the session: SET, RESET, DISCARD ALL, DEALLOCATE …; or a definition. */
  sessionCommand(tag: string): void;
  /** A ParameterStatus; long values are cut off. */
  parameterStatus(name: string, value: string): void;
  /** ParseComplete or CloseComplete. */
  statementDone(): void;
  /** The bytes are not PostgreSQL's protocol. */
  garbage(): void;
}

/** As much of a message as is looked at when it did not arrive whole: an ErrorResponse begins with its SQLSTATE. */
const KEPT_BYTES = 512;

/** Which message types a server may send while it answers requests. */
const KNOWN = new Uint8Array(256);
for (const type of Object.values(Backend)) KNOWN[type] = 1;

/** Messages of the other types are never longer than this (VALID_LONG_MESSAGE_TYPE in libpq's fe-protocol3.c). */
const SHORT_LENGTH = 30_000;
const MAY_BE_LONG = new Uint8Array(256);
for (const type of [
  Backend.CopyData,
  Backend.DataRow,
  Backend.ErrorResponse,
  Backend.FunctionCallResponse,
  Backend.NoticeResponse,
  Backend.NotificationResponse,
  Backend.ParameterDescription,
  Backend.ParameterStatus,
  Backend.RowDescription,
]) {
  MAY_BE_LONG[type] = 1;
}

/** Types that are looked into; all others are passed over by their length. */
const LOOKED_INTO = new Uint8Array(256);
for (const type of [
  Backend.ReadyForQuery,
  Backend.ErrorResponse,
  Backend.NoticeResponse,
  Backend.CommandComplete,
  Backend.CopyInResponse,
  Backend.CopyBothResponse,
  Backend.ParameterStatus,
  Backend.ParseComplete,
  Backend.CloseComplete,
]) {
  LOOKED_INTO[type] = 1;
}

const STATUSES: ReadonlySet<number> = new Set(Object.values(TransactionStatus));

/**
 * Walks over a server's answers message by message and keeps none of them: an answer of any size costs no memory. What
 * it has to look into and arrives in pieces is put together in one small buffer.
 */
export class AnswerWalker {
  readonly #handler: AnswerHandler;
  readonly #kept = Buffer.allocUnsafeSlow(KEPT_BYTES);
  /** Bytes of the message at hand that are in `#kept`. */
  #have = 0;
  /** Bytes still to be passed over. */
  #skip = 0;
  #stopped = false;

  constructor(handler: AnswerHandler) {
    this.#handler = handler;
  }

  /** Bytes that a message which has begun still lacks, as far as they are passed over. */
  get missing(): number {
    return this.#skip;
  }

  /** Looks at nothing any more, the rest of the chunk at hand included. */
  stop(): void {
    this.#stopped = true;
  }

  push(chunk: Buffer): void {
    let at = 0;
    const length = chunk.length;
    while (at < length && !this.#stopped) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, length - at);
        this.#skip -= skipped;
        at += skipped;
      } else if (this.#have > 0 || at + HEADER_LENGTH > length) {
        at = this.#collect(chunk, at);
      } else {
        at = this.#message(chunk, at);
      }
    }
  }

  /** A message whose header lies in the chunk; the offset to go on from. */
  #message(chunk: Buffer, at: number): number {
    const type = chunk[at] ?? 0;
    const total = 1 + lengthAt(chunk, at);
    if (!isPossible(type, total)) return this.#garbage(chunk);
    const end = at + total;
    if (LOOKED_INTO[type] === 0) {
      if (end <= chunk.length) return end;
      this.#skip = end - chunk.length;
      return chunk.length;
    }
    if (end > chunk.length) return this.#collect(chunk, at);
    this.#whole(type, chunk, at, end);
    return end;
  }

  /** Puts a message together in the small buffer: first its header, then as much as is looked at. */
  #collect(chunk: Buffer, at: number): number {
    let wanted = HEADER_LENGTH;
    let total = 0;
    let from = at;
    for (;;) {
      if (this.#have >= HEADER_LENGTH) {
        total = 1 + lengthAt(this.#kept, 0);
        const type = this.#kept[0] ?? 0;
        if (!isPossible(type, total)) return this.#garbage(chunk);
        wanted = LOOKED_INTO[type] === 0 ? HEADER_LENGTH : Math.min(total, KEPT_BYTES);
      }
      const taken = Math.min(wanted - this.#have, chunk.length - from);
      chunk.copy(this.#kept, this.#have, from, from + taken);
      this.#have += taken;
      from += taken;
      if (this.#have < wanted) return from;
      if (total > 0) break;
    }
    this.#have = 0;
    this.#skip = total - wanted;
    if (LOOKED_INTO[this.#kept[0] ?? 0] !== 0) this.#whole(this.#kept[0] ?? 0, this.#kept, 0, wanted);
    return from;
  }

  #whole(type: number, bytes: Buffer, at: number, end: number): void {
    switch (type) {
      case Backend.ReadyForQuery:
        return this.#readyForQuery(bytes, at, end);
      case Backend.ErrorResponse:
        return this.#handler.errorResponse(sqlstateOf(bytes, at, end));
      case Backend.NoticeResponse:
        return this.#handler.noticeResponse(sqlstateOf(bytes, at, end));
      case Backend.CopyInResponse:
      case Backend.CopyBothResponse:
        return this.#handler.copyInResponse();
      case Backend.CommandComplete:
        return this.#commandComplete(bytes, at + HEADER_LENGTH, end);
      case Backend.ParameterStatus:
        return this.#parameterStatus(bytes.toString('latin1', at + HEADER_LENGTH, end));
      default:
        return this.#handler.statementDone();
    }
  }

  #readyForQuery(bytes: Buffer, at: number, end: number): void {
    const status = bytes[at + HEADER_LENGTH] ?? 0;
    if (end - at !== HEADER_LENGTH + 1 || !STATUSES.has(status)) this.#garbage(bytes);
    else this.#handler.readyForQuery(status);
  }

  #parameterStatus(strings: string): void {
    const [name = '', value = ''] = strings.split('\0');
    this.#handler.parameterStatus(name, value);
  }

  /** Only the tags that begin with A, C, D, R or S and are not those of every day. */
  #commandComplete(bytes: Buffer, at: number, end: number): void {
    const first = bytes[at];
    const third = bytes[at + 2];
    if (first === 0x41 || first === 0x43) {
      // Not ANALYZE; and of COMMIT, COPY, CLOSE, CREATE, CALL … only CREATE.
      if (third !== (first === 0x41 ? 0x54 : 0x45)) return;
    } else {
      if (first !== 0x44 && first !== 0x52 && first !== 0x53) return;
      // SELECT, DELETE, DROP, DECLARE, ROLLBACK, RELEASE, REINDEX …; but DO.
      if (third !== 0x54 && third !== 0x53 && third !== 0x41 && third !== 0) return;
    }
    this.#handler.sessionCommand(bytes.toString('latin1', at, Math.max(at, end - 1)));
  }

  #garbage(chunk: Buffer): number {
    this.#stopped = true;
    this.#handler.garbage();
    return chunk.length;
  }
}

function isPossible(type: number, total: number): boolean {
  if (total < HEADER_LENGTH || KNOWN[type] === 0) return false;
  return total <= SHORT_LENGTH || MAY_BE_LONG[type] === 1;
}

/** The length a message declares, itself included and its type byte not. */
function lengthAt(bytes: Buffer, at: number): number {
  const first = bytes[at + 1] ?? 0;
  return first * 0x1000000 + (((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0));
}
