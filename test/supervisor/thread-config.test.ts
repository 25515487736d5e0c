import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { withoutNeedlessPasswords } from '../../src/supervisor/needless-passwords.ts';
import { poolerOptions } from '../../src/supervisor/thread-config.ts';
import { load, TWO_DATABASES } from '../config/config-files.ts';

describe('the configuration as a pooler thread sees it', () => {
  it("has a user's way to each database that it may use", (t) => {
    const users = `
[[users]]
name = "anna"
all_databases = true
password = "all"
pool_size = 3

[[users]]
name = "anna"
database = "app_new"
password = "new"
server_user = "anna_new"
server_password = "secret"

[[users]]
name = "bert"
database = "app"
password = "b"
`;
    const options = poolerOptions(load(t, TWO_DATABASES, users));
    assert.deepEqual(
      options.users.map(({ name, routes }) => [
        name,
        ...routes.map(({ database, serverUser, serverPassword, poolSize }) => [
          database,
          serverUser,
          serverPassword,
          poolSize,
        ]),
      ]),
      [
        ['anna', ['app', 'anna', 'all', 3], ['app_new', 'anna_new', 'secret', 10]],
        ['bert', ['app', 'bert', 'b', 10]],
      ],
    );
  });

  it('has sizes and modes of the user, else of the database, else of all', (t) => {
    const databases = `
[general]
default_pool_size = 7
pooler_mode = "session"
${TWO_DATABASES}
pool_size = 20
min_pool_size = 2
pinned_pool_size = 9
pooler_mode = "statement"
`;
    const users = `
[[users]]
name = "anna"
all_databases = true
password = "a"

[[users]]
name = "bert"
database = "app_new"
password = "b"
pool_size = 1
pooler_mode = "transaction"
`;
    const {
      users: [anna, bert],
    } = poolerOptions(load(t, databases, users));
    const sizes = [...anna!.routes, ...bert!.routes].map(({ poolSize, minPoolSize, pinnedPoolSize, mode }) => [
      poolSize,
      minPoolSize,
      pinnedPoolSize,
      mode,
    ]);
    assert.deepEqual(sizes, [
      [7, 0, 50, 'session'],
      [20, 2, 9, 'statement'],
      [1, 2, 9, 'transaction'],
    ]);
  });

  it('sends settings at startup, statement_timeout among them', (t) => {
    const databases = TWO_DATABASES.replace(
      'host = "db"\n',
      'host = "db"\nstatement_timeout = 5000\nparameters = { lock_timeout = "2s" }\n',
    );
    const {
      databases: [app, other],
    } = poolerOptions(load(t, databases));
    assert.deepEqual([app?.parameters, other?.parameters], [{ lock_timeout: '2s', statement_timeout: '5000' }, {}]);
  });

  it('opens the admin database under its name and that of PgBouncer, where it has a password', async (t) => {
    const adminOf = async (text: string) =>
      poolerOptions(await withoutNeedlessPasswords(load(t, text), randomBytes(32))).admin;
    assert.deepEqual((await adminOf(TWO_DATABASES)).names, []);
    const admin = await adminOf(`[admin]\nname = "ops"\npassword = "secret"\n${TWO_DATABASES}`);
    assert.deepEqual([admin.names, admin.user], [['ops', 'pgbouncer'], 'admin']);
  });

  it('has limits under names that tell their unit', (t) => {
    const { limits, authType } = poolerOptions(
      load(
        t,
        `[general]\nauth_type = "md5"\nconnect_timeout = 1\ncheckout_timeout = 2\nidle_timeout = 3\nmax_message_size = 2048\n${TWO_DATABASES}`,
      ),
    );
    assert.deepEqual(
      [authType, limits.connectTimeoutMs, limits.checkoutTimeoutMs, limits.idleTimeoutMs, limits.maxMessageSize],
      ['md5', 1, 2, 3, 2048],
    );
  });
});
