import { serialize } from 'pg-protocol';
import { Frontend } from './message-types.ts';
import type { Target } from './message-types.ts';
import { MessageWriter } from './message-writer.ts';

/** Protocol versions as a StartupMessage carries them; 3.2 has cancel keys of up to 256 bytes. */
export const PROTOCOL_3_0 = 0x0003_0000;
export const PROTOCOL_3_2 = 0x0003_0002;
/** Request codes that stand where a StartupMessage has its version. */
export const CANCEL_REQUEST_CODE = 80877102;
export const SSL_REQUEST_CODE = 80877103;
export const GSSENC_REQUEST_CODE = 80877104;

/** StartupMessage with its parameters (`user` among them). */
export function startupMessage(parameters: Readonly<Record<string, string>>, version = PROTOCOL_3_0): Buffer {
  const writer = new MessageWriter(undefined).int32(version);
  for (const [name, value] of Object.entries(parameters)) writer.string(name).string(value);
  return writer.int8(0).finish();
}

/** SSLRequest. */
export function sslRequest(): Buffer {
  return new MessageWriter(undefined).int32(SSL_REQUEST_CODE).finish();
}

/** CancelRequest: `secretKey` as BackendKeyData carried it, 4 to 256 bytes. */
export function cancelRequest(processId: number, secretKey: Uint8Array): Buffer {
  return new MessageWriter(undefined).int32(CANCEL_REQUEST_CODE).int32(processId).bytes(secretKey).finish();
}

export function passwordMessage(password: string): Buffer {
  return serialize.password(password);
}

export function saslInitialResponse(mechanism: string, response: string): Buffer {
  return serialize.sendSASLInitialResponseMessage(mechanism, response);
}

export function saslResponse(response: string): Buffer {
  return serialize.sendSCRAMClientFinalMessage(response);
}

export function query(text: string): Buffer {
  return serialize.query(text);
}

/** Parse, Bind, Execute and Sync of a statement with one parameter, whose type is left to the server. */
export function queryWith(text: string, value: string): Buffer {
  return Buffer.concat([serialize.parse({ text }), serialize.bind({ values: [value] }), serialize.execute({}), sync()]);
}

/** `definition`: what follows the name in a Parse message: text, zero byte, parameter types. */
export function parse(name: string, definition: Uint8Array): Buffer {
  return new MessageWriter(Frontend.Parse).string(name).bytes(definition).finish();
}

export function describe(target: (typeof Target)[keyof typeof Target], name: string): Buffer {
  return new MessageWriter(Frontend.Describe).int8(target).string(name).finish();
}

export function close(target: (typeof Target)[keyof typeof Target], name: string): Buffer {
  return new MessageWriter(Frontend.Close).int8(target).string(name).finish();
}

/** Runs a statement that returns nothing, by the extended flow and under a name: what is unnamed stays as it is. */
export function runNamed(name: string, text: string): Buffer {
  return Buffer.concat([
    serialize.parse({ name, text }),
    serialize.bind({ portal: name, statement: name }),
    serialize.execute({ portal: name }),
    serialize.close({ type: 'P', name }),
    serialize.close({ type: 'S', name }),
    sync(),
  ]);
}

/** A Bind of a statement without parameters, to the unnamed portal. */
export function bindAbsent(statement: string): Buffer {
  return serialize.bind({ statement });
}

export function copyFail(reason: string): Buffer {
  return serialize.copyFail(reason);
}

export function sync(): Buffer {
  return serialize.sync();
}

export function flush(): Buffer {
  return serialize.flush();
}

export function terminate(): Buffer {
  return serialize.end();
}
