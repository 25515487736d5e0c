import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import { tlsServerEndPoint } from '../../src/net/tls-server-end-point.ts';
import { makeCertificate, type CertificateOptions } from '../support/certificates.ts';

// RFC 5929, section 4.1
const cases: readonly (readonly [string, Partial<CertificateOptions>, string | undefined])[] = [
  ['RSA and MD5', { keyType: 'rsa', hash: 'md5' }, 'sha256'],
  ['RSA and SHA-1', { keyType: 'rsa', hash: 'sha1' }, 'sha256'],
  ['RSA and SHA-224', { keyType: 'rsa', hash: 'sha224' }, 'sha224'],
  ['RSA and SHA-256', { keyType: 'rsa', hash: 'sha256' }, 'sha256'],
  ['RSA and SHA-384', { keyType: 'rsa', hash: 'sha384' }, 'sha384'],
  ['RSA and SHA-512', { keyType: 'rsa', hash: 'sha512' }, 'sha512'],
  ['RSASSA-PSS and SHA-256', { keyType: 'rsa-pss', hash: 'sha256' }, 'sha256'],
  ['RSASSA-PSS and SHA-384', { keyType: 'rsa-pss', hash: 'sha384' }, 'sha384'],
  ['RSASSA-PSS and SHA-512', { keyType: 'rsa-pss', hash: 'sha512' }, 'sha512'],
  ['ECDSA and SHA-1', { hash: 'sha1' }, 'sha256'],
  ['ECDSA and SHA-256', { hash: 'sha256' }, 'sha256'],
  ['ECDSA and SHA-384', { hash: 'sha384' }, 'sha384'],
  ['ECDSA and SHA-512', { hash: 'sha512' }, 'sha512'],
  ['Ed25519, which has no hash', { keyType: 'ed25519' }, undefined],
];

describe('tlsServerEndPoint', () => {
  for (const [what, options, hash] of cases) {
    it(`hashes a certificate signed with ${what}: ${hash ?? 'no channel binding'}`, () => {
      const { der, certificate } = makeCertificate({ name: 'server', ...options });
      assert.ok(new X509Certificate(certificate).raw.equals(der), 'it is a certificate');
      const expected = hash === undefined ? undefined : createHash(hash).update(der).digest('hex');
      assert.equal(tlsServerEndPoint(der)?.toString('hex'), expected);
    });
  }

  it('gives nothing for what is no certificate, however it is cut', () => {
    const { der } = makeCertificate({ name: 'server' });
    for (let length = 0; length < der.length; length += 7) {
      assert.doesNotThrow(() => tlsServerEndPoint(der.subarray(0, length)));
    }
    assert.equal(tlsServerEndPoint(Buffer.from('3084ffffffff', 'hex')), undefined);
    assert.equal(tlsServerEndPoint(Buffer.alloc(100)), undefined);
  });
});
