import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { nodeTls } from '../util/node-tls.ts';
import type { generalSchema } from './general-schema.ts';
import type { Section } from './check-section.ts';
import { quoted } from './inspect-value.ts';
import type { ProblemList } from './problem-list.ts';

/** What the `tls_…` files hold, in PEM: read with the configuration, so that a reload takes new ones or none. */
export interface TlsConfig {
  /** Towards clients; `undefined`: there is no TLS. */
  readonly clients:
    { readonly certificate: string; readonly privateKey: string; readonly clientCa: string | undefined } | undefined;
  readonly servers: {
    readonly verify: 'disabled' | 'prefer' | 'require' | 'verify_ca' | 'verify_full';
    readonly ca: string | undefined;
    readonly certificate: string | undefined;
    readonly privateKey: string | undefined;
  };
}

type FileKey =
  | 'tls_certificate'
  | 'tls_private_key'
  | 'tls_client_ca_certificate'
  | 'tls_server_ca_certificate'
  | 'tls_server_certificate'
  | 'tls_server_private_key';

/** Reads the files, relative to the configuration's folder, and checks that TLS can be done with them. */
export function readTlsFiles(
  section: Section<typeof generalSchema>,
  configFile: string,
  problems: ProblemList,
): TlsConfig {
  const reader = new PemReader(section, dirname(configFile), problems);
  const certificate = reader.certificate('tls_certificate');
  const privateKey = reader.privateKey('tls_private_key', certificate);
  const clientCa = reader.certificate('tls_client_ca_certificate');
  const ca = reader.certificate('tls_server_ca_certificate');
  const ownCertificate = reader.certificate('tls_server_certificate');
  const ownKey = reader.privateKey('tls_server_private_key', ownCertificate);
  return {
    clients: certificate === undefined || privateKey === undefined ? undefined : { certificate, privateKey, clientCa },
    servers: { verify: section.given.tls_verify ?? 'prefer', ca, certificate: ownCertificate, privateKey: ownKey },
  };
}

/** What is wrong with a file is told without a word of what is in it. */
class PemReader {
  readonly #section: Section<typeof generalSchema>;
  readonly #folder: string;
  readonly #problems: ProblemList;

  constructor(section: Section<typeof generalSchema>, folder: string, problems: ProblemList) {
    this.#section = section;
    this.#folder = folder;
    this.#problems = problems;
  }

  certificate(key: FileKey): string | undefined {
    return this.#read(key, 'a file with a certificate in PEM', (text) => {
      if (new X509Certificate(text).raw.length === 0) throw new Error('empty');
      nodeTls().createSecureContext({ ca: text });
    });
  }

  privateKey(key: FileKey, certificate: string | undefined): string | undefined {
    const accepted = 'a file with an unencrypted private key in PEM, that of the certificate';
    return this.#read(key, accepted, (text) => {
      const privateKey = createPrivateKey(text);
      if (certificate === undefined) return;
      if (!new X509Certificate(certificate).checkPrivateKey(privateKey)) throw new Error('another key');
      nodeTls().createSecureContext({ cert: certificate, key: text });
    });
  }

  #read(key: FileKey, accepted: string, check: (text: string) => void): string | undefined {
    const file = this.#section.given[key];
    if (file === undefined) return undefined;
    const refuse = (why: string): undefined => {
      this.#problems.add({ key: `${this.#section.key}.${key}`, found: `${quoted(file)}, ${why}`, accepted });
    };
    let text: string;
    try {
      text = readFileSync(resolve(this.#folder, file), 'utf8');
    } catch (error) {
      return refuse(`which cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`);
    }
    try {
      check(text);
      return text;
    } catch {
      return refuse('which holds something else');
    }
  }
}
