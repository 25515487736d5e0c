import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { AuthenticationError } from '../../src/auth/authentication-error.ts';
import { deriveScramKeys } from '../../src/auth/scram-keys.ts';
import { InvalidSecretError } from '../../src/auth/scram-verifier.ts';
import { ServerPassword } from '../../src/auth/server-password.ts';

const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
const CLIENT_KEY = 'pg/JI9Z+hkSpLRa5btpe9GVrDHJcSEN0viVTVXaZbos=';
const MD5 = 'md5b15721e6326bc6e9a7c72a38963ec03d';

describe('the password for a server', () => {
  it('given as a text does for every method', async () => {
    const password = ServerPassword.fromText('pencil');
    assert.equal(password.text(), 'pencil');
    assert.equal(password.md5Hash('old'), MD5);
    assert.equal((await password.scramKeys(SALT, 4096)).clientKey.toString('base64'), CLIENT_KEY);
  });

  it('derives its SCRAM keys once for a salt and iteration count', async () => {
    const password = ServerPassword.fromText('pencil');
    const [one, other] = await Promise.all([
      password.scramKeys(SALT, 4096),
      password.scramKeys(Buffer.from(SALT), 4096),
    ]);
    assert.equal(one, other);
    const fewer = await password.scramKeys(SALT, 1);
    assert.notDeepEqual(fewer.clientKey, one.clientKey);
    const otherSalt = await password.scramKeys(Buffer.from('salt'), 1);
    assert.notDeepEqual(otherSalt.clientKey, fewer.clientKey);
  });

  it('given as an MD5 hash does for MD5 only', async () => {
    const password = ServerPassword.fromMd5Hash(MD5);
    assert.equal(password.md5Hash('old'), MD5);
    assert.throws(() => password.text(), AuthenticationError);
    await assert.rejects(password.scramKeys(SALT, 4096), AuthenticationError);
  });

  it('given as SCRAM keys does for servers with the same salt and iteration count only', async () => {
    const keys = await deriveScramKeys(Buffer.from('pencil'), SALT, 4096);
    const password = ServerPassword.fromScramKeys(keys);
    assert.equal(await password.scramKeys(Buffer.from(SALT), 4096), keys);
    await assert.rejects(password.scramKeys(SALT, 4097), AuthenticationError);
    await assert.rejects(password.scramKeys(Buffer.from('salt'), 4096), AuthenticationError);
    assert.throws(() => password.text(), AuthenticationError);
    assert.throws(() => password.md5Hash('old'), AuthenticationError);
  });

  it('is refused where no server could take it', () => {
    for (const text of ['', 'pen\0cil']) assert.throws(() => ServerPassword.fromText(text), InvalidSecretError);
    assert.throws(() => ServerPassword.fromMd5Hash('pencil'), InvalidSecretError);
  });

  it('shows nothing of itself when printed, inspected or serialized', async () => {
    const keys = await deriveScramKeys(Buffer.from('pencil'), SALT, 1);
    const passwords = [
      ServerPassword.fromText('pencil'),
      ServerPassword.fromMd5Hash(MD5),
      ServerPassword.fromScramKeys(keys),
    ];
    for (const password of [keys, ...passwords]) {
      assert.equal(String(password), '[redacted]');
      assert.equal(inspect({ password }, { showHidden: true }), '{ password: [redacted] }');
      assert.equal(JSON.stringify({ password }), '{"password":"[redacted]"}');
    }
  });
});
