import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DATABASE, problemsOf, TWO_DATABASES, VERIFIER } from './config-files.ts';

const MD5 = 'md5a3556571e93b0d20722ba62be61e8c2d';

function user(lines: string): string {
  return `[[users]]\nname = "alice"\n${lines}\n`;
}

function inMode(authType: string): string {
  return `[general]\nauth_type = "${authType}"\n${DATABASE}`;
}

describe('between the keys of users.toml', () => {
  it('a user’s databases are known', (t) => {
    assert.deepEqual(problemsOf(t, TWO_DATABASES, user('database = "ap"\npassword = "x"')), [
      'users.toml: users[alice].database: found "ap", accepted: the name of one of [[databases]]: "app", "app_new"',
    ]);
    assert.deepEqual(problemsOf(t, TWO_DATABASES, user('databases = ["app", "x"]\npassword = "x"')), [
      'users.toml: users[alice].databases: found "x", accepted: the name of one of [[databases]]: "app", "app_new"',
    ]);
  });

  it('an entry says in one way which databases it is for', (t) => {
    const accepted = 'accepted: one of database, databases and all_databases = true';
    assert.deepEqual(problemsOf(t, DATABASE, user('password = "x"\nall_databases = false')), [
      `users.toml: users[alice].database: found nothing, ${accepted}`,
    ]);
    assert.deepEqual(problemsOf(t, DATABASE, user('password = "x"\ndatabase = "app"\nall_databases = true')), [
      `users.toml: users[alice].database: found database and all_databases, ${accepted}`,
    ]);
    assert.deepEqual(problemsOf(t, DATABASE, user('password = "x"\ndatabase = "app"\ndatabases = ["app"]')), [
      `users.toml: users[alice].database: found database and databases, ${accepted}`,
    ]);
  });

  it('what is wrong with a key is not said a second time as its absence', (t) => {
    assert.deepEqual(problemsOf(t, DATABASE, user('databases = 5\npassword_hash = "x"')), [
      'users.toml: users[alice].databases: found 5, accepted: a list of at least one string',
      'users.toml: users[alice].password_hash: found a string, accepted: a SCRAM-SHA-256 verifier or an md5 hash, as in pg_authid.rolpassword',
    ]);
  });

  it('each name and database has one entry', (t) => {
    const entry = user('database = "app"\npassword = "x"');
    assert.deepEqual(problemsOf(t, DATABASE, entry + entry), [
      'users.toml: users[#2]: found "alice" on "app" a second time, accepted: one of [[users]] for each name and database',
    ]);
    const all = user('all_databases = true\npassword = "x"');
    assert.deepEqual(problemsOf(t, DATABASE, all + all), [
      'users.toml: users[#2]: found "alice" on all databases a second time, accepted: one of [[users]] for each name and database',
    ]);
    assert.deepEqual(problemsOf(t, DATABASE, all + entry), []);
  });

  it('a secret is there, unless everybody is trusted', (t) => {
    for (const mode of ['scram', 'md5', 'plain']) {
      assert.deepEqual(problemsOf(t, inMode(mode), user('database = "app"')), [
        `users.toml: users[alice].password: found nothing, accepted: password or password_hash, since general.auth_type is "${mode}"`,
      ]);
    }
    assert.deepEqual(problemsOf(t, inMode('trust'), user('database = "app"')), []);
  });

  it('there is one secret, not two, and no message shows it', (t) => {
    assert.deepEqual(
      problemsOf(t, DATABASE, user(`database = "app"\npassword = "hunter2"\npassword_hash = "${MD5}"`)),
      ['users.toml: users[alice].password_hash: found a password besides, accepted: password or password_hash'],
    );
    assert.deepEqual(problemsOf(t, DATABASE, user('database = "app"\npassword = 12345\nserver_password = 67890')), [
      'users.toml: users[alice].password: found a number, accepted: a string that is not empty',
      'users.toml: users[alice].server_password: found a number, accepted: a string that is not empty',
    ]);
  });

  it('a hash is of the kind that the authentication can check against', (t) => {
    const verifier = user(`database = "app"\npassword_hash = "${VERIFIER}"`);
    const md5 = user(`database = "app"\npassword_hash = "${MD5}"`);
    assert.deepEqual(problemsOf(t, inMode('scram'), md5), [
      'users.toml: users[alice].password_hash: found an md5 hash, accepted: password or a SCRAM verifier, since general.auth_type is "scram"',
    ]);
    for (const mode of ['scram', 'md5', 'plain', 'trust']) {
      assert.deepEqual(problemsOf(t, inMode(mode), verifier), []);
    }
    for (const mode of ['md5', 'plain', 'trust']) assert.deepEqual(problemsOf(t, inMode(mode), md5), []);
  });

  it('a pool is not smaller than what is kept in it, and modes are known', (t) => {
    const entry = user('database = "app"\npassword = "x"\npool_size = 1\nmin_pool_size = 2\npooler_mode = "tx"');
    assert.deepEqual(problemsOf(t, DATABASE, entry), [
      'users.toml: users[alice].pooler_mode: found "tx", accepted: "transaction", "session" or "statement"',
      'users.toml: users[alice].min_pool_size: found 2, accepted: no more than pool_size, which is 1',
    ]);
  });

  it('an unknown key is refused with the nearest one', (t) => {
    assert.deepEqual(problemsOf(t, DATABASE, user('database = "app"\npassword = "x"\nserver_pasword = "x"')), [
      'users.toml: users[alice].server_pasword: found an unknown key, accepted: server_password (the nearest known key)',
    ]);
  });
});
