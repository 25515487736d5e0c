import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { createSecureContext, TLSSocket } from 'node:tls';
import { openServerSocket, TlsRefusedError } from '../../src/net/open-server-socket.ts';
import type { ServerSocket } from '../../src/net/server-socket.ts';
import type { ServerTlsOptions, TlsVerify } from '../../src/net/server-tls.ts';
import { tlsServerEndPoint } from '../../src/net/tls-server-end-point.ts';
import { ProtocolError } from '../../src/protocol/protocol-error.ts';
import { makeCertificate, type Certificate } from '../support/certificates.ts';
import { within } from '../support/eventually.ts';
import { listening } from './sockets.ts';

const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const authority = makeCertificate({ name: 'authority' });
const named = makeCertificate({ name: 'server', hosts: ['localhost'], issuer: authority });
const strange = makeCertificate({ name: 'server', hosts: ['localhost'] });
const expired = makeCertificate({ name: 'server', hosts: ['localhost'], issuer: authority, notAfter: Date.now() - 1 });
const commonName = makeCertificate({ name: 'localhost', issuer: authority });
const wildcard = makeCertificate({ name: 'server', hosts: ['*.localhost'], issuer: authority });
const addressed = makeCertificate({ name: 'server', hosts: ['127.0.0.1'], issuer: authority });

function tls(verify: TlsVerify, ca: string | undefined = authority.certificate): ServerTlsOptions {
  return { verify, ca, certificate: undefined, privateKey: undefined };
}

/** What a server does with each of its connections in turn, the last for all that follow. */
type Conduct = (socket: Socket) => void | Promise<void>;

/** After the SSLRequest: these bytes. */
function answers(...bytes: readonly (string | Buffer)[]): Conduct {
  return async (socket) => {
    const [request] = (await once(socket, 'data')) as [Buffer];
    assert.deepEqual(request, SSL_REQUEST);
    socket.write(Buffer.concat(bytes.map((part) => Buffer.from(part as string, 'latin1'))));
  };
}

/** Agrees to TLS, with this certificate, and greets. */
function agrees({ certificate, privateKey }: Certificate): Conduct {
  return async (socket) => {
    await answers('S')(socket);
    const secureContext = createSecureContext({ cert: certificate, key: privateKey });
    const secure = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: ['postgresql'] });
    secure.on('error', () => undefined);
    secure.on('secure', () => secure.write('welcome'));
    secure.on('data', (chunk: Buffer) => secure.write(chunk));
  };
}

async function serving(t: TestContext, ...conducts: readonly Conduct[]) {
  const { server, port } = await listening(t);
  let connections = 0;
  server.on('connection', (socket: Socket) => {
    const conduct = conducts[Math.min(connections++, conducts.length - 1)];
    void conduct?.(socket);
  });
  const open = async (options: ServerTlsOptions | undefined, more: { host?: string; mustEncrypt?: boolean } = {}) => {
    const { host = 'localhost', mustEncrypt = false } = more;
    const socket = await openServerSocket({ host, port }, { tls: options, timeoutMs: 2_000, mustEncrypt });
    t.after(() => socket.destroy());
    return socket;
  };
  return { open, port, connections: () => connections };
}

/** What comes first. */
async function first(socket: ServerSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.handler = {
      bytes: (chunk) => resolve(chunk.toString('latin1')),
      closed: (error) => reject(error ?? new Error('closed')),
    };
  });
}

describe('openServerSocket', () => {
  const verdicts: readonly (readonly [string, Certificate, Partial<Record<TlsVerify, boolean>>])[] = [
    ['of the authority, for the host', named, { require: true, verify_ca: true, verify_full: true }],
    ['of another authority', strange, { require: false, verify_ca: false, verify_full: false, prefer: true }],
    ['that has expired', expired, { verify_ca: false, verify_full: false }],
    ['for another host', addressed, { require: true, verify_ca: true, verify_full: false }],
    ['for the hosts below', wildcard, { verify_ca: true, verify_full: false }],
    ['that names the host as of old', commonName, { verify_full: true }],
  ];
  for (const [what, certificate, modes] of verdicts) {
    for (const [verify, accepted] of Object.entries(modes)) {
      it(`${accepted ? 'accepts' : 'refuses'} with ${verify} a certificate ${what}`, async (t) => {
        const { open, connections } = await serving(t, agrees(certificate));
        if (!accepted) {
          await assert.rejects(open(tls(verify as TlsVerify)));
          assert.equal(connections(), 1);
          return;
        }
        const socket = await open(tls(verify as TlsVerify));
        assert.equal(await first(socket), 'welcome');
        assert.deepEqual(socket.encryption?.channelBinding, tlsServerEndPoint(certificate.der));
      });
    }
  }

  it('looks for the configured address in the certificate where the host is one', async (t) => {
    const { open } = await serving(t, agrees(addressed));
    assert.equal(await first(await open(tls('verify_full'), { host: '127.0.0.1' })), 'welcome');
  });

  it('takes any certificate with require where there is no authority to ask, as libpq does', async (t) => {
    const { open } = await serving(t, agrees(strange));
    const options = { ...tls('require'), ca: undefined };
    assert.equal(await first(await open(options)), 'welcome');
  });

  it('knows the public authorities with verify_full where none is named, and ours is not among them', async (t) => {
    const { open } = await serving(t, agrees(named));
    await assert.rejects(open({ ...tls('verify_full'), ca: undefined }));
  });

  it('shows its own certificate to a server that asks', async (t) => {
    const own = makeCertificate({ name: 'pgmirror', issuer: authority });
    const shown = Promise.withResolvers<string>();
    const { open } = await serving(t, async (socket) => {
      await answers('S')(socket);
      const { certificate: cert, privateKey: key } = named;
      const secureContext = createSecureContext({ cert, key, ca: authority.certificate });
      const secure = new TLSSocket(socket, { isServer: true, secureContext, requestCert: true });
      secure.on('error', shown.reject);
      secure.on('secure', () => shown.resolve(secure.getPeerX509Certificate()?.subject ?? ''));
    });
    await open({ ...tls('verify_full'), certificate: own.certificate, privateKey: own.privateKey });
    assert.equal(await shown.promise, 'CN=pgmirror');
  });

  for (const verify of ['prefer', 'require', 'verify_full'] as const) {
    it(`refuses bytes behind the S with ${verify}: they were not encrypted`, async (t) => {
      const { open, connections } = await serving(t, answers('S', 'R\0\0\0\x08\0\0\0\0'));
      await assert.rejects(open(tls(verify)), (error) => {
        assert.ok(error instanceof ProtocolError);
        assert.equal(error.message, 'received unencrypted data after SSL response');
        return true;
      });
      assert.equal(connections(), 1, 'and does not try again');
    });
  }

  it('never takes bytes that follow the S in plain text for what is encrypted', async (t) => {
    const { open } = await serving(t, async (socket) => {
      await answers('S')(socket);
      socket.once('data', () => socket.write('R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I'));
    });
    await assert.rejects(open(tls('require')));
  });

  it('refuses an answer that is neither S nor N, and bytes behind an N', async (t) => {
    for (const answer of ['X', 'NR', 'HTTP/1.1 400']) {
      const { open } = await serving(t, answers(answer));
      await assert.rejects(open(tls('prefer')), ProtocolError);
    }
  });

  it('goes on in plain text after N with prefer, and only with prefer', async (t) => {
    const { open, connections } = await serving(t, answers('N'));
    const socket = await open(tls('prefer'));
    assert.equal(socket.encryption, undefined);
    assert.equal(connections(), 1);
    for (const verify of ['require', 'verify_ca', 'verify_full'] as const) {
      await assert.rejects(open(tls(verify)), TlsRefusedError);
    }
    await assert.rejects(
      open(tls('prefer'), { mustEncrypt: true }),
      TlsRefusedError,
      'a CancelRequest of a TLS session',
    );
  });

  it('connects again in plain text with prefer after an error, a broken handshake or a closed connection', async (t) => {
    const conducts: readonly Conduct[] = [
      answers('EFATAL:  unsupported frontend protocol\n\0'),
      answers('S'),
      (socket) => void socket.once('data', () => socket.destroy()),
    ];
    for (const conduct of conducts) {
      const breaking: Conduct = async (socket) => {
        await conduct(socket);
        socket.once('data', () => socket.destroy());
      };
      const { open, connections } = await serving(t, breaking, (socket) => void socket.write('plain'));
      const socket = await open(tls('prefer'));
      assert.equal(await first(socket), 'plain');
      assert.equal(connections(), 2);
    }
  });

  it('does not ask with disabled, nor over a unix socket', async (t) => {
    const { open } = await serving(t, (socket) => void socket.write('plain'));
    assert.equal(await first(await open(tls('disabled'))), 'plain');
    assert.equal(await first(await open(undefined)), 'plain');
  });

  it('gives up within its time, whatever the server does not answer', async (t) => {
    for (const conduct of [() => undefined, answers('S')]) {
      const { port } = await serving(t, conduct);
      for (const verify of ['prefer', 'require'] as const) {
        const opening = openServerSocket({ host: 'localhost', port }, { tls: tls(verify), timeoutMs: 100 });
        await within(assert.rejects(opening, { code: 'ETIMEDOUT' }), 20_000, 'it to give up');
      }
    }
  });

  it('carries what is written, however much at once, and calls back when it is with the kernel', async (t) => {
    const { open } = await serving(t, agrees(named));
    const socket = await open(tls('verify_full'));
    const sent = Buffer.alloc(3_000_000, 'abcdefg');
    const received: Buffer[] = [];
    let length = 0;
    const whole = new Promise<void>((resolve, reject) => {
      socket.handler = {
        bytes: (chunk) => {
          received.push(chunk);
          length += chunk.length;
          if (length >= sent.length + 7) resolve();
        },
        closed: (error) => reject(error ?? new Error('closed')),
      };
    });
    const reused = Buffer.from(sent.subarray(0, 30_000));
    socket.write(reused);
    reused.fill(0);
    assert.equal(socket.write(sent.subarray(30_000)), false, 'so much is to be waited for');
    await new Promise<void>((resolve) => socket.whenFlushed(resolve));
    assert.equal(socket.writableLength, 0);
    await whole;
    assert.ok(Buffer.concat(received).equals(Buffer.concat([Buffer.from('welcome'), sent])));
  });
});
