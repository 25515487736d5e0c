import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ScramServer } from '../../src/auth/scram-server.ts';
import type { ScramServerOptions } from '../../src/auth/scram-server.ts';
import { mockScramVerifier, parseScramVerifier } from '../../src/auth/scram-verifier.ts';
import { ProtocolError } from '../../src/protocol/protocol-error.ts';

// RFC 7677, section 3: user "user", password "pencil".
const VERIFIER = parseScramVerifier(
  'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==' +
    '$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
);
const CLIENT_NONCE = 'rOprNGfwEbeRWgbNEkqO';
const SERVER_NONCE = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
const NONCE = CLIENT_NONCE + SERVER_NONCE;
const CLIENT_FIRST = `n,,n=user,r=${CLIENT_NONCE}`;
const SERVER_FIRST = `r=${NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`;
const PROOF = 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=';
const CLIENT_FINAL = `c=biws,r=${NONCE},p=${PROOF}`;
const SERVER_FINAL = 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=';

// The same password with channel binding data 00 01 … 1f and an empty user name; computed apart from this code.
const BINDING = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
const BOUND_INPUT = 'cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=';
const BOUND_FIRST = `p=tls-server-end-point,,n=,r=${CLIENT_NONCE}`;
const BOUND_FINAL = `c=${BOUND_INPUT},r=${NONCE},p=Q8h71kjaoMzNI7dPksDrhRE/5mTUObF0fUHVIgBOWQg=`;
const BOUND_SERVER_FINAL = 'v=ykwoqH8mLqO5AQCeuwwf6lsj9f8zyJZT/CcvAbN4Ssc=';

function exchange(options: Partial<ScramServerOptions> = {}): ScramServer {
  return new ScramServer({ verifier: VERIFIER, nonce: SERVER_NONCE, ...options });
}

function protocolError(code: string, message: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof ProtocolError);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
}

function challenged(options: Partial<ScramServerOptions> = {}): ScramServer {
  const server = exchange(options);
  server.first('SCRAM-SHA-256', CLIENT_FIRST);
  return server;
}

describe('the server side of SCRAM', () => {
  it('answers as in the example of RFC 7677', () => {
    const server = exchange();
    assert.equal(server.first('SCRAM-SHA-256', CLIENT_FIRST), SERVER_FIRST);
    assert.equal(server.final(CLIENT_FINAL), SERVER_FINAL);
  });

  it('learns the client key of a successful login', () => {
    const server = challenged();
    const before = server.keys;
    assert.equal(before, undefined);
    server.final(CLIENT_FINAL);
    assert.equal(server.keys?.clientKey.toString('base64'), 'pg/JI9Z+hkSpLRa5btpe9GVrDHJcSEN0viVTVXaZbos=');
    assert.equal(server.keys.serverKey.toString('base64'), 'wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=');
    assert.equal(server.keys.iterations, 4096);
    assert.deepEqual(server.keys.salt, VERIFIER.salt);
  });

  it('refuses a proof that does not fit, and learns nothing', () => {
    const server = challenged();
    assert.equal(server.final(CLIENT_FINAL.replace('p=dH', 'p=dX')), undefined);
    assert.equal(server.keys, undefined);
  });

  it('makes a new nonce for each exchange', () => {
    const nonces = [1, 2].map(() => exchange({ nonce: undefined }).first('SCRAM-SHA-256', CLIENT_FIRST));
    assert.notEqual(nonces[0], nonces[1]);
    assert.match(nonces[0] ?? '', /^r=rOprNGfwEbeRWgbNEkqO[A-Za-z0-9+/]{24},s=/);
  });

  it('goes through the motions with a doomed exchange and fails at its end', () => {
    const verifier = mockScramVerifier(Buffer.alloc(32), 'nobody');
    const server = exchange({ verifier, doomed: true });
    assert.match(server.first('SCRAM-SHA-256', CLIENT_FIRST), /^r=[^,]+,s=[A-Za-z0-9+/]{22}==,i=4096$/);
    assert.equal(server.final(CLIENT_FINAL), undefined);
  });

  it('fails a doomed exchange even where the proof fits', () => {
    const server = challenged({ doomed: true });
    assert.equal(server.final(CLIENT_FINAL), undefined);
    assert.equal(server.keys, undefined);
  });

  it('ignores optional extensions, which the proof covers all the same', () => {
    assert.equal(exchange().first('SCRAM-SHA-256', `${CLIENT_FIRST},x=1,Y=2`), SERVER_FIRST);
    assert.equal(challenged().final(CLIENT_FINAL.replace(',p=', ',x=1,p=')), undefined);
  });

  it('refuses every message out of turn, so that no password can be tried twice', () => {
    assert.throws(() => exchange().final(CLIENT_FINAL), protocolError('08P01', /unexpected/));
    const server = challenged();
    assert.throws(() => server.first('SCRAM-SHA-256', CLIENT_FIRST), protocolError('08P01', /unexpected/));
    const failed = challenged();
    failed.final(CLIENT_FINAL.replace('p=dH', 'p=dX'));
    assert.throws(() => failed.final(CLIENT_FINAL), protocolError('08P01', /unexpected/));
    const broken = challenged();
    assert.throws(() => broken.final('c'));
    assert.throws(() => broken.final(CLIENT_FINAL), protocolError('08P01', /unexpected/));
  });

  it('refuses malformed first messages', () => {
    const refused: [message: string, code: string, text: RegExp][] = [
      ['', '08P01', /empty message/],
      ['n', '08P01', /"," expected/],
      ['n,', '08P01', /"," expected/],
      ['n,,', '08P01', /attribute "n" expected/],
      ['x,,n=,r=abc', '08P01', /channel-binding flag/],
      ['nn,,n=,r=abc', '08P01', /"," expected/],
      ['n,a=admin,n=,r=abc', '0A000', /authorization identity/],
      ['n,x,n=,r=abc', '08P01', /"," expected/],
      ['n,,m=x,n=,r=abc', '0A000', /extension/],
      ['n,,r=abc', '08P01', /attribute "n" expected/],
      ['n,,n,r=abc', '08P01', /"=" expected/],
      ['n,,n=', '08P01', /attribute "r" expected/],
      ['n,,n=,r=', '08P01', /non-printable/],
      ['n,,n=,r=a b', '08P01', /non-printable/],
      ['n,,n=,r=a\x80b', '08P01', /non-printable/],
      ['n,,n=,r=abc,1=x', '08P01', /attribute expected/],
      ['n,,n=,r=abc,x', '08P01', /attribute expected/],
      ['n,,n=,r=abc\0', '08P01', /length mismatch/],
    ];
    for (const [message, code, text] of refused) {
      assert.throws(() => exchange().first('SCRAM-SHA-256', message), protocolError(code, text), message);
    }
  });

  it('refuses malformed final messages', () => {
    const refused: [message: string, text: RegExp][] = [
      ['', /empty message/],
      [`r=${NONCE},p=${PROOF}`, /attribute "c" expected/],
      [`c=biws,p=${PROOF}`, /attribute "r" expected/],
      [`c=biws,r=${NONCE}`, /attribute expected/],
      [`c=biws,r=${NONCE},p=`, /malformed proof/],
      [`c=biws,r=${NONCE},p=QUJD`, /malformed proof/],
      [`c=biws,r=${NONCE},p=${PROOF.slice(0, -1)}`, /malformed proof/],
      [`c=biws,r=${NONCE},p=*${PROOF.slice(1)}`, /malformed proof/],
      [`c=biws,r=${NONCE},p=${PROOF},x=1`, /garbage at the end/],
      [`c=biws,r=${CLIENT_NONCE},p=${PROOF}`, /nonce does not match/],
      [`c=biws,r=${NONCE}x,p=${PROOF}`, /nonce does not match/],
      [`c=biws,r=x${NONCE.slice(1)},p=${PROOF}`, /nonce does not match/],
      [`c=eSws,r=${NONCE},p=${PROOF}`, /channel-binding attribute/],
    ];
    for (const [message, text] of refused) {
      assert.throws(() => challenged().final(message), protocolError('08P01', text), message);
    }
  });

  it('refuses mechanisms that were not offered', () => {
    assert.throws(() => exchange().first('SCRAM-SHA-1', CLIENT_FIRST), protocolError('08P01', /invalid SASL/));
    assert.throws(() => exchange().first('SCRAM-SHA-256-PLUS', BOUND_FIRST), protocolError('08P01', /invalid SASL/));
  });
});

describe('the server side of SCRAM with channel binding', () => {
  it('is offered first, and only with binding data', () => {
    assert.deepEqual(exchange().mechanisms, ['SCRAM-SHA-256']);
    assert.deepEqual(exchange({ channelBinding: BINDING }).mechanisms, ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256']);
  });

  it('succeeds with the binding data of this connection', () => {
    const server = exchange({ channelBinding: BINDING });
    assert.equal(server.first('SCRAM-SHA-256-PLUS', BOUND_FIRST), SERVER_FIRST);
    assert.equal(server.final(BOUND_FINAL), BOUND_SERVER_FINAL);
  });

  it('fails with the binding data of another connection', () => {
    const server = exchange({ channelBinding: Buffer.alloc(32) });
    server.first('SCRAM-SHA-256-PLUS', BOUND_FIRST);
    assert.throws(() => server.final(BOUND_FINAL), protocolError('28000', /channel binding check failed/));
  });

  it('may be left unused by a client that cannot', () => {
    const server = exchange({ channelBinding: BINDING });
    server.first('SCRAM-SHA-256', CLIENT_FIRST);
    assert.equal(server.final(CLIENT_FINAL), SERVER_FINAL);
  });

  it('notices that someone hid it from a client that can', () => {
    const server = exchange({ channelBinding: BINDING });
    const first = CLIENT_FIRST.replace('n,,', 'y,,');
    assert.throws(() => server.first('SCRAM-SHA-256', first), protocolError('28000', /negotiation error/));
  });

  it('accepts the flag of a client that could, where it is not offered', () => {
    const server = exchange();
    server.first('SCRAM-SHA-256', `y,,n=,r=${CLIENT_NONCE}`);
    const proof = 'VpuC5DGQa5ro9tXE9MnKs69NH1nxnuregZZcclqIGfM=';
    assert.equal(server.final(`c=eSws,r=${NONCE},p=${proof}`), 'v=FOmOj9BpTGwvnzwBtWQjBaPmVxT9I8IeHBOhcIPu3us=');
  });

  it('refuses a message that does not go with the mechanism', () => {
    const offered = { channelBinding: BINDING };
    for (const flag of ['n', 'y']) {
      const first = `${flag},,n=,r=abc`;
      assert.throws(() => exchange(offered).first('SCRAM-SHA-256-PLUS', first), protocolError('08P01', /not include/));
    }
    assert.throws(() => exchange(offered).first('SCRAM-SHA-256', BOUND_FIRST), protocolError('08P01', /includes/));
    const unique = 'p=tls-unique,,n=,r=abc';
    assert.throws(() => exchange(offered).first('SCRAM-SHA-256-PLUS', unique), protocolError('08P01', /unsupported/));
  });
});
