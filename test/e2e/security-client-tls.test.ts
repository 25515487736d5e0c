import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';

import { alice } from '../support/alice.ts';
import { cancelRequest, errorFields, query, sslRequest, startup, untyped, int32 } from '../support/bytes.ts';
import { makeCertificate } from '../support/certificates.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually, within } from '../support/eventually.ts';
import { MessageSocket } from '../support/message-socket.ts';
import { databaseEntry, Pgmirror } from '../support/pgmirror.ts';
import type { RunningPostgres } from '../support/postgres.ts';
import { runProgram, skipWithout } from '../support/programs.ts';
import { TemporaryFiles } from '../support/temporary-files.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient, type WireAddress } from '../support/wire-client.ts';

const authority = makeCertificate({ name: 'authority' });
const server = makeCertificate({ name: 'server', hosts: ['localhost', '127.0.0.1'], issuer: authority });
const otherServer = makeCertificate({ name: 'renewed', hosts: ['localhost', '127.0.0.1'], issuer: authority });
const stranger = makeCertificate({ name: 'stranger' });
const clientCertificate = makeCertificate({ name: 'client', issuer: authority });
const expiredClient = makeCertificate({ name: 'late', issuer: authority, notAfter: Date.now() - 60_000 });
const strangersClient = makeCertificate({ name: 'client', issuer: stranger });

const users = [{ name: 'alice', databases: ['app'], password: alice.password }];
const gssRequest = untyped(int32(80_877_104));

describe('TLS towards clients', () => {
  const cleanup = inReverse({ after });
  let source: RunningPostgres;
  let files: TemporaryFiles;
  let tlsFiles: { tls_certificate: string; tls_private_key: string };
  let pgmirror: Pgmirror;
  let plain: Pgmirror;
  let secure: WireAddress;

  before(async () => {
    source = await startWatchedPostgres(cleanup);
    files = await TemporaryFiles.start(cleanup);
    await files.write('root.crt', authority.certificate);
    tlsFiles = {
      tls_certificate: await files.write('server.crt', server.certificate),
      tls_private_key: await files.write('server.key', server.privateKey),
    };
    const databases = [databaseEntry('app', source, 'postgres')];
    pgmirror = await Pgmirror.start(cleanup, { general: tlsFiles, databases, users });
    plain = await Pgmirror.start(cleanup, { databases, users });
    secure = { host: '127.0.0.1', port: pgmirror.port, tls: { ca: authority.certificate } };
  });

  async function psql(settings: string, sql = 'SELECT 1'): Promise<string> {
    const where = `host=localhost port=${pgmirror.port} dbname=app user=alice password=${alice.password}`;
    const root = `sslrootcert=${files.path('root.crt')}`;
    const result = await runProgram('psql', ['-XAt', '-d', `${where} ${root} ${settings}`, '-c', sql]);
    return result.stdout + result.stderr;
  }

  it('lets libpq in with sslmode=verify-full', { skip: skipWithout('psql') }, async () => {
    assert.match(await psql('sslmode=verify-full', String.raw`\conninfo`), /SSL connection \(protocol: TLSv1\.3/);
    assert.match(await psql('sslmode=verify-full', 'SELECT 6 * 7'), /^42$/m);
  });

  it('lets libpq in with channel_binding=require: SCRAM-SHA-256-PLUS', { skip: skipWithout('psql') }, async () => {
    assert.match(await psql('sslmode=require channel_binding=require', 'SELECT 6 * 7'), /^42$/m);
  });

  it('is refused by libpq for a host that the certificate does not name', { skip: skipWithout('psql') }, async () => {
    const hostaddr = 'host=elsewhere.example hostaddr=127.0.0.1 sslmode=verify-full';
    assert.match(await psql(hostaddr), /server certificate for .* does not match host name "elsewhere\.example"/);
  });

  it('offers SCRAM-SHA-256-PLUS over TLS, and only there', async (t) => {
    const offered = async (address: WireAddress): Promise<string> => {
      const client = await connected(inReverse(t), address);
      client.send(startup({ user: 'alice', database: 'app' }));
      return (await client.expect('R'))[0]?.body.toString('latin1', 4) ?? '';
    };
    assert.equal(await offered(secure), 'SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0');
    assert.equal(await offered({ host: secure.host, port: secure.port }), 'SCRAM-SHA-256\0\0');
  });

  it('also begins at once, without SSLRequest, for clients that name the protocol (ALPN)', async (t) => {
    const client = await direct(inReverse(t), { ALPNProtocols: ['postgresql'] });
    assert.equal(client.tls.alpnProtocol, 'postgresql');
    client.peer.send(startup({ user: 'alice', database: 'app' }));
    await client.peer.expect('R');
  });

  it('that begins at once without ALPN is refused, so that no other protocol passes for this one', async (t) => {
    const client = await direct(inReverse(t), {});
    const [error] = await client.peer.expect('E');
    assert.ok(error);
    assert.equal(errorFields(error)['C'], '08P01');
    assert.match(errorFields(error)['M'] ?? '', /without ALPN/);
    await client.peer.waitForClose();
  });

  it('does not come about with the ALPN protocol of somebody else', async (t) => {
    await assert.rejects(direct(inReverse(t), { ALPNProtocols: ['http/1.1'] }), /no application protocol/);
  });

  it('is not begun where no certificate is configured: N, and a handshake at once is closed', async (t) => {
    const asking = await connected(inReverse(t), { host: '127.0.0.1', port: plain.port });
    asking.send(sslRequest);
    assert.equal((await asking.readBytes(1)).toString(), 'N');
    asking.send(startup({ user: 'alice', database: 'app' }));
    await asking.expect('R');
    await assert.rejects(direct(inReverse(t), { ALPNProtocols: ['postgresql'], port: plain.port }));
  });

  it('refuses bytes that came in plain text behind SSLRequest or GSSENCRequest with FATAL 08P01', async (t) => {
    for (const [request, what] of [
      [sslRequest, 'SSL'],
      [gssRequest, 'GSSAPI encryption'],
    ] as const) {
      for (const more of [startup({ user: 'alice', database: 'app' }), Buffer.from([0x16])]) {
        const client = await connected(inReverse(t), { host: '127.0.0.1', port: pgmirror.port });
        client.send(request, more);
        const [error] = await client.expect('E');
        assert.ok(error);
        const { S: severity, C: code, M: message } = errorFields(error);
        assert.deepEqual([severity, code], ['FATAL', '08P01']);
        assert.equal(message, `received unencrypted data after ${what} request`);
        await client.waitForClose();
      }
    }
  });

  it('never takes what was sent in plain text before the handshake for what was sent within', async (t) => {
    const client = await connected(inReverse(t), { host: '127.0.0.1', port: pgmirror.port });
    client.send(sslRequest);
    assert.equal((await client.readBytes(1)).toString(), 'S');
    client.send(startup({ user: 'alice', database: 'app' }));
    await client.waitForClose();
    assert.doesNotMatch(client.unread.toString('latin1'), /SCRAM/);
  });

  it('is asked for once: a second SSLRequest, or a GSSENCRequest, within it ends the connection', async (t) => {
    for (const request of [sslRequest, gssRequest]) {
      const client = await connected(inReverse(t), secure);
      client.send(request);
      const [error] = await client.expect('E');
      assert.ok(error);
      assert.equal(errorFields(error)['S'], 'FATAL');
      await client.waitForClose();
    }
  });

  it('may follow a GSSENCRequest that was answered N', async (t) => {
    const client = await connected(inReverse(t), { host: '127.0.0.1', port: pgmirror.port });
    client.send(gssRequest);
    assert.equal((await client.readBytes(1)).toString(), 'N');
    client.send(sslRequest);
    assert.equal((await client.readBytes(1)).toString(), 'S');
  });

  it('carries large answers to a slow reader whole, and what a client sends before it closes its half', async (t) => {
    const client = await loggedIn(inReverse(t), secure);
    const megabytes = 24;
    client.socket.pause();
    client.send(query(`SELECT repeat('x', 1048576) FROM generate_series(1, ${megabytes})`));
    client.socket.end(query('SELECT 6 * 7'));
    await eventually(() => client.socket.isPaused());
    client.socket.resume();
    const rows = (await client.readUntil('Z', 30_000)).filter(({ type }) => type === 'D');
    assert.equal(rows.length, megabytes);
    assert.ok(rows.every(({ body }) => body.length === 1_048_576 + 6 && body[6] === 0x78));
    const last = await client.readUntil('Z');
    assert.deepEqual(last.map(({ type }) => type).join(''), 'TDCZ');
    await client.waitForClose();
  });

  it('carries a large request whole', async (t) => {
    const client = await loggedIn(inReverse(t), secure);
    const text = 'x'.repeat(8 * 1_048_576);
    const [, row] = await client.query(`SELECT length('${text}')`);
    assert.equal(row?.body.toString('latin1', 6), String(text.length));
  });

  it('carries a CancelRequest, and one in plain text is taken as well', async (t) => {
    const client = await loggedIn(inReverse(t), secure);
    for (const address of [secure, { host: secure.host, port: secure.port }]) {
      client.send(query('SELECT pg_sleep(30)'));
      const cancelled = client.readUntil('Z');
      const end = new AbortController();
      void cancelled.finally(() => end.abort()).catch(() => undefined);
      await eventually(async () => {
        const canceller = await WireClient.connect(address);
        canceller.send(cancelRequest(client.processId, client.secretKey));
        await canceller.waitForClose();
        return end.signal.aborted;
      });
      const error = (await cancelled).find(({ type }) => type === 'E');
      assert.equal(error && errorFields(error)['C'], '57014');
    }
  });

  it('is covered by the login deadline, which begins with the accepted socket', async (t) => {
    const hasty = await Pgmirror.start(inReverse(t), {
      general: { ...tlsFiles, client_login_timeout: 400 },
      databases: [databaseEntry('app', source, 'postgres')],
      users,
    });
    const address = { host: '127.0.0.1', port: hasty.port };
    const silent = await connected(inReverse(t), address);
    const shaking = await connected(inReverse(t), address);
    shaking.send(sslRequest);
    const inside = await connected(inReverse(t), { ...address, tls: { ca: authority.certificate } });
    const undecided = await connected(inReverse(t), { ...address, tls: { ca: authority.certificate } });
    undecided.send(startup({ user: 'alice', database: 'app' }));
    await Promise.all([silent, shaking, inside, undecided].map(async (client) => client.waitForClose(10_000)));
  });

  it('takes a renewed certificate at SIGHUP without dropping anyone, and refuses a bad one whole', async (t) => {
    const own = inReverse(t);
    const renewable = await TemporaryFiles.start(own);
    const general = {
      tls_certificate: await renewable.write('server.crt', server.certificate),
      tls_private_key: await renewable.write('server.key', server.privateKey),
    };
    const databases = [databaseEntry('app', source, 'postgres')];
    const running = await Pgmirror.start(own, { general, databases, users });
    const address: WireAddress = { host: '127.0.0.1', port: running.port, tls: { ca: authority.certificate } };
    const names = async (): Promise<string> => {
      const client = await connected(inReverse(t), address);
      return (client.socket as TLSSocket).getPeerX509Certificate()?.subject ?? '';
    };
    const client = await loggedIn(own, address);
    assert.equal(await names(), 'CN=server');

    await renewable.write('server.crt', otherServer.certificate);
    running.kill('SIGHUP');
    const refused = await running.waitForLog((line) => line.msg === 'not reloaded');
    assert.match(JSON.stringify(refused), /tls_private_key: found .*server\.key/);
    assert.equal(await names(), 'CN=server', 'a certificate without its key changes nothing');

    await renewable.write('server.key', otherServer.privateKey);
    running.kill('SIGHUP');
    await running.waitForLog((line) => line.msg === 'reloaded');
    assert.equal(await names(), 'CN=renewed');
    assert.deepEqual((await client.query('SELECT 1')).map(({ type }) => type).join(''), 'TDCZ');
    const later = await loggedIn(own, address);
    await later.query('SELECT 1');
    assert.ok(!running.output().includes('PRIVATE KEY'));
  });

  describe('where it is required', () => {
    let required: Pgmirror;

    before(async () => {
      required = await Pgmirror.start(cleanup, {
        general: { ...tlsFiles, tls_client_required: true, unix_socket_dir: files.folder },
        databases: [databaseEntry('app', source, 'postgres')],
        users,
      });
    });

    it('keeps out who comes without, before asking for a password', async (t) => {
      const client = await connected(inReverse(t), { host: '127.0.0.1', port: required.port });
      client.send(startup({ user: 'alice', database: 'app' }));
      const [error] = await client.expect('E');
      assert.ok(error);
      assert.deepEqual([errorFields(error)['S'], errorFields(error)['C']], ['FATAL', '28000']);
      await client.waitForClose();
    });

    it('lets in who comes with it, and who comes over the unix socket, where it is never spoken', async (t) => {
      const client = await loggedIn(inReverse(t), { ...secure, port: required.port });
      await client.query('SELECT 1');
      const local = await connected(inReverse(t), { host: files.folder, port: required.port });
      local.send(sslRequest);
      assert.equal((await local.readBytes(1)).toString(), 'N');
      await local.logIn(alice);
      await local.query('SELECT 1');
    });
  });

  describe('with an authority for client certificates', () => {
    let asking: Pgmirror;

    before(async () => {
      const general = { ...tlsFiles, tls_client_ca_certificate: files.path('root.crt') };
      const databases = [databaseEntry('app', source, 'postgres')];
      asking = await Pgmirror.start(cleanup, { general, databases, users });
    });

    const refused: readonly (readonly [string, ConnectionOptions])[] = [
      ['none', {}],
      ['one of another authority', { cert: strangersClient.certificate, key: strangersClient.privateKey }],
      ['one that has expired', { cert: expiredClient.certificate, key: expiredClient.privateKey }],
      ['one that signed itself', { cert: stranger.certificate, key: stranger.privateKey }],
    ];
    for (const [what, options] of refused) {
      it(`keeps out who shows ${what}, before asking for a password`, async (t) => {
        const tls = { ca: authority.certificate, ...options };
        const client = await connected(inReverse(t), { ...secure, port: asking.port, tls });
        client.send(startup({ user: 'alice', database: 'app' }));
        const [error] = await client.expect('E');
        assert.ok(error);
        assert.deepEqual([errorFields(error)['S'], errorFields(error)['C']], ['FATAL', '28000']);
        assert.match(errorFields(error)['M'] ?? '', /valid client certificate/);
        await client.waitForClose();
      });
    }

    it('lets in who shows one of that authority', async (t) => {
      const { certificate: cert, privateKey: key } = clientCertificate;
      const tls = { ca: authority.certificate, cert, key };
      const client = await loggedIn(inReverse(t), { ...secure, port: asking.port, tls });
      await client.query('SELECT 1');
    });
  });

  async function loggedIn(own: Parameters<typeof inReverse>[0], address: WireAddress): Promise<WireClient> {
    const client = await connected(own, address);
    await client.logIn(alice);
    return client;
  }

  /** Does the handshake with which direct negotiation begins. */
  async function direct(
    own: Parameters<typeof inReverse>[0],
    { port = pgmirror.port, ...options }: ConnectionOptions,
  ): Promise<{ readonly tls: TLSSocket; readonly peer: MessageSocket }> {
    const raw = connect(port, '127.0.0.1');
    own.after(() => void raw.destroy());
    const tls = connectTls({ ca: authority.certificate, ...options, socket: raw });
    const peer = new MessageSocket(tls);
    await within(
      Promise.race([
        once(tls, 'secureConnect'),
        peer.closed.then((error) => Promise.reject(error ?? new Error('closed in the handshake'))),
      ]),
      5_000,
      'the handshake',
    );
    return { tls, peer };
  }
});

async function connected(own: Parameters<typeof inReverse>[0], address: WireAddress): Promise<WireClient> {
  const client = await WireClient.connect(address);
  own.after(async () => client.destroy());
  return client;
}
