import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AuthenticationError } from '../../src/auth/authentication-error.ts';
import { ScramClient } from '../../src/auth/scram-client.ts';
import type { ScramClientOptions } from '../../src/auth/scram-client.ts';
import { deriveScramKeys } from '../../src/auth/scram-keys.ts';
import { ProtocolError } from '../../src/protocol/protocol-error.ts';

// The example of RFC 7677 with an empty user name, as libpq sends it; proofs and signatures computed apart from this
// code.
const CLIENT_NONCE = 'rOprNGfwEbeRWgbNEkqO';
const NONCE = `${CLIENT_NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0`;
const SERVER_FIRST = `r=${NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`;
const PROOF = 'qvT2SWdEH5Q06albL+hjSYuUhCG7VndFyzIb7CK4n9k=';
const SIGNATURE = '3HO6Qt1M4MKJrmlKaoOqLAI0/0TV0HZe7J9H3MBtSOg=';
const BINDING = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
const BOUND_INPUT = 'cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=';

function exchange(options: Partial<ScramClientOptions> = {}): ScramClient {
  return new ScramClient({
    keysFor: (salt, iterations) => deriveScramKeys(Buffer.from('pencil'), salt, iterations),
    mechanisms: ['SCRAM-SHA-256'],
    nonce: CLIENT_NONCE,
    ...options,
  });
}

async function answered(): Promise<ScramClient> {
  const client = exchange();
  client.first();
  await client.final(SERVER_FIRST);
  return client;
}

describe('the client side of SCRAM', () => {
  it('proves the password and is content with the right signature', async () => {
    const client = exchange();
    assert.equal(client.first(), `n,,n=,r=${CLIENT_NONCE}`);
    assert.equal(await client.final(SERVER_FIRST), `c=biws,r=${NONCE},p=${PROOF}`);
    client.verify(`v=${SIGNATURE}`);
  });

  it('binds the channel where it has the data and the server offers it', async () => {
    const client = exchange({ mechanisms: ['SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS'], channelBinding: BINDING });
    assert.equal(client.mechanism, 'SCRAM-SHA-256-PLUS');
    assert.equal(client.first(), `p=tls-server-end-point,,n=,r=${CLIENT_NONCE}`);
    assert.equal(
      await client.final(SERVER_FIRST),
      `c=${BOUND_INPUT},r=${NONCE},p=Q8h71kjaoMzNI7dPksDrhRE/5mTUObF0fUHVIgBOWQg=`,
    );
    client.verify('v=ykwoqH8mLqO5AQCeuwwf6lsj9f8zyJZT/CcvAbN4Ssc=');
  });

  it('says that it could have bound the channel where the server does not offer it', async () => {
    const client = exchange({ channelBinding: BINDING });
    assert.equal(client.mechanism, 'SCRAM-SHA-256');
    assert.equal(client.first(), `y,,n=,r=${CLIENT_NONCE}`);
    assert.equal(await client.final(SERVER_FIRST), `c=eSws,r=${NONCE},p=VpuC5DGQa5ro9tXE9MnKs69NH1nxnuregZZcclqIGfM=`);
  });

  it('does without channel binding where it has no data', () => {
    const client = exchange({ mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'] });
    assert.equal(client.mechanism, 'SCRAM-SHA-256');
    assert.equal(client.first(), `n,,n=,r=${CLIENT_NONCE}`);
  });

  it('refuses a server with other mechanisms only', () => {
    for (const mechanisms of [[], ['OAUTHBEARER'], ['SCRAM-SHA-256-PLUS']]) {
      assert.throws(() => exchange({ mechanisms }), AuthenticationError);
    }
  });

  it('makes a new nonce of 18 bytes for each exchange', () => {
    const firsts = [1, 2].map(() => exchange({ nonce: undefined }).first());
    assert.match(firsts[0] ?? '', /^n,,n=,r=[A-Za-z0-9+/]{24}$/);
    assert.notEqual(firsts[0], firsts[1]);
  });

  it('refuses a signature that does not fit', async () => {
    const client = await answered();
    assert.throws(() => client.verify(`v=4${SIGNATURE.slice(1)}`), AuthenticationError);
  });

  it('refuses malformed first messages of the server', async () => {
    const refused: [message: string, text: RegExp][] = [
      ['', /empty message/],
      ['\0', /length mismatch/],
      ['s=QUJD,i=1', /attribute "r" expected/],
      ['r', /"=" expected/],
      [`m=ext,${SERVER_FIRST}`, /attribute "r" expected/],
      ['r=,s=QUJD,i=1', /nonce does not match/],
      [`r=${CLIENT_NONCE},s=QUJD,i=1`, /nonce does not match/],
      [`r=x${NONCE},s=QUJD,i=1`, /nonce does not match/],
      [`r=${NONCE} ,s=QUJD,i=1`, /nonce does not match/],
      [`r=${NONCE},i=1`, /attribute "s" expected/],
      [`r=${NONCE},s=,i=1`, /invalid salt/],
      [`r=${NONCE},s=QUJ,i=1`, /invalid salt/],
      [`r=${NONCE},s=QU=D,i=1`, /invalid salt/],
      [`r=${NONCE},s=QUJD`, /attribute "i" expected/],
      ...['', '0', '-1', '+1', '1e3', '0x10', ' 1', '4096x', '99999999999'].map((count): [string, RegExp] => [
        `r=${NONCE},s=QUJD,i=${count}`,
        /invalid iteration count/,
      ]),
      [`r=${NONCE},s=QUJD,i=1,x=1`, /garbage at the end/],
    ];
    for (const [message, text] of refused) {
      const client = exchange();
      client.first();
      await assert.rejects(client.final(message), (error: Error) => {
        assert.ok(error instanceof ProtocolError, message);
        assert.equal(error.code, '08P01');
        assert.match(error.message, text, message);
        return true;
      });
    }
  });

  it('refuses more iterations than it would ever do, before doing any', async () => {
    let derived = 0;
    const client = exchange({
      keysFor: (salt, iterations) => {
        derived++;
        return deriveScramKeys(Buffer.from('pencil'), salt, iterations);
      },
    });
    client.first();
    await assert.rejects(client.final(`r=${NONCE},s=QUJD,i=600001`), AuthenticationError);
    assert.equal(derived, 0);
  });

  it('refuses malformed final messages of the server', async () => {
    for (const message of [
      '',
      'v',
      'v=',
      'v=QUJD',
      `v=${SIGNATURE.slice(0, -1)}`,
      `v=${SIGNATURE},x=1`,
      `x=${SIGNATURE}`,
      `v=${'A'.repeat(100_000)}`,
    ]) {
      const client = await answered();
      assert.throws(() => client.verify(message), ProtocolError, message);
    }
  });

  it('reports the error of a server, made safe for a log', async () => {
    const client = await answered();
    assert.throws(
      () => client.verify(`e=other-error\x1b[2J${'x'.repeat(1000)}`),
      (error: Error) => {
        assert.ok(error instanceof AuthenticationError);
        assert.match(error.message, /: other-error\?\[2Jx{40,50}$/);
        return true;
      },
    );
  });

  it('refuses every message out of turn', async () => {
    assert.throws(() => exchange().verify(`v=${SIGNATURE}`), ProtocolError);
    await assert.rejects(exchange().final(SERVER_FIRST), ProtocolError);
    const client = await answered();
    await assert.rejects(client.final(SERVER_FIRST), ProtocolError);
    assert.throws(() => client.verify(`v=${SIGNATURE}`), ProtocolError);
  });
});
