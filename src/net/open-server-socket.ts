import { sslRequest } from '../protocol/frontend-messages.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { monotonicNow } from '../util/clock.ts';
import { ServerSocket } from './server-socket.ts';
import type { ServerAddress } from './server-socket.ts';
import type { ServerTlsOptions } from './server-tls.ts';

/** How to connect; times in milliseconds. */
export interface OpenOptions {
  /** `undefined`: in plain text. */
  readonly tls: ServerTlsOptions | undefined;
  /** For everything together. */
  readonly timeoutMs: number;
  /** Do not do without TLS, though `prefer` would. */
  readonly mustEncrypt?: boolean;
}

/** TLS that was asked for and that the server, or somebody between, did not do. */
export class TlsRefusedError extends Error {
  override readonly name = 'TlsRefusedError';
}

/**
 * Connects to a server, up to where the StartupMessage or a CancelRequest is sent: with TLS where the options ask for it
 * and it is no unix socket, on which libpq does without as well. Rejects with the socket's error, ProtocolError or
 * TlsRefusedError, and has then left nothing open.
 */
export async function openServerSocket(address: ServerAddress, options: OpenOptions): Promise<ServerSocket> {
  const { tls, timeoutMs, mustEncrypt = false } = options;
  const deadline = monotonicNow() + timeoutMs;
  if (tls === undefined || tls.verify === 'disabled' || address.host.startsWith('/')) {
    return ServerSocket.connect(address, { timeoutMs });
  }
  const may = tls.verify === 'prefer' && !mustEncrypt;
  const socket = await ServerSocket.connect(address, { timeoutMs });
  const late = timeLimit(deadline - monotonicNow(), timeoutMs);
  try {
    const answer = await Promise.race([askForTls(socket), late.passed]);
    if (answer === 'N') {
      if (may) return socket;
      throw new TlsRefusedError('the server does not support SSL, but SSL is required');
    }
    await Promise.race([socket.secure(tls), late.passed]);
    return socket;
  } catch (error) {
    socket.destroy();
    const left = deadline - monotonicNow();
    if (!may || error instanceof ProtocolError || error === late.error || left <= 0) throw error;
    // As libpq has it: what cannot be encrypted is done without.
    return await ServerSocket.connect(address, { timeoutMs: left });
  } finally {
    late.clear();
  }
}

/** Sends an SSLRequest; the server's answer (manual, "SSL Session Encryption"). */
function askForTls(socket: ServerSocket): Promise<'S' | 'N'> {
  return new Promise((resolve, reject) => {
    socket.handler = {
      bytes: (chunk) => {
        // What is behind it was not encrypted, and would be taken for the beginning of what is (CVE-2021-23222).
        socket.pause();
        const answer = chunk.toString('latin1', 0, 1);
        if (answer === 'E') reject(new TlsRefusedError('the server answered the SSL request with an error'));
        else if (answer !== 'S' && answer !== 'N') reject(new ProtocolError('invalid response to SSL negotiation'));
        else if (chunk.length > 1) reject(new ProtocolError('received unencrypted data after SSL response'));
        else {
          socket.resume();
          resolve(answer);
        }
      },
      closed: (error) => reject(error ?? new TlsRefusedError('the server closed the connection at the SSL request')),
    };
    socket.write(sslRequest());
  });
}

function timeLimit(
  ms: number,
  told: number,
): { readonly passed: Promise<never>; readonly error: Error; clear(): void } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined);
  const error = Object.assign(new Error(`no connection within ${Math.ceil(told)} ms`), { code: 'ETIMEDOUT' });
  const timer = setTimeout(() => reject(error), Math.max(ms, 0));
  return { passed: promise, error, clear: () => clearTimeout(timer) };
}
