import { HEADER_LENGTH } from '../protocol/message-types.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';

/** The longest password or SASL message taken from a client, in bytes behind the type (PG_MAX_AUTH_TOKEN_LENGTH). */
export const MAX_PASSWORD_MESSAGE_LENGTH = 65_535;

/** The bytes of a PasswordMessage, without the zero byte that must be its last and only one. */
export function parsePasswordMessage(message: Buffer): Buffer {
  if (message.indexOf(0, HEADER_LENGTH) !== message.length - 1) throw new ProtocolError('invalid password packet size');
  return message.subarray(HEADER_LENGTH, -1);
}

/**
 * A SASLInitialResponse. `response` is latin1; `undefined` where the client sent none, which is not the same as an
 * empty one.
 */
export interface SaslInitialResponse {
  readonly mechanism: string;
  readonly response: string | undefined;
}

/** Parses a SASLInitialResponse: the mechanism, an int32 length or -1, and so many bytes, which end the message. */
export function parseSaslInitialResponse(message: Buffer): SaslInitialResponse {
  const end = message.indexOf(0, HEADER_LENGTH);
  if (end < 0 || message.length < end + 5) throw invalidSaslPacket();
  const mechanism = message.toString('latin1', HEADER_LENGTH, end);
  const length = message.readInt32BE(end + 1);
  const start = end + 5;
  if (length < -1 || start + Math.max(length, 0) !== message.length) throw invalidSaslPacket();
  return { mechanism, response: length < 0 ? undefined : message.toString('latin1', start) };
}

/** The data of a SASLResponse, latin1. */
export function parseSaslResponse(message: Buffer): string {
  return message.toString('latin1', HEADER_LENGTH);
}

function invalidSaslPacket(): ProtocolError {
  return new ProtocolError('invalid SASLInitialResponse packet');
}
