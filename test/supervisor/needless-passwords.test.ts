import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { md5Hash } from '../../src/auth/md5.ts';
import { deriveUserSecret, matchesPlainPassword } from '../../src/auth/user-secret.ts';
import { mockScramVerifier } from '../../src/auth/scram-verifier.ts';
import type { Config } from '../../src/config/config.ts';
import { differences } from '../../src/config/differences.ts';
import { withoutNeedlessPasswords } from '../../src/supervisor/needless-passwords.ts';
import { load } from '../config/config-files.ts';

const mockSecret = randomBytes(32);

/** As what the only user of `users` is kept. */
async function kept(t: TestContext, { general = '', database = '', more = '', user = '' }) {
  const config = `${general}[[databases]]\nname = "app"\nhost = "h"\n${database}\n${more}`;
  const users = `[[users]]\nname = "anna"\nall_databases = true\npassword = "client-password"\n${user}`;
  const loaded = load(t, config, users);
  const { users: after } = await withoutNeedlessPasswords(loaded, mockSecret);
  return { password: after[0]?.password, hash: after[0]?.password_hash ?? '' };
}

async function matches(passwordHash: string, password: string): Promise<boolean> {
  const secret = await deriveUserSecret({ userName: 'anna', passwordHash });
  const check = { userName: 'anna', secret, mock: mockScramVerifier(mockSecret, 'anna') };
  return matchesPlainPassword(Buffer.from(password), check);
}

describe('A password that only clients are asked for', () => {
  it('is kept as a verifier, where the entry has a server_password', async (t) => {
    const { password, hash } = await kept(t, { user: 'server_password = "server-password"' });
    assert.equal(password, undefined);
    assert.equal(await matches(hash, 'client-password'), true);
    assert.equal(await matches(hash, 'server-password'), false);
  });

  it('is kept as a verifier, where its databases have a user and a password', async (t) => {
    const { password, hash } = await kept(t, { database: 'user = "owner"\npassword = "o"' });
    assert.equal(password, undefined);
    assert.equal(await matches(hash, 'client-password'), true);
  });

  it('is kept as an MD5 hash with auth_type = "md5"', async (t) => {
    const general = '[general]\nauth_type = "md5"\n';
    const { password, hash } = await kept(t, { general, user: 'server_password = "server-password"' });
    assert.deepEqual([password, hash], [undefined, md5Hash('client-password', 'anna')]);
  });

  it('has the same verifier after a reload', async (t) => {
    const user = 'server_password = "server-password"';
    assert.equal((await kept(t, { user })).hash, (await kept(t, { user })).hash);
  });
});

describe('A password with which pgmirror logs in to servers', () => {
  const fixed = 'user = "owner"\npassword = "o"';
  const cases = {
    'is kept': {},
    'is kept where the server name alone is another': { user: 'server_user = "other"' },
    'is kept where the database has a user without a password': { database: 'user = "owner"' },
    'is kept where its user looks others up': { general: '[general]\nauth_user = "anna"\n', database: fixed },
    'is kept for mirrors': {
      database: fixed,
      more: `[[databases]]\nname = "new"\nhost = "n"\n${fixed}\n[[mirroring]]\nsource_db = "app"\ndestination_db = "new"`,
    },
  };
  for (const [name, options] of Object.entries(cases)) {
    it(name, async (t) => {
      assert.deepEqual(await kept(t, options), { password: 'client-password', hash: '' });
    });
  }
});

describe('The admin’s password', () => {
  const configured = async (t: TestContext, password: string): Promise<Config> =>
    withoutNeedlessPasswords(
      load(t, `[admin]\npassword = "${password}"\n[[databases]]\nname = "app"\nhost = "h"`, ''),
      mockSecret,
    );

  it('is kept as hashes', async (t) => {
    const { admin } = await configured(t, 'admin-password');
    assert.equal(admin.password, undefined);
    assert.equal(admin.hashes?.md5, md5Hash('admin-password', 'admin'));
    assert.equal(await matches(admin.hashes?.scram ?? '', 'admin-password'), true);
  });

  it('is another at the next start alone', async (t) => {
    const [before, same, other] = [await configured(t, 'one'), await configured(t, 'one'), await configured(t, 'two')];
    assert.deepEqual(differences(before, same).needsRestart, []);
    assert.deepEqual(differences(before, other).needsRestart, ['admin.password']);
  });
});
