import type { CancelKey } from './cancel-key.ts';
import { CANCEL_REQUEST_CODE, GSSENC_REQUEST_CODE, SSL_REQUEST_CODE } from './frontend-messages.ts';
import { ProtocolError } from './protocol-error.ts';

/** The longest startup packet PostgreSQL takes (MAX_STARTUP_PACKET_LENGTH in libpq/pqcomm.h). */
const MAX_STARTUP_PACKET_LENGTH = 10_000;

/** What a connection may begin with. */
export type StartupPacket =
  | { readonly kind: 'ssl' }
  | { readonly kind: 'gssenc' }
  | ({ readonly kind: 'cancel' } & CancelKey)
  | { readonly kind: 'startup'; readonly version: number; readonly parameters: ReadonlyMap<string, string> };

/**
 * How long the startup packet at the beginning of `bytes` is, length word included; `undefined` while that is not known
 * yet. Throws ProtocolError for a length that PostgreSQL refuses (ProcessStartupPacket).
 */
export function startupPacketLength(bytes: Buffer): number | undefined {
  if (bytes.length < 4) return undefined;
  const length = bytes.readUInt32BE(0);
  // PostgreSQL compares the length without the word that holds it.
  if (length < 8 || length - 4 > MAX_STARTUP_PACKET_LENGTH) throw new ProtocolError('invalid length of startup packet');
  return length;
}

/** Decodes a whole startup packet. Throws ProtocolError with the text PostgreSQL has for what is wrong. */
export function parseStartupPacket(packet: Buffer): StartupPacket {
  const code = packet.readUInt32BE(4);
  if (code === SSL_REQUEST_CODE) return { kind: 'ssl' };
  if (code === GSSENC_REQUEST_CODE) return { kind: 'gssenc' };
  if (code === CANCEL_REQUEST_CODE) {
    // A key of 3.0 has four bytes, one of 3.2 up to 256.
    if (packet.length < 16 || packet.length > 268) throw new ProtocolError('invalid length of cancel request');
    return { kind: 'cancel', processId: packet.readInt32BE(8), secretKey: packet.toString('latin1', 12) };
  }
  if (code >>> 16 !== 3) throw unsupportedProtocol(code);
  return { kind: 'startup', version: code, parameters: startupParameters(packet) };
}

/** A client asks for a protocol that is not spoken, or not any more. */
export function unsupportedProtocol(code: number): ProtocolError {
  const version = `${code >>> 16}.${code & 0xffff}`;
  return new ProtocolError(`unsupported frontend protocol ${version}: server supports 3.0 to 3.2`, '0A000');
}

function startupParameters(packet: Buffer): Map<string, string> {
  const parameters = new Map<string, string>();
  let at = 8;
  while (at < packet.length && packet[at] !== 0) {
    const nameEnd = packet.indexOf(0, at);
    const valueEnd = nameEnd < 0 ? -1 : packet.indexOf(0, nameEnd + 1);
    if (valueEnd < 0) throw invalidLayout();
    parameters.set(packet.toString('utf8', at, nameEnd), packet.toString('utf8', nameEnd + 1, valueEnd));
    at = valueEnd + 1;
  }
  if (at !== packet.length - 1) throw invalidLayout();
  return parameters;
}

function invalidLayout(): ProtocolError {
  return new ProtocolError('invalid startup packet layout: expected terminator as last byte');
}
