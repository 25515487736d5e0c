import { Backend } from './message-types.ts';
import { MessageWriter } from './message-writer.ts';

/** What an ErrorResponse or NoticeResponse says (manual, "Error and Notice Message Fields"). */
export interface ErrorFields {
  readonly severity: string;
  /** SQLSTATE. */
  readonly code: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
}

export function errorResponse(fields: ErrorFields): Buffer {
  return report(Backend.ErrorResponse, fields);
}

export function noticeResponse(fields: ErrorFields): Buffer {
  return report(Backend.NoticeResponse, fields);
}

function report(type: number, fields: ErrorFields): Buffer {
  const writer = new MessageWriter(type);
  writer.bytes(Buffer.from('S')).string(fields.severity);
  writer.bytes(Buffer.from('V')).string(fields.severity);
  writer.bytes(Buffer.from('C')).string(fields.code);
  writer.bytes(Buffer.from('M')).string(fields.message);
  if (fields.detail !== undefined) writer.bytes(Buffer.from('D')).string(fields.detail);
  if (fields.hint !== undefined) writer.bytes(Buffer.from('H')).string(fields.hint);
  return writer.int8(0).finish();
}

/**
 * The fields of an ErrorResponse or NoticeResponse, by their field type letter. What a hostile server leaves out or
 * leaves unterminated is simply not there.
 */
export function errorFieldMap(message: Buffer): Map<string, string> {
  const fields = new Map<string, string>();
  let at = 5;
  while (at < message.length && message[at] !== 0) {
    const end = message.indexOf(0, at + 1);
    if (end < 0) break;
    fields.set(String.fromCharCode(message[at] ?? 0), message.toString('utf8', at + 1, end));
    at = end + 1;
  }
  return fields;
}

/** The usual fields of an ErrorResponse; missing ones get PostgreSQL's word for "unknown". */
export function parseErrorFields(message: Buffer): ErrorFields {
  const fields = errorFieldMap(message);
  return {
    severity: fields.get('V') ?? fields.get('S') ?? 'ERROR',
    code: fields.get('C') ?? 'XX000',
    message: fields.get('M') ?? 'missing error text',
    detail: fields.get('D'),
    hint: fields.get('H'),
  };
}

/** Whether an ErrorResponse is the last thing its server says: it closes the connection behind it. */
export function isLastMessage(message: Buffer): boolean {
  const fields = errorFieldMap(message);
  const severity = fields.get('V') ?? fields.get('S');
  return severity === 'FATAL' || severity === 'PANIC';
}

/**
 * The SQLSTATE of an ErrorResponse that lies at `start`–`end` in `bytes`, or `XX000` where it has none. Decodes
 * nothing else.
 */
export function sqlstateOf(bytes: Buffer, start: number, end: number): string {
  let at = start + 5;
  while (at < end && bytes[at] !== 0) {
    const close = bytes.indexOf(0, at + 1);
    if (close < 0 || close >= end) break;
    if (bytes[at] === 0x43 && close === at + 6) return bytes.toString('latin1', at + 1, close);
    at = close + 1;
  }
  return 'XX000';
}

export function authenticationOk(): Buffer {
  return new MessageWriter(Backend.Authentication).int32(0).finish();
}

export function authenticationCleartextPassword(): Buffer {
  return new MessageWriter(Backend.Authentication).int32(3).finish();
}

export function authenticationMd5Password(salt: Uint8Array): Buffer {
  return new MessageWriter(Backend.Authentication).int32(5).bytes(salt).finish();
}

export function authenticationSasl(mechanisms: readonly string[]): Buffer {
  const writer = new MessageWriter(Backend.Authentication).int32(10);
  for (const mechanism of mechanisms) writer.string(mechanism);
  return writer.int8(0).finish();
}

export function authenticationSaslContinue(data: string): Buffer {
  return new MessageWriter(Backend.Authentication).int32(11).bytes(Buffer.from(data)).finish();
}

export function authenticationSaslFinal(data: string): Buffer {
  return new MessageWriter(Backend.Authentication).int32(12).bytes(Buffer.from(data)).finish();
}

export function backendKeyData(processId: number, secretKey: Uint8Array): Buffer {
  return new MessageWriter(Backend.BackendKeyData).int32(processId).bytes(secretKey).finish();
}

export function parameterStatus(name: string, value: string): Buffer {
  return new MessageWriter(Backend.ParameterStatus).string(name).string(value).finish();
}

/** NegotiateProtocolVersion: `version` is the newest minor version spoken, `options` the `_pq_.` ones not known. */
export function negotiateProtocolVersion(version: number, options: readonly string[]): Buffer {
  const writer = new MessageWriter(Backend.NegotiateProtocolVersion).int32(version).int32(options.length);
  for (const option of options) writer.string(option);
  return writer.finish();
}

/** `status`: a TransactionStatus byte. */
export function readyForQuery(status: number): Buffer {
  return new MessageWriter(Backend.ReadyForQuery).int8(status).finish();
}

export function commandComplete(tag: string): Buffer {
  return new MessageWriter(Backend.CommandComplete).string(tag).finish();
}

export function emptyQueryResponse(): Buffer {
  return new MessageWriter(Backend.EmptyQueryResponse).finish();
}

export function parseComplete(): Buffer {
  return new MessageWriter(Backend.ParseComplete).finish();
}

export function bindComplete(): Buffer {
  return new MessageWriter(Backend.BindComplete).finish();
}

export function closeComplete(): Buffer {
  return new MessageWriter(Backend.CloseComplete).finish();
}

export function noData(): Buffer {
  return new MessageWriter(Backend.NoData).finish();
}

export function parameterDescription(types: readonly number[]): Buffer {
  const writer = new MessageWriter(Backend.ParameterDescription).int16(types.length);
  for (const type of types) writer.int32(type);
  return writer.finish();
}

/** A column of a result made by pgmirror itself: its name and the OID and size of its type. */
export interface ResultColumn {
  readonly name: string;
  readonly typeOid: number;
  readonly typeSize: number;
}

export function rowDescription(columns: readonly ResultColumn[], format = 0): Buffer {
  const writer = new MessageWriter(Backend.RowDescription).int16(columns.length);
  for (const column of columns) {
    writer.string(column.name).int32(0).int16(0).int32(column.typeOid).int16(column.typeSize).int32(-1).int16(format);
  }
  return writer.finish();
}

/** A DataRow of text values; `null` is SQL's null. */
export function dataRow(values: readonly (string | null)[]): Buffer {
  const writer = new MessageWriter(Backend.DataRow).int16(values.length);
  for (const value of values) {
    if (value === null) {
      writer.int32(-1);
      continue;
    }
    const bytes = Buffer.from(value);
    writer.int32(bytes.length).bytes(bytes);
  }
  return writer.finish();
}

/** The values of a whole DataRow in text format. Throws RangeError for a malformed one. */
export function dataRowValues(message: Buffer): (string | null)[] {
  const values: (string | null)[] = [];
  let at = 7;
  for (let column = message.readUInt16BE(5); column > 0; column--) {
    const length = message.readInt32BE(at);
    at += 4;
    if (length > message.length - at) throw new RangeError('malformed DataRow');
    values.push(length < 0 ? null : message.toString('utf8', at, at + length));
    at += Math.max(0, length);
  }
  return values;
}
