/**
 * Protocol messages written by hand, so that a test's expected bytes come from the manual and not from the code under
 * test: `msg('Q', cstr('select 1'))`. See the PostgreSQL manual, "Message Formats".
 */

/** One whole message. */
export interface Message {
  /** The type byte as a character, for example `Z`. */
  readonly type: string;
  /** What follows type and length. */
  readonly body: Buffer;
  /** All of it, with type and length. */
  readonly bytes: Buffer;
}

/** A big-endian 16-bit integer. */
export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

/** A big-endian 32-bit integer. */
export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** A string with the zero byte that ends it. */
export function cstr(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf8');
}

/** A value with its length before it, as in Bind and DataRow; `null` is length -1. */
export function counted(content: string | Buffer | null): Buffer {
  if (content === null) return int32(-1);
  const bytes = Buffer.from(content);
  return Buffer.concat([int32(bytes.length), bytes]);
}

/** A message: type, length (which counts itself), body. */
export function msg(type: string, ...body: readonly Buffer[]): Buffer {
  const content = Buffer.concat(body);
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(content.length + 4), content]);
}

/** A message without a type byte, as all of them before the login: StartupMessage, SSLRequest, CancelRequest. */
export function untyped(...body: readonly Buffer[]): Buffer {
  const content = Buffer.concat(body);
  return Buffer.concat([int32(content.length + 4), content]);
}

/** StartupMessage; version 3.0 unless told. */
export function startup(parameters: Readonly<Record<string, string>>, version = 0x30000): Buffer {
  const pairs = Object.entries(parameters).flatMap(([name, setting]) => [cstr(name), cstr(setting)]);
  return untyped(int32(version), ...pairs, Buffer.from([0]));
}

/** SSLRequest. */
export const sslRequest = untyped(int32(80877103));

/** CancelRequest. */
export function cancelRequest(processId: number, secretKey: Buffer): Buffer {
  return untyped(int32(80877102), int32(processId), secretKey);
}

/** Query, a simple query. */
export function query(text: string): Buffer {
  return msg('Q', cstr(text));
}

/** Parse. */
export function parse(name: string, text: string, ...types: readonly number[]): Buffer {
  return msg('P', cstr(name), cstr(text), int16(types.length), ...types.map(int32));
}

/** Bind with values in text format, and answers in text format. */
export function bind(portal: string, statement: string, ...values: readonly (string | null)[]): Buffer {
  return msg('B', cstr(portal), cstr(statement), int16(0), int16(values.length), ...values.map(counted), int16(0));
}

/** Describe of a statement (`S`) or a portal (`P`). */
export function describe(kind: 'S' | 'P', name: string): Buffer {
  return msg('D', Buffer.from(kind), cstr(name));
}

/** Execute; 0 rows means all. */
export function execute(portal: string, rows = 0): Buffer {
  return msg('E', cstr(portal), int32(rows));
}

/** Close of a statement (`S`) or a portal (`P`). */
export function close(kind: 'S' | 'P', name: string): Buffer {
  return msg('C', Buffer.from(kind), cstr(name));
}

/** Sync. */
export const sync = msg('S');
/** Flush. */
export const flush = msg('H');
/** Terminate. */
export const terminate = msg('X');

/** ReadyForQuery. */
export function readyForQuery(status: 'I' | 'T' | 'E'): Buffer {
  return msg('Z', Buffer.from(status));
}

/** AuthenticationOk. */
export const authenticationOk = msg('R', int32(0));

/** ParameterStatus. */
export function parameterStatus(name: string, setting: string): Buffer {
  return msg('S', cstr(name), cstr(setting));
}

/** BackendKeyData. */
export function backendKeyData(processId: number, secretKey: Buffer): Buffer {
  return msg('K', int32(processId), secretKey);
}

/** CommandComplete. */
export function commandComplete(tag: string): Buffer {
  return msg('C', cstr(tag));
}

/** DataRow. */
export function dataRow(...values: readonly (string | null)[]): Buffer {
  return msg('D', int16(values.length), ...values.map(counted));
}

/** RowDescription of columns of type text. */
export function rowDescription(...names: readonly string[]): Buffer {
  const column = (name: string): Buffer =>
    Buffer.concat([cstr(name), int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(0)]);
  return msg('T', int16(names.length), ...names.map(column));
}

/** ErrorResponse. */
export function errorResponse(code: string, text: string, severity = 'ERROR'): Buffer {
  return msg('E', cstr(`S${severity}`), cstr(`V${severity}`), cstr(`C${code}`), cstr(`M${text}`), Buffer.from([0]));
}

/** The fields of an ErrorResponse or NoticeResponse by their letter: `C` is the SQLSTATE, `M` the message. */
export function errorFields(message: Message): Readonly<Record<string, string>> {
  const fields = message.body.toString('utf8').split('\0').filter(Boolean);
  return Object.fromEntries(fields.map((field) => [field.slice(0, 1), field.slice(1)]));
}

/** The values of a DataRow, as text. */
export function rowValues(message: Message): (string | null)[] {
  const values: (string | null)[] = [];
  let at = 2;
  for (let left = message.body.readInt16BE(0); left > 0; left -= 1) {
    const length = message.body.readInt32BE(at);
    at += 4;
    values.push(length < 0 ? null : message.body.toString('utf8', at, at + length));
    at += Math.max(length, 0);
  }
  return values;
}

/** What stands up to the first zero byte of the body: a CommandComplete's tag, a Query's text, a Parse's name. */
export function firstText(message: Message): string {
  const end = message.body.indexOf(0);
  return message.body.toString('utf8', 0, end < 0 ? message.body.length : end);
}

/** Splits whole messages, and says what is left of an unfinished one. */
export function splitMessages(bytes: Buffer): { messages: Message[]; rest: Buffer } {
  const messages: Message[] = [];
  let at = 0;
  while (bytes.length - at >= 5) {
    const end = at + 1 + bytes.readInt32BE(at + 1);
    if (end > bytes.length) break;
    const type = String.fromCharCode(bytes[at] ?? 0);
    messages.push({ type, body: bytes.subarray(at + 5, end), bytes: bytes.subarray(at, end) });
    at = end;
  }
  return { messages, rest: bytes.subarray(at) };
}
