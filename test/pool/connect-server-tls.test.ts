import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { createSecureContext, TLSSocket } from 'node:tls';
import { ScramServer } from '../../src/auth/scram-server.ts';
import { deriveScramVerifier } from '../../src/auth/scram-verifier.ts';
import { ServerPassword } from '../../src/auth/server-password.ts';
import type { ServerTlsOptions } from '../../src/net/server-tls.ts';
import { connectServer, ServerLoginError } from '../../src/pool/connect-server.ts';
import type { ServerLogin } from '../../src/pool/connect-server.ts';
import { deliverCancel } from '../../src/pool/deliver-cancel.ts';
import { authenticationOk, backendKeyData, cancelRequest, cstr, int32, msg, readyForQuery } from '../support/bytes.ts';
import { makeCertificate } from '../support/certificates.ts';
import { MessageSocket } from '../support/message-socket.ts';
import { listening } from '../net/sockets.ts';

const server = makeCertificate({ name: 'server', hosts: ['localhost'], hash: 'sha512', keyType: 'rsa' });
const prefer: ServerTlsOptions = { verify: 'prefer', ca: undefined, certificate: undefined, privateKey: undefined };
const full: ServerTlsOptions = { ...prefer, verify: 'verify_full', ca: server.certificate };

type Script = (peer: MessageSocket, encrypted: boolean) => Promise<void>;

/** A server that agrees to TLS wherever it is asked, and then follows the script of the connection. */
async function serving(t: TestContext, ...scripts: readonly Script[]) {
  const { server: listener, port } = await listening(t);
  const done: Promise<void>[] = [];
  listener.on('connection', (raw: Socket) => {
    const script = scripts[Math.min(done.length, scripts.length - 1)];
    done.push(converse(raw, script));
  });
  const login = (tls: ServerTlsOptions | undefined): ServerLogin => ({
    address: { host: 'localhost', port },
    tls,
    database: 'shop',
    user: 'alice',
    password: ServerPassword.fromText('secret'),
    parameters: {},
    timeoutMs: 2_000,
  });
  return { port, login, done };
}

async function converse(raw: Socket, script: Script | undefined): Promise<void> {
  const [first] = (await once(raw, 'data')) as [Buffer];
  if (first.readInt32BE(4) !== 80_877_103) {
    raw.unshift(first);
    await script?.(new MessageSocket(raw), false);
    return;
  }
  raw.pause();
  raw.removeAllListeners('data');
  raw.write('S');
  const secureContext = createSecureContext({ cert: server.certificate, key: server.privateKey });
  const secure = new TLSSocket(raw, { isServer: true, secureContext });
  secure.on('error', () => undefined);
  await once(secure, 'secure');
  await script?.(new MessageSocket(secure), true);
}

const ready = [authenticationOk, backendKeyData(4711, Buffer.from([1, 2, 3, 4])), readyForQuery('I')];
const refusal = (code: string): Buffer =>
  msg('E', cstr('SFATAL'), cstr('VFATAL'), cstr(`C${code}`), cstr('Mno'), Buffer.from([0]));

function rejectsWith(code: string): (error: unknown) => boolean {
  return (error) => error instanceof ServerLoginError && error.code === code;
}

describe('logging in to a server over TLS', () => {
  it('binds SCRAM to the certificate where the server offers it', async (t) => {
    const mechanisms: string[] = [];
    const channelBinding = (await import('../../src/net/tls-server-end-point.ts')).tlsServerEndPoint(server.der);
    const verifier = await deriveScramVerifier(Buffer.from('secret'));
    const { login, done } = await serving(t, async (peer) => {
      await peer.readUntyped();
      const scram = new ScramServer({ verifier, channelBinding });
      peer.send(msg('R', int32(10), cstr('SCRAM-SHA-256-PLUS'), cstr('SCRAM-SHA-256'), Buffer.from([0])));
      const [initial] = await peer.expect('p');
      const end = initial?.body.indexOf(0) ?? 0;
      mechanisms.push(initial?.body.toString('latin1', 0, end) ?? '');
      const first = initial?.body.toString('latin1', end + 5) ?? '';
      assert.match(first, /^p=tls-server-end-point,,/);
      peer.send(msg('R', int32(11), Buffer.from(scram.first('SCRAM-SHA-256-PLUS', first))));
      const [final] = await peer.expect('p');
      const proof = scram.final(final?.body.toString('latin1') ?? '');
      assert.ok(proof !== undefined, 'it knows the password, and saw this certificate');
      peer.send(msg('R', int32(12), Buffer.from(proof)), ...ready);
    });
    const { socket } = await connectServer(login(full));
    t.after(() => socket.destroy());
    await Promise.all(done);
    assert.deepEqual(mechanisms, ['SCRAM-SHA-256-PLUS']);
  });

  it('says that it could have bound, so that a server notices whose offer was taken away', async (t) => {
    const { login } = await serving(t, async (peer) => {
      await peer.readUntyped();
      peer.send(msg('R', int32(10), cstr('SCRAM-SHA-256'), Buffer.from([0])));
      const [initial] = await peer.expect('p');
      assert.match(initial?.body.toString('latin1') ?? '', /y,,n=/);
      peer.send(refusal('28P01'));
    });
    await assert.rejects(connectServer(login(full)), rejectsWith('28P01'));
  });

  it('tries in plain text with prefer where the server has no rule for an encrypted login', async (t) => {
    const seen: boolean[] = [];
    const script: Script = async (peer, encrypted) => {
      seen.push(encrypted);
      await peer.readUntyped();
      if (encrypted) peer.send(refusal('28000'));
      else peer.send(...ready);
    };
    const { login } = await serving(t, script);
    const { socket } = await connectServer(login(prefer));
    t.after(() => socket.destroy());
    assert.equal(socket.encryption, undefined);
    assert.deepEqual(seen, [true, false]);
    await assert.rejects(connectServer(login(full)), rejectsWith('28000'));
    assert.deepEqual(seen, [true, false, true]);
  });

  it('does not show a password in plain text that was refused encrypted', async (t) => {
    const seen: boolean[] = [];
    const { login } = await serving(t, async (peer, encrypted) => {
      seen.push(encrypted);
      await peer.readUntyped();
      peer.send(refusal('28P01'));
    });
    await assert.rejects(connectServer(login(prefer)), rejectsWith('28P01'));
    assert.deepEqual(seen, [true]);
  });

  it('cancels over TLS what runs over TLS, and shows the key to nobody who would not do that', async (t) => {
    const received: string[] = [];
    const { login, port, done } = await serving(
      t,
      async (peer) => {
        await peer.readUntyped();
        peer.send(...ready);
      },
      async (peer, encrypted) => {
        received.push(`${encrypted} ${(await peer.readUntyped()).toString('hex')}`);
        peer.socket.end();
      },
    );
    const { socket, processId, secretKey } = await connectServer(login(prefer));
    t.after(() => socket.destroy());
    const target = { address: { host: 'localhost', port }, encryption: socket.encryption, processId, secretKey };
    await deliverCancel(target, 2_000);
    await Promise.all(done);
    assert.deepEqual(received, [`true ${cancelRequest(4711, secretKey).subarray(4).toString('hex')}`]);

    const { server: refusing, port: otherPort } = await listening(t);
    const bytes: Buffer[] = [];
    refusing.on('connection', (raw: Socket) => {
      raw.on('data', (chunk: Buffer) => {
        bytes.push(chunk);
        raw.write('N');
      });
    });
    await assert.rejects(deliverCancel({ ...target, address: { host: 'localhost', port: otherPort } }, 2_000));
    assert.equal(Buffer.concat(bytes).length, 8, 'an SSLRequest and nothing else');
  });
});
