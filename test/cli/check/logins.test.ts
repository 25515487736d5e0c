import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { loginsTo } from '../../../src/cli/check/logins.ts';
import { load } from '../../config/config-files.ts';

function database(name: string, more = ''): string {
  return `[[databases]]\nname = "${name}"\nhost = "h"\n${more}\n`;
}

function mirroring(source: string, destination: string): string {
  return `[[mirroring]]\nsource_db = "${source}"\ndestination_db = "${destination}"\n`;
}

function user(name: string, lines: string): string {
  return `[[users]]\nname = "${name}"\npassword = "p-${name}"\n${lines}\n`;
}

/** The logins towards each database, as `role database user`. */
function logins(t: TestContext, config: string, users: string): string[] {
  const loaded = load(t, config, users);
  return loaded.databases.flatMap((entry) =>
    loginsTo(loaded, entry).map(({ role, database: { name }, credentials }) => `${role} ${name} ${credentials.user}`),
  );
}

describe('loginsTo', () => {
  const pair = database('app') + database('copy') + mirroring('app', 'copy');

  it('has one login for each user of a source and of its mirror', (t) => {
    const users =
      user('a', 'databases = ["app", "copy"]') + user('b', 'database = "app"') + user('c', 'all_databases = true');
    assert.deepEqual(logins(t, pair, users), [
      'source app a',
      'source app b',
      'source app c',
      'mirror copy a',
      'mirror copy c',
    ]);
  });

  it('has a login once, however many users share it', (t) => {
    const shared = pair.replaceAll('host = "h"', 'host = "h"\nuser = "owner"\npassword = "o"');
    const users = user('a', 'database = "app"') + user('b', 'database = "app"');
    assert.deepEqual(logins(t, shared, users), ['source app owner', 'mirror copy owner']);
  });

  it('treats a database that is a source and a mirror as both, and one that is neither as a source', (t) => {
    const chain = `${pair}${database('third')}${database('alone')}${mirroring('copy', 'third')}`;
    assert.deepEqual(logins(t, chain, user('a', 'all_databases = true')), [
      'source app a',
      'source copy a',
      'mirror copy a',
      'mirror third a',
      'source alone a',
    ]);
  });

  it('has those for users that are looked up: of the database, and of who asks', (t) => {
    const general = '[general]\nauth_user = "asker"\n';
    const fixed = pair.replaceAll('host = "h"', 'host = "h"\nuser = "owner"\npassword = "o"');
    assert.deepEqual(logins(t, general + fixed, ''), ['source app owner', 'source app asker', 'mirror copy owner']);
    assert.deepEqual(logins(t, general + pair, user('asker', 'database = "app"')), ['source app asker']);
  });
});
