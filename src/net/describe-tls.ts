import type { TLSSocket } from 'node:tls';

/** The version and the cipher suite of a TLS connection that is established, as `TLSv1.3/TLS_AES_256_GCM_SHA384`. */
export function describeTls(socket: TLSSocket): string {
  return `${socket.getProtocol() ?? ''}/${socket.getCipher().standardName}`;
}
