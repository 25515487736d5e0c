import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DATABASE, load, problemsOf, TWO_DATABASES } from './config-files.ts';

const PAIR = 'source_db = "app"\ndestination_db = "app_new"';

function database(name: string, more = ''): string {
  return `[[databases]]\nname = "${name}"\nhost = "h"\n${more}\n`;
}

describe('between the keys of pgmirror.toml', () => {
  it('database names are used once', (t) => {
    assert.deepEqual(problemsOf(t, database('app') + database('app')), [
      'pgmirror.toml: databases[#2].name: found "app", accepted: a name that no other of [[databases]] has',
    ]);
  });

  it('no database has the admin database’s name, whatever that is', (t) => {
    assert.deepEqual(problemsOf(t, database('pgmirror') + database('pgbouncer')), [
      'pgmirror.toml: databases[pgmirror].name: found "pgmirror", accepted: a name other than the admin database\'s ("pgmirror", "pgbouncer")',
      'pgmirror.toml: databases[pgbouncer].name: found "pgbouncer", accepted: a name other than the admin database\'s ("pgmirror", "pgbouncer")',
    ]);
    assert.deepEqual(problemsOf(t, `[admin]\nname = "ops"\n${database('ops')}`), [
      'pgmirror.toml: databases[ops].name: found "ops", accepted: a name other than the admin database\'s ("ops", "pgbouncer")',
    ]);
    assert.deepEqual(problemsOf(t, `[admin]\nname = "ops"\n${database('pgmirror')}`), []);
  });

  it('a password goes with a user', (t) => {
    assert.deepEqual(problemsOf(t, database('app', 'password = "x"')), [
      'pgmirror.toml: databases[app].user: found nothing, accepted: a user name, since password is given',
    ]);
  });

  it('a pool is not smaller than what is kept in it', (t) => {
    assert.deepEqual(problemsOf(t, `[general]\nmin_pool_size = 11\n${DATABASE}`), [
      'pgmirror.toml: general.min_pool_size: found 11, accepted: no more than default_pool_size, which is 10',
    ]);
    assert.deepEqual(problemsOf(t, database('app', 'pool_size = 2\nmin_pool_size = 3')), [
      'pgmirror.toml: databases[app].min_pool_size: found 3, accepted: no more than pool_size, which is 2',
    ]);
    assert.deepEqual(problemsOf(t, `[general]\ndefault_pool_size = 2\n${database('app', 'min_pool_size = 3')}`), [
      'pgmirror.toml: databases[app].min_pool_size: found 3, accepted: no more than default_pool_size, which is 2',
    ]);
  });

  it('mirroring is from one known database to another', (t) => {
    assert.deepEqual(problemsOf(t, `${TWO_DATABASES}[[mirroring]]\nsource_db = "ap"\ndestination_db = "new"`), [
      'pgmirror.toml: mirroring[ap -> new].source_db: found "ap", accepted: the name of one of [[databases]]: "app", "app_new"',
      'pgmirror.toml: mirroring[ap -> new].destination_db: found "new", accepted: the name of one of [[databases]]: "app", "app_new"',
    ]);
    assert.deepEqual(problemsOf(t, `${TWO_DATABASES}[[mirroring]]\nsource_db = "app"\ndestination_db = "app"`), [
      'pgmirror.toml: mirroring[app -> app].destination_db: found "app", accepted: a database other than source_db',
    ]);
  });

  it('lists ten databases at most', (t) => {
    const many = Array.from({ length: 12 }, (_, index) => database(`d${index}`)).join('');
    const [line] = problemsOf(t, `${many}[[mirroring]]\nsource_db = "x"\ndestination_db = "d0"`);
    assert.match(line ?? '', /: "d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d9", …$/);
  });

  it('each pair of databases is mirrored once, and one source may have many mirrors', (t) => {
    assert.deepEqual(problemsOf(t, `${TWO_DATABASES}[[mirroring]]\n${PAIR}\n[[mirroring]]\n${PAIR}`), [
      'pgmirror.toml: mirroring[#2]: found "app" to "app_new" a second time, accepted: one [[mirroring]] for each source_db and destination_db',
    ]);
    const third = '[[mirroring]]\nsource_db = "app"\ndestination_db = "third"';
    assert.equal(load(t, `${TWO_DATABASES}${database('third')}[[mirroring]]\n${PAIR}\n${third}`).mirroring.length, 2);
  });

  it('a queue has one length', (t) => {
    assert.deepEqual(problemsOf(t, `${TWO_DATABASES}[[mirroring]]\n${PAIR}\nqueue_length = 5\nqueue_depth = 6`), [
      'pgmirror.toml: mirroring[app -> app_new].queue_depth: found 6, accepted: queue_length alone, of which it is another spelling',
    ]);
  });

  it('a control is another destination of the same source', (t) => {
    const alone = `${TWO_DATABASES}[[mirroring]]\n${PAIR}\ncontrol = "app_new"`;
    assert.deepEqual(problemsOf(t, alone), [
      'pgmirror.toml: mirroring[app -> app_new].control: found "app_new", accepted: another destination_db of databases[app]: there is none',
    ]);
    const other = `${database('twin')}[[mirroring]]\nsource_db = "app"\ndestination_db = "twin"\n`;
    assert.deepEqual(problemsOf(t, `${TWO_DATABASES}${other}[[mirroring]]\n${PAIR}\ncontrol = "app"`), [
      'pgmirror.toml: mirroring[app -> app_new].control: found "app", accepted: another destination_db of databases[app]: "twin"',
    ]);
    assert.deepEqual(problemsOf(t, `${TWO_DATABASES}${other}[[mirroring]]\n${PAIR}\ncontrol = "twin"`), []);
  });

  it('clients and HTTP have a port each, where they have an address in common', (t) => {
    const problems = (lines: string): readonly string[] => problemsOf(t, `[general]\n${lines}\n${DATABASE}`);
    const found = (port: number): string =>
      `pgmirror.toml: general.http_port: found ${port}, accepted: another port than that of clients (port)`;
    assert.deepEqual(problems('http_port = 6432'), [found(6432)]);
    assert.deepEqual(problems('host = "10.0.0.1"\nport = 9090\nhttp_host = "0.0.0.0"\nhttp_port = 9090'), [
      found(9090),
    ]);
    assert.deepEqual(problems('host = "10.0.0.1"\nhttp_port = 6432'), []);
    assert.deepEqual(problems('http_port = 9090'), []);
  });

  it('the path of a unix socket is no longer than paths of those may be', (t) => {
    const most = process.platform === 'linux' ? 93 : 89;
    const folder = (length: number): string => `/${'x'.repeat(length - 1)}`;
    const config = (length: number): string =>
      `[general]\nunix_socket_dir = "${folder(length)}"\n[[databases]]\nname = "app"\nhost = "${folder(length)}"\n` +
      `[[databases]]\nname = "far"\nhost = "${'x'.repeat(200)}"\n`;
    assert.deepEqual(problemsOf(t, config(most)), []);
    const accepted = `a folder of at most ${most} bytes: more than ${most + 14} has no path of a unix socket`;
    assert.deepEqual(problemsOf(t, config(most + 1)), [
      `pgmirror.toml: general.unix_socket_dir: found ${most + 1} bytes, accepted: ${accepted}`,
      `pgmirror.toml: databases[app].host: found ${most + 1} bytes, accepted: ${accepted}`,
    ]);
  });

  it('a certificate goes with its key, a required TLS with a certificate, a query for passwords with a user', (t) => {
    const lines = ['tls_certificate = "c"', 'tls_server_private_key = "k"', 'auth_query = "q"'].join('\n');
    assert.deepEqual(problemsOf(t, `[general]\n${lines}\n${DATABASE}`), [
      'pgmirror.toml: general.tls_private_key: found nothing, accepted: a file, since tls_certificate is given',
      'pgmirror.toml: general.tls_server_certificate: found nothing, accepted: a file, since tls_server_private_key is given',
      'pgmirror.toml: general.auth_user: found nothing, accepted: a user name, since auth_query is given',
    ]);
    assert.deepEqual(problemsOf(t, `[general]\ntls_client_required = true\n${DATABASE}`), [
      'pgmirror.toml: general.tls_certificate: found nothing, accepted: a file, since tls_client_required is true',
    ]);
  });
});
