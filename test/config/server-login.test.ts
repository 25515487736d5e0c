import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import {
  findUser,
  mirrorCredentials,
  sourceCredentials,
  unattendedCredentials,
} from '../../src/config/server-login.ts';
import { load, VERIFIER } from './config-files.ts';

function configured(t: TestContext, database: string, users: string) {
  const config = load(t, `[[databases]]\nname = "app"\nhost = "h"\n${database}`, users);
  const [app] = config.databases;
  const [user] = config.users;
  assert.ok(app && user);
  return { config, app, user };
}

describe('findUser', () => {
  it('prefers the entry that names the database to the one for all', (t) => {
    const all = '[[users]]\nname = "a"\nall_databases = true\npassword = "all"\n';
    const { config } = configured(t, '', `${all}[[users]]\nname = "a"\ndatabase = "app"\npassword = "own"`);
    assert.equal(findUser(config.users, 'a', 'app')?.password, 'own');
    assert.equal(findUser(config.users, 'a', 'other')?.password, 'all');
    assert.equal(findUser(config.users, 'b', 'app'), undefined);
  });
});

describe('sourceCredentials', () => {
  const user = '[[users]]\nname = "a"\ndatabase = "app"\npassword = "client"\n';

  it('are the client’s own where nothing else is given', (t) => {
    const { app, user: entry } = configured(t, '', user);
    assert.deepEqual(sourceCredentials(entry, app), { user: 'a', password: 'client', verifierOnly: false });
  });

  it('are the database’s where it has a user', (t) => {
    const { app, user: entry } = configured(t, 'user = "owner"\npassword = "o"', user);
    assert.deepEqual(sourceCredentials(entry, app), { user: 'owner', password: 'o', verifierOnly: false });
  });

  it('are the entry’s server_user before that', (t) => {
    const { app, user: entry } = configured(t, 'user = "owner"', `${user}server_user = "s"\nserver_password = "p"`);
    assert.deepEqual(sourceCredentials(entry, app), { user: 's', password: 'p', verifierOnly: false });
  });
});

describe('mirrorCredentials', () => {
  it('are the entry’s for the destination, else the destination’s own, else none', (t) => {
    const user = '[[users]]\nname = "a"\ndatabase = "app"\npassword = "x"';
    const { config, app } = configured(t, 'user = "owner"\npassword = "o"', user);
    assert.deepEqual(mirrorCredentials(config, 'a', app), { user: 'a', password: 'x', verifierOnly: false });
    assert.deepEqual(mirrorCredentials(config, 'b', app), { user: 'owner', password: 'o', verifierOnly: false });
    const bare = configured(t, '', user);
    assert.equal(mirrorCredentials(bare.config, 'b', bare.app), undefined);
  });

  it('say when a verifier is all there is', (t) => {
    const user = `[[users]]\nname = "a"\ndatabase = "app"\npassword_hash = "${VERIFIER}"`;
    const { config, app } = configured(t, '', user);
    assert.deepEqual(mirrorCredentials(config, 'a', app), { user: 'a', password: undefined, verifierOnly: true });
  });
});

describe('unattendedCredentials', () => {
  const verifier = `[[users]]\nname = "v"\ndatabase = "app"\npassword_hash = "${VERIFIER}"\n`;
  const user = '[[users]]\nname = "a"\ndatabase = "app"\npassword = "x"\n';
  const asker = '[[users]]\nname = "asker"\ndatabase = "other"\npassword = "q"\n';
  const own = 'user = "owner"\npassword = "o"\n';
  const cases: readonly (readonly [what: string, database: string, users: string, expected: unknown])[] = [
    ['the first user whose password is known', '', verifier + user, ['a', 'x']],
    ['the database’s own user, where nobody stands in users.toml', own, '', ['owner', 'o']],
    ['who looks up users, where the database has none', '', verifier + asker, ['asker', 'q']],
    ['who looks up users, with the password of the database', own.replace('owner', 'asker'), '', ['asker', 'o']],
  ];
  for (const [what, database, users, expected] of cases) {
    it(`are those of ${what}`, (t) => {
      const app = `[[databases]]\nname = "app"\nhost = "h"\n${database}`;
      const other = '[[databases]]\nname = "other"\nhost = "h"\n';
      const config = load(t, `[general]\nauth_user = "asker"\n${app}${other}`, users);
      const found = unattendedCredentials(config, config.databases[0]!);
      assert.deepEqual([found?.user, found?.password], expected);
    });
  }

  it('are none where only verifiers are known', (t) => {
    const { config, app } = configured(t, '', verifier);
    assert.equal(unattendedCredentials(config, app), undefined);
  });
});
