import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { ConfigError } from '../../src/config/config-error.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import type { TlsConfig } from '../../src/config/tls-files.ts';
import { makeCertificate } from '../support/certificates.ts';

const server = makeCertificate({ name: 'server' });
const other = makeCertificate({ name: 'other' });
const users = '[[users]]\nname = "alice"\ndatabase = "app"\npassword = "x"\n';
const pair = 'tls_certificate = "server.crt"\ntls_private_key = "server.key"\n';

function load(t: TestContext, general: string, files: Readonly<Record<string, string>>): TlsConfig {
  const folder = mkdtempSync(join(tmpdir(), 'pgmirror-tls-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const config = join(folder, 'pgmirror.toml');
  writeFileSync(config, `[general]\n${general}\n[[databases]]\nname = "app"\nhost = "h"\n`);
  writeFileSync(join(folder, 'users.toml'), users);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return loadConfig({ config, users: join(folder, 'users.toml') }, {}).tls;
}

function problems(t: TestContext, general: string, files: Readonly<Record<string, string>> = {}): readonly string[] {
  try {
    load(t, general, files);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    for (const text of Object.values(files)) {
      for (const line of text.split('\n').filter((part) => part.length > 20)) assert.ok(!error.message.includes(line));
    }
    return error.problems.map((line) => line.replace(/^.*pgmirror\.toml: /, ''));
  }
  return [];
}

describe('the files of TLS', () => {
  it('are read from the folder of pgmirror.toml', (t) => {
    const files = { 'server.crt': server.certificate, 'server.key': server.privateKey, 'root.crt': other.certificate };
    const tls = load(t, `${pair}tls_verify = "verify_full"\ntls_server_ca_certificate = "root.crt"`, files);
    const { certificate, privateKey } = server;
    assert.deepEqual(tls.clients, { certificate, privateKey, clientCa: undefined });
    assert.equal(tls.servers.verify, 'verify_full');
    assert.equal(tls.servers.ca, other.certificate);
  });

  it('need not be there: then there is no TLS towards clients, and servers are asked for it', (t) => {
    const servers = { verify: 'prefer', ca: undefined, certificate: undefined, privateKey: undefined };
    assert.deepEqual(load(t, '', {}), { clients: undefined, servers });
  });

  it('are refused where they are missing, hold something else, or do not belong together', (t) => {
    const files = { 'server.crt': server.certificate, 'server.key': server.privateKey };
    const key = 'a file with an unencrypted private key in PEM, that of the certificate';
    const certificate = 'a file with a certificate in PEM';
    assert.deepEqual(problems(t, pair), [
      `general.tls_certificate: found "server.crt", which cannot be read (ENOENT), accepted: ${certificate}`,
      `general.tls_private_key: found "server.key", which cannot be read (ENOENT), accepted: ${key}`,
    ]);
    assert.deepEqual(problems(t, pair, { ...files, 'server.crt': server.privateKey }), [
      `general.tls_certificate: found "server.crt", which holds something else, accepted: ${certificate}`,
    ]);
    assert.deepEqual(problems(t, pair, { ...files, 'server.key': other.privateKey }), [
      `general.tls_private_key: found "server.key", which holds something else, accepted: ${key}`,
    ]);
    const encrypted = other.key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' });
    assert.deepEqual(problems(t, pair, { ...files, 'server.key': encrypted }), [
      `general.tls_private_key: found "server.key", which holds something else, accepted: ${key}`,
    ]);
  });

  it('of an authority are needed to verify with it, and one of our own to ask clients for theirs', (t) => {
    assert.deepEqual(problems(t, 'tls_verify = "verify_ca"'), [
      'general.tls_server_ca_certificate: found nothing, accepted: a file, since tls_verify is "verify_ca"',
    ]);
    assert.deepEqual(problems(t, 'tls_client_ca_certificate = "root.crt"'), [
      'general.tls_certificate: found nothing, accepted: a file, since tls_client_ca_certificate is given',
    ]);
  });
});
