import type { ConnectionOptions, SecureContext } from 'node:tls';
import { isIP } from 'node:net';
import { nodeTls } from '../util/node-tls.ts';
import { ALPN_PROTOCOL } from './tls-acceptor.ts';

/** How far a server is to be trusted: libpq's `sslmode`. */
export type TlsVerify = 'disabled' | 'prefer' | 'require' | 'verify_ca' | 'verify_full';

/** TLS towards servers; texts in PEM. Plain data, so that it can be sent to a thread or process. */
export interface ServerTlsOptions {
  readonly verify: TlsVerify;
  /** Whom a server's certificate must come from; without it, from one of the public authorities that Node knows. */
  readonly ca: string | undefined;
  /** What servers are shown that ask for a certificate. */
  readonly certificate: string | undefined;
  readonly privateKey: string | undefined;
}

/**
 * What `tls.connect` needs for a server at `host` (manual, "Protection Provided in Different Modes"). As in libpq,
 * `require` is `verify_ca` where there is an authority to verify with; `prefer` never verifies: it would do without TLS.
 */
export function tlsConnectOptions(options: ServerTlsOptions, host: string): ConnectionOptions {
  const { verify, ca } = options;
  return {
    host,
    secureContext: contextOf(options),
    ALPNProtocols: [ALPN_PROTOCOL],
    rejectUnauthorized:
      verify === 'verify_ca' || verify === 'verify_full' || (verify === 'require' && ca !== undefined),
    checkServerIdentity: (_servername, certificate) =>
      verify === 'verify_full' ? nodeTls().checkServerIdentity(host, certificate) : undefined,
    // Server Name Indication knows no addresses (RFC 6066, section 3).
    ...(isIP(host) === 0 ? { servername: host } : {}),
  };
}

const KEPT = 16;
const contexts = new Map<string, SecureContext>();

// Reading the certificates takes longer than a handshake: it is done once, not for each connection.
function contextOf({ ca, certificate, privateKey }: ServerTlsOptions): SecureContext {
  const key = JSON.stringify([ca, certificate, privateKey]);
  let context = contexts.get(key);
  if (context === undefined) {
    context = nodeTls().createSecureContext({ ca, cert: certificate, key: privateKey });
    if (contexts.size >= KEPT) contexts.clear();
    contexts.set(key, context);
  }
  return context;
}
