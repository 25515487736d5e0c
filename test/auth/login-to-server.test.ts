import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { AuthenticationError } from '../../src/auth/authentication-error.ts';
import { ServerAuthentication } from '../../src/auth/login-to-server.ts';
import type { LoginStep, ServerAuthenticationOptions } from '../../src/auth/login-to-server.ts';
import { ScramServer } from '../../src/auth/scram-server.ts';
import { parseScramVerifier } from '../../src/auth/scram-verifier.ts';
import { ServerPassword } from '../../src/auth/server-password.ts';
import { ProtocolError } from '../../src/protocol/protocol-error.ts';

// Made by PostgreSQL 15 for the password "pencil".
const VERIFIER = parseScramVerifier(
  'SCRAM-SHA-256$4096:qvQbvceprcz7XgvuACK5og==' +
    '$QFOH/xP86NmmXJvM8BdLBHS4I9NrIHkBHjVRnZi5voY=:XcfugNVlydy28m5ORKH1sHZ/CcFolQtUkIuiinqIKG8=',
);
const OK = request(0);
const ASK_SCRAM = Buffer.from('R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0');
const ASK_SCRAM_PLUS = Buffer.from('R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0');

/** An Authentication message. */
function request(kind: number, data = ''): Buffer {
  const message = Buffer.from(`R\0\0\0\0\0\0\0${String.fromCharCode(kind)}${data}`, 'latin1');
  message.writeInt32BE(message.length - 1, 1);
  return message;
}

function authentication(options: Partial<ServerAuthenticationOptions> = {}): ServerAuthentication {
  return new ServerAuthentication({ user: 'old', password: ServerPassword.fromText('pencil'), ...options });
}

function text(step: LoginStep): string | undefined {
  return step.send?.toString('latin1');
}

/** Answers the client's first message and hands back the server's side of the exchange. */
function challenge(step: LoginStep, channelBinding?: Buffer): { server: ScramServer; message: Buffer } {
  const server = new ScramServer({ verifier: VERIFIER, channelBinding });
  const [, mechanism = '', response = ''] = /^p....([^\0]+)\0....([^]+)$/s.exec(text(step) ?? '') ?? [];
  return { server, message: request(11, server.first(mechanism, response)) };
}

async function throughScram(
  client: ServerAuthentication,
  ask: Buffer,
  channelBinding?: Buffer,
): Promise<string | undefined> {
  const { server, message } = challenge(await client.receive(ask), channelBinding);
  return server.final(text(await client.receive(message))?.slice(5) ?? '');
}

describe('logging in to a server', () => {
  it('is done at once where the server trusts us, password or not', async () => {
    assert.deepEqual(await authentication().receive(OK), { done: true });
    assert.deepEqual(await authentication({ password: undefined }).receive(OK), { done: true });
  });

  it('sends the password where it is asked for in plain text', async () => {
    const client = authentication();
    const step = await client.receive(request(3));
    assert.equal(text(step), 'p\0\0\0\x0bpencil\0');
    assert.equal(step.done, false);
    assert.deepEqual(await client.receive(OK), { done: true });
  });

  it('answers an MD5 salt', async () => {
    const client = authentication();
    const step = await client.receive(request(5, '\x01\x02\x03\xff'));
    const hash = createHash('md5').update('pencil').update('old').digest('hex');
    const response = createHash('md5')
      .update(hash)
      .update(Buffer.from([1, 2, 3, 0xff]))
      .digest('hex');
    assert.equal(text(step), `p\0\0\0\x28md5${response}\0`);
    assert.deepEqual(await client.receive(OK), { done: true });
  });

  it('goes through SCRAM', async () => {
    const client = authentication();
    const final = await throughScram(client, ASK_SCRAM);
    assert.notEqual(final, undefined);
    assert.deepEqual(await client.receive(request(12, final)), { done: false });
    assert.deepEqual(await client.receive(OK), { done: true });
  });

  it('prefers channel binding', async () => {
    const channelBinding = Buffer.alloc(32, 5);
    const client = authentication({ channelBinding });
    const final = await throughScram(client, ASK_SCRAM_PLUS, channelBinding);
    assert.deepEqual(await client.receive(request(12, final)), { done: false });
    assert.deepEqual(await client.receive(OK), { done: true });
  });

  it('needs a password only where the server asks', async () => {
    for (const ask of [request(3), request(5, 'salt'), ASK_SCRAM]) {
      await assert.rejects(authentication({ password: undefined }).receive(ask), AuthenticationError);
    }
  });

  it('refuses the methods it does not have, by name', async () => {
    for (const [kind, name] of [
      [2, /Kerberos V5/],
      [6, /SCM/],
      [7, /GSSAPI/],
      [8, /GSSAPI/],
      [9, /SSPI/],
    ] as const) {
      await assert.rejects(authentication().receive(request(kind)), (error: Error) => {
        assert.ok(error instanceof AuthenticationError);
        assert.match(error.message, name);
        return true;
      });
    }
    await assert.rejects(authentication().receive(request(99)), ProtocolError);
    const oauth = Buffer.from('R\0\0\0\x15\0\0\0\x0aOAUTHBEARER\0\0');
    await assert.rejects(authentication().receive(oauth), AuthenticationError);
  });

  it('does not let a server end SCRAM before it has shown to know the password', async () => {
    const atOnce = authentication();
    await atOnce.receive(ASK_SCRAM);
    await assert.rejects(atOnce.receive(OK), AuthenticationError);
    const afterProof = authentication();
    await throughScram(afterProof, ASK_SCRAM);
    await assert.rejects(afterProof.receive(OK), AuthenticationError);
    const wrongSignature = authentication();
    await throughScram(wrongSignature, ASK_SCRAM);
    await assert.rejects(wrongSignature.receive(request(12, `v=${'A'.repeat(43)}=`)), AuthenticationError);
    await assert.rejects(wrongSignature.receive(OK), ProtocolError);
  });

  it('does not let a server change its mind and ask for the password in plain text', async () => {
    const client = authentication();
    await client.receive(ASK_SCRAM);
    await assert.rejects(client.receive(request(3)), ProtocolError);
    const twice = authentication();
    await twice.receive(request(3));
    await assert.rejects(twice.receive(request(3)), ProtocolError);
  });

  it('refuses messages out of turn', async () => {
    for (const kind of [11, 12]) await assert.rejects(authentication().receive(request(kind, 'x')), ProtocolError);
    const done = authentication();
    await done.receive(OK);
    await assert.rejects(done.receive(OK), ProtocolError);
  });

  it('refuses malformed messages', async () => {
    for (const message of [
      'R\0\0\0\x04',
      'R\0\0\0\x07\0\0\0',
      'R\0\0\0\x0b\0\0\0\x05abc',
      'R\0\0\0\x0d\0\0\0\x05abcde',
      'R\0\0\0\x08\0\0\0\x0a',
      'R\0\0\0\x0a\0\0\0\x0aS\0',
      'R\0\0\0\x15\0\0\0\x0aSCRAM-SHA-256',
      'R\0\0\0\x0c\0\0\0\x0aS\0\0x',
      'R\0\0\0\x0e\0\0\0\x0aS\0\0T\0\0',
    ]) {
      await assert.rejects(authentication().receive(Buffer.from(message, 'latin1')), ProtocolError, message);
    }
  });
});
