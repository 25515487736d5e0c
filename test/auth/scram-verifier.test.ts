import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import {
  deriveScramVerifier,
  formatScramVerifier,
  InvalidSecretError,
  isScramVerifier,
  mockScramVerifier,
  parseScramVerifier,
  saltOfUser,
} from '../../src/auth/scram-verifier.ts';

/** Made by PostgreSQL 15 (pg_authid.rolpassword) for the passwords beside them. */
const MADE_BY_POSTGRESQL = [
  {
    password: 'pencil',
    stored:
      'SCRAM-SHA-256$4096:qvQbvceprcz7XgvuACK5og==' +
      '$QFOH/xP86NmmXJvM8BdLBHS4I9NrIHkBHjVRnZi5voY=:XcfugNVlydy28m5ORKH1sHZ/CcFolQtUkIuiinqIKG8=',
  },
  {
    password: 'p\u00e5ss\u00a0w\u00f6rd\u2168',
    stored:
      'SCRAM-SHA-256$4096:LCtp7YZLaGmEfj806L5Dag==' +
      '$erPWTaH49VLGKPXq50B4Yljl44qq8/JJ2vThXY3yYRE=:pLXRMZIvg617hnrc0LylFw5sDyeakA8Ai0JVB/cuMng=',
  },
  {
    password: 'bad\u0378name',
    stored:
      'SCRAM-SHA-256$4096:O+8ZvZZP/1IBk+hwKwneTg==' +
      '$RBFFz+M/1gRR/KBXNGKFsm9Wq6/KxlJe2bsgXYvTCUQ=:gLvehDHQwzSxwqIaeVedZcqq6pAS5QHmx0fykn4Xew8=',
  },
  {
    password: '\u06271\u0628',
    stored:
      'SCRAM-SHA-256$4096:16s+NFv7xlGjH11ook7E8g==' +
      '$8sReMBQspCCl4TS9I7tCvryMVRQh+iGiEHc+ZSdD+08=:xw263DEkUCzXQLutnpcJ5WxdX88Op5BjkEy7tGV3i1U=',
  },
] as const;

const KEY = 'A'.repeat(43) + '=';

describe('a SCRAM verifier', () => {
  it('is derived as PostgreSQL derives it', async () => {
    for (const { password, stored } of MADE_BY_POSTGRESQL) {
      const { salt, iterations } = parseScramVerifier(stored);
      const derived = await deriveScramVerifier(Buffer.from(password), { salt, iterations });
      assert.equal(formatScramVerifier(derived), stored);
    }
  });

  it('survives being parsed and formatted', () => {
    for (const { stored } of MADE_BY_POSTGRESQL) assert.equal(formatScramVerifier(parseScramVerifier(stored)), stored);
  });

  it('has a random salt of 16 bytes and 4096 iterations unless told otherwise', async () => {
    const [one, other] = await Promise.all([
      deriveScramVerifier(Buffer.from('x')),
      deriveScramVerifier(Buffer.from('x')),
    ]);
    assert.equal(one.salt.length, 16);
    assert.equal(one.iterations, 4096);
    assert.notDeepEqual(one.salt, other.salt);
  });

  it('is not derived from an empty password', async () => {
    await assert.rejects(deriveScramVerifier(Buffer.alloc(0)), InvalidSecretError);
  });

  it('takes a salt of any length', () => {
    assert.equal(parseScramVerifier(`SCRAM-SHA-256$1:QUJD$${KEY}:${KEY}`).salt.toString(), 'ABC');
  });

  it('is refused when malformed, and the message does not quote it', () => {
    for (const [stored, what] of [
      ['', 'iteration count'],
      ['md5b15721e6326bc6e9a7c72a38963ec03d', 'iteration count'],
      [`SCRAM-SHA-256$0:QUJD$${KEY}:${KEY}`, 'iteration count'],
      [`SCRAM-SHA-256$-1:QUJD$${KEY}:${KEY}`, 'iteration count'],
      [`SCRAM-SHA-256$1e3:QUJD$${KEY}:${KEY}`, 'iteration count'],
      [`SCRAM-SHA-256$2147483648:QUJD$${KEY}:${KEY}`, 'iteration count'],
      [`SCRAM-SHA-256$4096:QUJ$${KEY}:${KEY}`, 'salt'],
      [`SCRAM-SHA-256$4096:QU!D$${KEY}:${KEY}`, 'salt'],
      [`SCRAM-SHA-256$4096:QUI$${KEY}:${KEY}`, 'salt'],
      [`SCRAM-SHA-256$4096:QUJD$QUJD:${KEY}`, 'StoredKey'],
      [`SCRAM-SHA-256$4096:QUJD$${KEY}:QUJD`, 'ServerKey'],
      [`SCRAM-SHA-256$4096:QUJD$${KEY}:${KEY}\n`, 'ServerKey'],
    ] as const) {
      assert.throws(
        () => parseScramVerifier(stored),
        (error: Error) => {
          assert.ok(error instanceof InvalidSecretError, stored);
          assert.match(error.message, new RegExp(what), stored);
          assert.ok(!error.message.includes('QU'), stored);
          return true;
        },
      );
    }
  });

  it('is told from other stored passwords by its prefix', () => {
    assert.ok(isScramVerifier(MADE_BY_POSTGRESQL[0].stored));
    assert.ok(!isScramVerifier('md5b15721e6326bc6e9a7c72a38963ec03d'));
  });

  it('shows nothing of itself when printed, inspected or serialized', () => {
    const verifier = parseScramVerifier(MADE_BY_POSTGRESQL[0].stored);
    for (const shown of [String(verifier), inspect(verifier), inspect({ verifier }), JSON.stringify({ verifier })]) {
      assert.match(shown, /\[redacted\]/);
      assert.doesNotMatch(shown, /salt|QFOH|Buffer/);
    }
  });
});

describe('the verifier of an unknown user', () => {
  const secret = Buffer.alloc(32, 7);

  it('has a salt that stays the same for a user, differs between users and depends on the secret', () => {
    const { salt } = mockScramVerifier(secret, 'alice');
    assert.equal(salt.length, 16);
    assert.deepEqual(mockScramVerifier(secret, 'alice').salt, salt);
    assert.deepEqual(saltOfUser(secret, 'alice'), salt);
    assert.notDeepEqual(mockScramVerifier(secret, 'bob').salt, salt);
    assert.notDeepEqual(mockScramVerifier(Buffer.alloc(32, 8), 'alice').salt, salt);
  });

  it('has the iteration count of a verifier derived here', async () => {
    const derived = await deriveScramVerifier(Buffer.from('x'));
    assert.equal(mockScramVerifier(secret, 'alice').iterations, derived.iterations);
  });
});
