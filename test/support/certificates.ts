import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';

// Made by hand from RFC 5280, some hundred lines: a package would be one more to trust and to keep, and `openssl` is not on every
// machine that runs these tests.

/** A certificate with its key, in PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly privateKey: string;
  /** The certificate in DER. */
  readonly der: Buffer;
  readonly name: string;
  readonly key: KeyObject;
}

/** See {@link makeCertificate}. */
export interface CertificateOptions {
  readonly name: string;
  /** Host names and addresses that it is valid for. */
  readonly hosts?: readonly string[];
  /** Who signs it; default itself, and then it is an authority. */
  readonly issuer?: Certificate;
  /** Of the issuer's signature; default `sha256`. */
  readonly hash?: 'md5' | 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512';
  readonly keyType?: 'ec' | 'rsa' | 'rsa-pss' | 'ed25519';
  /** In milliseconds of the epoch; default in a day. */
  readonly notAfter?: number;
}

const dayMs = 86_400_000;

/** Makes a key and a certificate for it. */
export function makeCertificate(options: CertificateOptions): Certificate {
  const { name, issuer, hosts = [], keyType = 'ec', notAfter = Date.now() + dayMs } = options;
  const { publicKey, privateKey } = keyPair(keyType, options.hash ?? 'sha256');
  const signer = issuer?.key ?? privateKey;
  const algorithm = signatureAlgorithm(signer, options.hash ?? 'sha256');
  const toBeSigned = sequence(
    tagged(0xa0, integer(Buffer.from([2]))), // version 3
    integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    distinguishedName(issuer?.name ?? name),
    sequence(time(Math.min(Date.now(), notAfter) - dayMs), time(notAfter)),
    distinguishedName(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions(hosts, issuer === undefined))),
  );
  const ed25519 = signer.asymmetricKeyType === 'ed25519';
  const signature = sign(ed25519 ? undefined : (options.hash ?? 'sha256'), toBeSigned, signer);
  const der = sequence(toBeSigned, algorithm, bitString(signature));
  const body = der
    .toString('base64')
    .match(/.{1,64}/g)
    ?.join('\n');
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`,
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    der,
    name,
    key: privateKey,
  };
}

function keyPair(type: string, hash: string): { publicKey: KeyObject; privateKey: KeyObject } {
  if (type === 'rsa') return generateKeyPairSync('rsa', { modulusLength: 2048 });
  if (type === 'rsa-pss') {
    return generateKeyPairSync('rsa-pss', {
      modulusLength: 2048,
      hashAlgorithm: hash,
      mgf1HashAlgorithm: hash,
      // The type wants a string, Node a number.
      saltLength: 20 as unknown as string,
    });
  }
  if (type === 'ed25519') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
}

const rsaSignatures: Readonly<Record<string, string>> = {
  md5: '1.2.840.113549.1.1.4',
  sha1: '1.2.840.113549.1.1.5',
  sha256: '1.2.840.113549.1.1.11',
  sha384: '1.2.840.113549.1.1.12',
  sha512: '1.2.840.113549.1.1.13',
  sha224: '1.2.840.113549.1.1.14',
};
const ecdsaSignatures: Readonly<Record<string, string>> = {
  sha1: '1.2.840.10045.4.1',
  sha224: '1.2.840.10045.4.3.1',
  sha256: '1.2.840.10045.4.3.2',
  sha384: '1.2.840.10045.4.3.3',
  sha512: '1.2.840.10045.4.3.4',
};
const hashes: Readonly<Record<string, string>> = {
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
};

function signatureAlgorithm(signer: KeyObject, hash: string): Buffer {
  switch (signer.asymmetricKeyType) {
    case 'rsa':
      return sequence(identifier(rsaSignatures[hash] ?? ''), Buffer.from([5, 0]));
    case 'rsa-pss':
      return sequence(
        identifier('1.2.840.113549.1.1.10'),
        sequence(
          ...(hash === 'sha1' ? [] : [tagged(0xa0, sequence(identifier(hashes[hash] ?? ''), Buffer.from([5, 0])))]),
          tagged(0xa1, sequence(identifier('1.2.840.113549.1.1.8'), sequence(identifier(hashes[hash] ?? '')))),
          tagged(0xa2, integer(Buffer.from([20]))),
        ),
      );
    case 'ed25519':
      return sequence(identifier('1.3.101.112'));
    default:
      return sequence(identifier(ecdsaSignatures[hash] ?? ''));
  }
}

function extensions(hosts: readonly string[], isAuthority: boolean): Buffer[] {
  const list: Buffer[] = [];
  if (isAuthority) {
    list.push(extension('2.5.29.19', sequence(tagged(0x01, Buffer.from([0xff]))))); // basicConstraints: cA
  }
  if (hosts.length > 0) {
    const names = hosts.map((host) =>
      isIP(host) === 4 ? tagged(0x87, Buffer.from(host.split('.').map(Number))) : tagged(0x82, Buffer.from(host)),
    );
    list.push(extension('2.5.29.17', sequence(...names))); // subjectAltName
  }
  return list.length > 0 ? list : [extension('2.5.29.19', sequence())];
}

function extension(name: string, content: Buffer): Buffer {
  return sequence(identifier(name), tagged(0x04, content));
}

function distinguishedName(commonName: string): Buffer {
  return sequence(tagged(0x31, sequence(identifier('2.5.4.3'), tagged(0x0c, Buffer.from(commonName)))));
}

function time(milliseconds: number): Buffer {
  const text = new Date(milliseconds).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return tagged(0x18, Buffer.from(text)); // GeneralizedTime
}

function identifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let high = Math.floor(arc / 128); high > 0; high = Math.floor(high / 128))
      groups.unshift((high & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tagged(0x06, Buffer.from(bytes));
}

function integer(value: Buffer): Buffer {
  return tagged(0x02, value);
}

function bitString(bytes: Buffer): Buffer {
  return tagged(0x03, Buffer.concat([Buffer.from([0]), bytes]));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function tagged(tag: number, content: Buffer): Buffer {
  const length = content.length;
  const long = [length >>> 8, length].map((byte) => byte & 0xff);
  const header = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, ...long];
  return Buffer.concat([Buffer.from([tag, ...header]), content]);
}
