import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { ScramClient } from '../../src/auth/scram-client.ts';
import { deriveScramKeys } from '../../src/auth/scram-keys.ts';
import { deriveUserSecret } from '../../src/auth/user-secret.ts';
import type { UserSecret } from '../../src/auth/user-secret.ts';
import { ClientVerifier } from '../../src/auth/verify-client.ts';
import type { ClientVerifierOptions, VerificationStep } from '../../src/auth/verify-client.ts';
import { MessageCollector } from '../../src/protocol/message-collector.ts';

const PASSWORD_TYPE = 'p'.charCodeAt(0);
const MOCK_SECRET = Buffer.alloc(32, 3);
const MD5 = 'md5b15721e6326bc6e9a7c72a38963ec03d';
const PENCIL = await deriveUserSecret({ userName: 'old', password: 'pencil' });
const MD5_ONLY = await deriveUserSecret({ userName: 'old', passwordHash: MD5 });
const SCRAM_ONLY = await deriveUserSecret({
  userName: 'old',
  passwordHash:
    'SCRAM-SHA-256$4096:qvQbvceprcz7XgvuACK5og==' +
    '$QFOH/xP86NmmXJvM8BdLBHS4I9NrIHkBHjVRnZi5voY=:XcfugNVlydy28m5ORKH1sHZ/CcFolQtUkIuiinqIKG8=',
});

const AUTHENTICATION_OK = 'R\0\0\0\x08\0\0\0\0';
const ASK_SCRAM = 'R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0';
const ASK_SCRAM_PLUS = 'R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0';
const ASK_PLAIN = 'R\0\0\0\x08\0\0\0\x03';
const REFUSED = { code: '28P01', message: 'password authentication failed for user "old"' };

function verifier(options: Partial<ClientVerifierOptions> = {}): ClientVerifier {
  return new ClientVerifier({
    authType: 'scram',
    userName: 'old',
    user: PENCIL,
    mockSecret: MOCK_SECRET,
    ...options,
  });
}

/** A message of type `p`. */
function passwordMessage(body: string): Buffer {
  const message = Buffer.from(`p\0\0\0\0${body}`, 'latin1');
  message.writeInt32BE(message.length - 1, 1);
  return message;
}

function saslInitialResponse(mechanism: string, response: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(response.length);
  return passwordMessage(`${mechanism}\0${length.toString('latin1')}${response}`);
}

function text(step: VerificationStep): string | undefined {
  return step.send?.toString('latin1');
}

/** The data of the SASL message that a step sends, which must be of this kind and may be followed by others. */
function saslData(step: VerificationStep, kind: number): string {
  const bytes = step.send ?? Buffer.alloc(0);
  assert.equal(bytes.toString('latin1', 0, 1), 'R');
  assert.equal(bytes.readInt32BE(5), kind);
  return bytes.toString('latin1', 9, bytes.readInt32BE(1) + 1);
}

function receive(client: ClientVerifier, message: Buffer): VerificationStep {
  const step = client.receive(PASSWORD_TYPE, message);
  assert.ok(!(step instanceof Promise));
  return step;
}

function scramClient(password: string, channelBinding?: Buffer): ScramClient {
  return new ScramClient({
    keysFor: (salt, iterations) => deriveScramKeys(Buffer.from(password), salt, iterations),
    mechanisms: channelBinding ? ['SCRAM-SHA-256-PLUS'] : ['SCRAM-SHA-256'],
    channelBinding,
  });
}

async function loginByScram(server: ClientVerifier, client: ScramClient): Promise<VerificationStep> {
  const challenge = receive(server, saslInitialResponse(client.mechanism, client.first()));
  return receive(server, passwordMessage(await client.final(saslData(challenge, 11))));
}

function refusal(step: VerificationStep): { outcome: string | undefined; code?: string; message?: string } {
  assert.equal(step.send, undefined);
  const { code, message } = step.failure ?? {};
  return { outcome: step.outcome, ...(code !== undefined && { code }), ...(message !== undefined && { message }) };
}

describe('auth_type scram', () => {
  it('lets in who proves the password, with the signature and AuthenticationOk in one write', async () => {
    for (const user of [PENCIL, SCRAM_ONLY]) {
      const server = verifier({ user });
      assert.equal(text(server.start()), ASK_SCRAM);
      const client = scramClient('pencil');
      const step = await loginByScram(server, client);
      assert.equal(step.outcome, 'ok');
      client.verify(saslData(step, 12));
      assert.ok(text(step)?.endsWith(AUTHENTICATION_OK));
    }
  });

  it('learns keys that open a server with the same verifier', async () => {
    const server = verifier({ user: SCRAM_ONLY });
    server.start();
    await loginByScram(server, scramClient('pencil'));
    const { salt, iterations, storedKey } = SCRAM_ONLY.scramVerifier ?? assert.fail();
    const keys = await server.learnt?.scramKeys(salt, iterations);
    assert.deepEqual(keys && createHash('sha256').update(keys.clientKey).digest(), storedKey);
  });

  it('answers a wrong password, an unknown user and a user with an MD5 hash alike', async () => {
    const details: (string | undefined)[] = [];
    for (const user of [PENCIL, undefined, MD5_ONLY]) {
      const server = verifier({ user });
      assert.equal(text(server.start()), ASK_SCRAM);
      const step = await loginByScram(server, scramClient('wrong'));
      assert.deepEqual(refusal(step), { outcome: 'failed', ...REFUSED });
      assert.equal(server.learnt, undefined);
      details.push(step.failure?.logDetail);
    }
    assert.deepEqual(details, [
      'the password does not match',
      'there is no such user, or not for this database',
      'an MD5 hash is stored, which SCRAM cannot use',
    ]);
  });

  it('shows an unknown user the same salt in every attempt', () => {
    const salts = [1, 2].map(() => {
      const server = verifier({ user: undefined });
      server.start();
      const challenge = receive(server, saslInitialResponse('SCRAM-SHA-256', 'n,,n=,r=abc'));
      return /,s=([A-Za-z0-9+/]{22}==),i=4096$/.exec(saslData(challenge, 11))?.[1];
    });
    assert.notEqual(salts[0], undefined);
    assert.equal(salts[0], salts[1]);
  });

  it('offers and takes channel binding where the connection has the data', async () => {
    const channelBinding = Buffer.alloc(32, 9);
    const server = verifier({ channelBinding });
    assert.equal(text(server.start()), ASK_SCRAM_PLUS);
    assert.equal((await loginByScram(server, scramClient('pencil', channelBinding))).outcome, 'ok');
    const other = verifier({ channelBinding });
    other.start();
    const step = await loginByScram(other, scramClient('pencil', Buffer.alloc(32, 8)));
    assert.deepEqual(refusal(step), {
      outcome: 'failed',
      code: '28000',
      message: 'SCRAM channel binding check failed',
    });
  });

  it('asks with an empty challenge where the client sent no initial response', async () => {
    const server = verifier();
    server.start();
    const empty = receive(server, passwordMessage('SCRAM-SHA-256\0\xff\xff\xff\xff'));
    assert.equal(text(empty), 'R\0\0\0\x08\0\0\0\x0b');
    const client = scramClient('pencil');
    const challenge = receive(server, passwordMessage(client.first()));
    const step = receive(server, passwordMessage(await client.final(saslData(challenge, 11))));
    assert.equal(step.outcome, 'ok');
  });

  it('takes its messages byte by byte and two at once, as they come from a collector', async () => {
    for (const chunkLength of [1, 7, 1000]) {
      const server = verifier();
      server.start();
      const client = scramClient('pencil');
      const collector = new MessageCollector({ maxLength: 65_536 });
      let step: VerificationStep = {};
      const feed = (bytes: Buffer): void => {
        for (let at = 0; at < bytes.length; at += chunkLength) {
          collector.push(bytes.subarray(at, at + chunkLength), (type, message) => {
            const next = server.receive(type, message);
            assert.ok(!(next instanceof Promise));
            step = next;
          });
        }
      };
      feed(saslInitialResponse(client.mechanism, client.first()));
      feed(passwordMessage(await client.final(saslData(step, 11))));
      assert.equal(step.outcome, 'ok');
    }
    const server = verifier();
    server.start();
    const two = Buffer.concat([
      saslInitialResponse('SCRAM-SHA-256', 'n,,n=,r=abc'),
      passwordMessage('c=biws,r=abc,p=x'),
    ]);
    const steps: (VerificationStep | Promise<VerificationStep>)[] = [];
    new MessageCollector({ maxLength: 65_536 }).push(two, (type, message) => {
      steps.push(server.receive(type, message));
    });
    const [, second] = steps;
    assert.ok(second !== undefined && !(second instanceof Promise));
    assert.equal(second.failure?.code, '08P01');
  });
});

describe('auth_type md5', () => {
  function login(user: UserSecret | undefined, hash: string): VerificationStep {
    const server = verifier({ authType: 'md5', user });
    const start = server.start();
    assert.equal(start.send?.toString('latin1', 0, 9), 'R\0\0\0\x0c\0\0\0\x05');
    assert.equal(start.send?.length, 13);
    const salt = start.send?.subarray(9) ?? Buffer.alloc(0);
    const response = createHash('md5').update(hash.slice(3)).update(salt).digest('hex');
    return receive(server, passwordMessage(`md5${response}\0`));
  }

  it('lets in who knows the hash', () => {
    for (const user of [PENCIL, MD5_ONLY]) {
      const step = login(user, MD5);
      assert.equal(step.outcome, 'ok');
      assert.equal(text(step), AUTHENTICATION_OK);
    }
  });

  it('answers a wrong password and an unknown user alike', () => {
    const wrong = 'md500000000000000000000000000000000';
    assert.deepEqual(refusal(login(PENCIL, wrong)), { outcome: 'failed', ...REFUSED });
    assert.deepEqual(refusal(login(undefined, MD5)), { outcome: 'failed', ...REFUSED });
    // What the comparison is made with for an unknown user must be nobody's password.
    assert.deepEqual(refusal(login(undefined, 'md5')), { outcome: 'failed', ...REFUSED });
  });

  it('salts each attempt anew', () => {
    const [one, other] = [1, 2].map(() => text(verifier({ authType: 'md5' }).start()));
    assert.notEqual(one, other);
  });

  it('refuses answers of any other length', () => {
    for (const answer of ['', 'pencil', 'x'.repeat(5000)]) {
      const server = verifier({ authType: 'md5' });
      server.start();
      assert.deepEqual(refusal(receive(server, passwordMessage(`${answer}\0`))), { outcome: 'failed', ...REFUSED });
    }
  });

  it('does SCRAM with a user of whom only a verifier is stored', async () => {
    const server = verifier({ authType: 'md5', user: SCRAM_ONLY });
    assert.equal(text(server.start()), ASK_SCRAM);
    assert.equal((await loginByScram(server, scramClient('pencil'))).outcome, 'ok');
  });

  it('learns the hash', () => {
    const server = verifier({ authType: 'md5' });
    const salt = server.start().send?.subarray(9) ?? Buffer.alloc(0);
    const response = createHash('md5').update(MD5.slice(3)).update(salt).digest('hex');
    receive(server, passwordMessage(`md5${response}\0`));
    assert.equal(server.learnt?.md5Hash('old'), MD5);
  });
});

describe('auth_type plain', () => {
  async function login(user: UserSecret | undefined, password: string): Promise<[VerificationStep, ClientVerifier]> {
    const server = verifier({ authType: 'plain', user });
    assert.equal(text(server.start()), ASK_PLAIN);
    return [await server.receive(PASSWORD_TYPE, passwordMessage(`${password}\0`)), server];
  }

  it('lets in who knows the password, whatever is stored of it', async () => {
    for (const user of [PENCIL, SCRAM_ONLY, MD5_ONLY]) {
      const [step, server] = await login(user, 'pencil');
      assert.equal(step.outcome, 'ok');
      assert.equal(text(step), AUTHENTICATION_OK);
      assert.equal(server.learnt?.text(), 'pencil');
    }
  });

  it('answers a wrong, an empty password and an unknown user alike', async () => {
    for (const [user, password] of [
      [PENCIL, 'wrong'],
      [MD5_ONLY, 'wrong'],
      [PENCIL, ''],
      [undefined, 'pencil'],
    ] as const) {
      const [step, server] = await login(user, password);
      assert.deepEqual(refusal(step), { outcome: 'failed', ...REFUSED });
      assert.equal(server.learnt, undefined);
    }
  });

  it('takes a password in another encoding, and does not keep what it cannot spell', async () => {
    // printf '\351t\351old' | md5sum: "été" in LATIN1.
    const user = await deriveUserSecret({ userName: 'old', passwordHash: 'md59e6ea06bc312312268b3aa8f1bd30593' });
    const [step, server] = await login(user, '\xe9t\xe9');
    assert.equal(step.outcome, 'ok');
    assert.equal(server.learnt, undefined);
  });

  it('refuses a message that comes while the password is being checked', async () => {
    const server = verifier({ authType: 'plain' });
    server.start();
    const checking = server.receive(PASSWORD_TYPE, passwordMessage('pencil\0'));
    assert.equal(receive(server, passwordMessage('pencil\0')).failure?.code, '08P01');
    assert.equal((await checking).outcome, 'ok');
  });
});

describe('auth_type trust', () => {
  it('lets every known user in at once, and learns nothing', () => {
    const server = verifier({ authType: 'trust' });
    const step = server.start();
    assert.equal(text(step), AUTHENTICATION_OK);
    assert.equal(step.outcome, 'ok');
    assert.equal(server.learnt, undefined);
  });

  it('refuses an unknown user, of no password', () => {
    const step = verifier({ authType: 'trust', user: undefined }).start();
    const message = REFUSED.message.replace('password', '"trust"');
    assert.deepEqual(refusal(step), { outcome: 'failed', code: '28000', message });
  });
});

describe('a client that breaks the protocol during its login', () => {
  it('is refused with 08P01', () => {
    const broken: [type: string, message: Buffer][] = [
      ['Q', Buffer.from('Q\0\0\0\x0dselect 1\0')],
      ['p', passwordMessage('')],
      ['p', passwordMessage('pencil\0')],
      ['p', saslInitialResponse('SCRAM-SHA-1', 'n,,n=,r=abc')],
      ['p', saslInitialResponse('SCRAM-SHA-256', '')],
      ['p', saslInitialResponse('SCRAM-SHA-256', 'n,,n=,r=abc\0')],
      ['p', passwordMessage('x'.repeat(65_536))],
    ];
    for (const [type, message] of broken) {
      const server = verifier();
      server.start();
      const step = server.receive(type.charCodeAt(0), message);
      assert.ok(!(step instanceof Promise));
      assert.equal(step.outcome, 'failed');
      assert.equal(step.failure?.code, '08P01');
    }
  });

  it('gets no second try', async () => {
    const server = verifier();
    server.start();
    await loginByScram(server, scramClient('wrong'));
    const again = receive(server, saslInitialResponse('SCRAM-SHA-256', 'n,,n=,r=abc'));
    assert.equal(again.outcome, 'failed');
    assert.equal(again.failure?.code, '08P01');
  });
});

describe('a message of a client that logs in', () => {
  it('is a password message, and not a long one, in every way of asking', async () => {
    for (const authType of ['scram', 'md5', 'plain'] as const) {
      const query = Buffer.from('Q\0\0\0\x05\0', 'latin1');
      const long = passwordMessage('x'.repeat(65_536));
      for (const [message, words] of [
        [query, /^expected password response, got message type 81$/],
        [long, /^invalid message length$/],
      ] as const) {
        const asking = verifier({ authType });
        asking.start();
        const step = await asking.receive(message[0] ?? 0, message);
        assert.deepEqual([step.outcome, step.failure?.code], ['failed', '08P01']);
        assert.match(step.failure?.message ?? '', words);
      }
    }
  });
});
