import { createHash } from 'node:crypto';

/**
 * The hash that goes with each signature algorithm. RFC 5929, section 4.1: a certificate signed with MD5 or SHA-1 is
 * hashed with SHA-256, every other with the hash of its signature.
 */
const HASH_OF_SIGNATURE: ReadonlyMap<string, string> = new Map([
  ['1.2.840.113549.1.1.4', 'sha256'], // md5WithRSAEncryption
  ['1.2.840.113549.1.1.5', 'sha256'], // sha1WithRSAEncryption
  ['1.2.840.113549.1.1.11', 'sha256'],
  ['1.2.840.113549.1.1.12', 'sha384'],
  ['1.2.840.113549.1.1.13', 'sha512'],
  ['1.2.840.113549.1.1.14', 'sha224'],
  ['1.2.840.10045.4.1', 'sha256'], // ecdsa-with-SHA1
  ['1.2.840.10045.4.3.1', 'sha224'],
  ['1.2.840.10045.4.3.2', 'sha256'],
  ['1.2.840.10045.4.3.3', 'sha384'],
  ['1.2.840.10045.4.3.4', 'sha512'],
  ['1.2.840.10040.4.3', 'sha256'], // dsa-with-sha1
  ['2.16.840.1.101.3.4.3.1', 'sha224'], // dsa-with-sha224
  ['2.16.840.1.101.3.4.3.2', 'sha256'], // dsa-with-sha256
]);

const RSASSA_PSS = '1.2.840.113549.1.1.10';
const HASH_ALGORITHMS: ReadonlyMap<string, string> = new Map([
  ['1.3.14.3.2.26', 'sha256'], // SHA-1
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
  ['2.16.840.1.101.3.4.2.4', 'sha224'],
]);

const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;
/** `[0]`, constructed: hashAlgorithm among the parameters of RSASSA-PSS (RFC 4055, section 3.1). */
const PSS_HASH_ALGORITHM = 0xa0;

/**
 * The tls-server-end-point channel binding of a server's certificate in DER (RFC 5929, section 4): what SCRAM-…-PLUS
 * ties a login to. `undefined` where the signature has no hash of its own (Ed25519) or an unknown one: then there is no
 * channel binding, as in PostgreSQL.
 */
export function tlsServerEndPoint(certificate: Buffer): Buffer | undefined {
  const hash = signatureHash(certificate);
  return hash === undefined ? undefined : createHash(hash).update(certificate).digest();
}

// Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm AlgorithmIdentifier, signatureValue }
// AlgorithmIdentifier ::= SEQUENCE { algorithm OBJECT IDENTIFIER, parameters OPTIONAL }   (RFC 5280, section 4.1)
function signatureHash(certificate: Buffer): string | undefined {
  const whole = element(certificate, SEQUENCE);
  const toBeSigned = element(whole?.body, SEQUENCE);
  const algorithm = element(toBeSigned?.rest, SEQUENCE);
  const identifier = element(algorithm?.body, OBJECT_IDENTIFIER);
  if (identifier === undefined) return undefined;
  const name = dotted(identifier.body);
  return name === RSASSA_PSS ? pssHash(identifier.rest) : HASH_OF_SIGNATURE.get(name);
}

function pssHash(parameters: Buffer): string | undefined {
  const fields = element(parameters, SEQUENCE);
  const tagged = element(fields?.body, PSS_HASH_ALGORITHM);
  // Left out, it is SHA-1.
  if (tagged === undefined) return fields === undefined ? undefined : 'sha256';
  const identifier = element(element(tagged.body, SEQUENCE)?.body, OBJECT_IDENTIFIER);
  return identifier === undefined ? undefined : HASH_ALGORITHMS.get(dotted(identifier.body));
}

/** The DER element with this tag at the beginning of `bytes`, and what follows it. */
function element(bytes: Buffer | undefined, tag: number): { readonly body: Buffer; readonly rest: Buffer } | undefined {
  if (bytes === undefined || bytes.length < 2 || bytes[0] !== tag) return undefined;
  let length = bytes[1] ?? 0;
  let start = 2;
  if (length > 0x80) {
    const count = length - 0x80;
    if (count > 4 || bytes.length < 2 + count) return undefined;
    length = bytes.readUIntBE(2, count);
    start += count;
  }
  if (bytes.length < start + length) return undefined;
  return { body: bytes.subarray(start, start + length), rest: bytes.subarray(start + length) };
}

function dotted(identifier: Buffer): string {
  const first = identifier[0] ?? 0;
  const arcs = [Math.min(Math.floor(first / 40), 2)];
  arcs.push(first - 40 * (arcs[0] ?? 0));
  let arc = 0;
  for (const byte of identifier.subarray(1)) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    arcs.push(arc);
    arc = 0;
  }
  return arcs.join('.');
}
