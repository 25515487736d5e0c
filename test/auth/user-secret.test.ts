import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { formatScramVerifier, InvalidSecretError, mockScramVerifier } from '../../src/auth/scram-verifier.ts';
import { deriveUserSecret, matchesPlainPassword } from '../../src/auth/user-secret.ts';
import type { UserSecretSource } from '../../src/auth/user-secret.ts';

const VERIFIER =
  'SCRAM-SHA-256$4096:qvQbvceprcz7XgvuACK5og==' +
  '$QFOH/xP86NmmXJvM8BdLBHS4I9NrIHkBHjVRnZi5voY=:XcfugNVlydy28m5ORKH1sHZ/CcFolQtUkIuiinqIKG8=';
const MD5 = 'md5b15721e6326bc6e9a7c72a38963ec03d';
const SOURCES: readonly UserSecretSource[] = [
  { userName: 'old', password: 'pencil' },
  { userName: 'old', passwordHash: VERIFIER },
  { userName: 'old', passwordHash: MD5 },
];

describe('the secret of a user', () => {
  it('knows both forms of a password', async () => {
    const salt = Buffer.from('qvQbvceprcz7XgvuACK5og==', 'base64');
    const secret = await deriveUserSecret({ userName: 'old', password: 'pencil', salt });
    assert.equal(secret.md5Hash, MD5);
    assert.equal(secret.scramVerifier && formatScramVerifier(secret.scramVerifier), VERIFIER);
  });

  it('knows of a hash only what it is', async () => {
    const scram = await deriveUserSecret({ userName: 'old', passwordHash: VERIFIER });
    assert.equal(scram.md5Hash, undefined);
    assert.equal(scram.scramVerifier && formatScramVerifier(scram.scramVerifier), VERIFIER);
    const md5 = await deriveUserSecret({ userName: 'old', passwordHash: MD5 });
    assert.equal(md5.md5Hash, MD5);
    assert.equal(md5.scramVerifier, undefined);
  });

  it('is refused when empty, malformed, missing or given twice', async () => {
    for (const source of [
      { password: '' },
      { passwordHash: '' },
      { passwordHash: 'pencil' },
      { passwordHash: 'md5b1572' },
      { passwordHash: 'SCRAM-SHA-256$' },
      { passwordHash: 'SCRAM-SHA-1$4096:x$y:z' },
      {},
      { password: 'pencil', passwordHash: MD5 },
    ]) {
      await assert.rejects(deriveUserSecret({ userName: 'old', ...source }), InvalidSecretError);
    }
  });

  it('shows nothing of itself when printed, inspected or serialized', async () => {
    for (const source of SOURCES) {
      const secret = await deriveUserSecret(source);
      const shown = [String(secret), inspect(secret, { showHidden: true }), JSON.stringify({ secret })].join();
      assert.equal(shown, '[redacted],[redacted],{"secret":"[redacted]"}');
    }
  });
});

describe('a password in plain text', () => {
  const mock = mockScramVerifier(Buffer.alloc(32), 'old');

  it('is checked against whatever is stored', async () => {
    for (const source of SOURCES) {
      const secret = await deriveUserSecret(source);
      assert.equal(await matchesPlainPassword(Buffer.from('pencil'), { userName: 'old', secret, mock }), true);
      assert.equal(await matchesPlainPassword(Buffer.from('pencil '), { userName: 'old', secret, mock }), false);
    }
  });

  it('never matches an unknown user', async () => {
    for (const password of ['pencil', '', '-']) {
      const check = { userName: 'old', secret: undefined, mock };
      assert.equal(await matchesPlainPassword(Buffer.from(password), check), false);
    }
  });

  it('costs the derivation of a key for an unknown user, too, who would be known by a quick answer', async () => {
    let asked = 0;
    const counting = Object.create(mock, {
      iterations: {
        get: () => {
          asked++;
          return mock.iterations;
        },
      },
    }) as typeof mock;
    for (const secret of [undefined, await deriveUserSecret({ userName: 'old', passwordHash: MD5 })]) {
      asked = 0;
      await matchesPlainPassword(Buffer.from('pencil'), { userName: 'old', secret, mock: counting });
      assert.ok(asked > 0);
    }
  });

  it('never matches when empty, even where the hash of an empty password is stored', async () => {
    // printf 'old' | md5sum
    const secret = await deriveUserSecret({ userName: 'old', passwordHash: 'md5149603e6c03516362a8da23f624db945' });
    assert.equal(await matchesPlainPassword(Buffer.alloc(0), { userName: 'old', secret, mock }), false);
  });
});
