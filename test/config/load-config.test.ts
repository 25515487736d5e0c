import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadConfig } from '../../src/config/load-config.ts';
import { DATABASE, load, problemsOf, TWO_DATABASES, writeFiles } from './config-files.ts';

describe('loadConfig', () => {
  it('gives every key its documented default', (t) => {
    const { general, admin } = load(t, DATABASE);
    assert.deepEqual(general, {
      host: '127.0.0.1',
      port: 6432,
      unix_socket_dir: undefined,
      workers: 1,
      reuse_port: false,
      pooler_mode: 'transaction',
      default_pool_size: 10,
      min_pool_size: 0,
      pinned_pool_size: 50,
      max_db_connections: 0,
      server_reset: 'needed',
      max_client_connections: 1000,
      max_login_connections: 200,
      login_failures_per_minute: 60,
      auth_type: 'scram',
      auth_user: undefined,
      auth_query: undefined,
      tls_certificate: undefined,
      tls_private_key: undefined,
      tls_client_required: false,
      tls_client_ca_certificate: undefined,
      tls_verify: 'prefer',
      tls_server_ca_certificate: undefined,
      tls_server_certificate: undefined,
      tls_server_private_key: undefined,
      connect_timeout: 5000,
      checkout_timeout: 5000,
      client_login_timeout: 15_000,
      query_timeout: 0,
      client_idle_timeout: 0,
      client_idle_in_transaction_timeout: 0,
      idle_timeout: 60_000,
      server_lifetime: 86_400_000,
      rollback_timeout: 5000,
      healthcheck_interval: 30_000,
      cancel_on_disconnect: false,
      shutdown_timeout: 60_000,
      prepared_statements: true,
      prepared_statements_limit: 200,
      prepared_statements_bytes: 16_777_216,
      max_message_size: 1_073_741_824,
      max_pipeline_depth: 100_000,
      mirror_queue: 128,
      mirror_queue_bytes: 268_435_456,
      mirror_exposure: 1,
      http_host: '127.0.0.1',
      http_port: undefined,
      log_level: 'info',
      log_connections: true,
      log_statements: 'fingerprint',
      report_queries: 500,
    });
    assert.deepEqual(admin, { name: 'pgmirror', user: 'admin', password: undefined });
  });

  it('gives a database its port, its own name on the server, and every other key as undefined', (t) => {
    assert.deepEqual(load(t, DATABASE).databases, [
      {
        name: 'app',
        host: 'db',
        port: 5432,
        database_name: 'app',
        user: undefined,
        password: undefined,
        pool_size: undefined,
        min_pool_size: undefined,
        pinned_pool_size: undefined,
        pooler_mode: undefined,
        server_reset: undefined,
        statement_timeout: undefined,
        parameters: undefined,
      },
    ]);
  });

  it('fills in what [[mirroring]] leaves to [general]', (t) => {
    const config = load(
      t,
      `[general]
      mirror_exposure = 0.25
      mirror_queue = 7
      ${TWO_DATABASES}
      [[mirroring]]
      source_db = "app"
      destination_db = "app_new"`,
    );
    assert.deepEqual(config.mirroring, [
      {
        source_db: 'app',
        destination_db: 'app_new',
        exposure: 0.25,
        sticky: 'none',
        queue_length: 7,
        level: 'all',
        users: undefined,
        application_names: undefined,
        query: undefined,
        exclude_query: undefined,
        max_transaction_size: 16_777_216,
        timing: 'realistic',
        ordering: 'session',
        timeout: 30_000,
        max_lag: 60_000,
        compare: false,
        log_mismatches: false,
        compare_sample: 1,
        control: undefined,
        allow_side_effects: false,
      },
    ]);
  });

  it('takes what [[mirroring]] says itself, queue_depth as another spelling of queue_length', (t) => {
    const pair = 'source_db = "app"\ndestination_db = "app_new"\nexposure = 0';
    for (const key of ['queue_length', 'queue_depth']) {
      const [mirroring] = load(t, `${TWO_DATABASES}[[mirroring]]\n${pair}\n${key} = 3`).mirroring;
      assert.equal(mirroring?.queue_length, 3);
      assert.equal(mirroring.exposure, 0);
      assert.ok(!Object.hasOwn(mirroring, 'queue_depth'));
    }
  });

  it('reads users with one database, several, and all', (t) => {
    const { users } = load(
      t,
      TWO_DATABASES,
      `[[users]]
      name = "one"
      database = "app"
      password = "x"
      [[users]]
      name = "two"
      databases = ["app", "app_new"]
      password = "x"
      server_user = "owner"
      server_password = "y"
      [[users]]
      name = "all"
      all_databases = true
      password = "x"
      pool_size = 3`,
    );
    const seen = users.map((user) => [user.name, user.databases, user.all_databases, user.server_user, user.pool_size]);
    assert.deepEqual(seen, [
      ['one', ['app'], false, undefined, undefined],
      ['two', ['app', 'app_new'], false, 'owner', undefined],
      ['all', [], true, undefined, 3],
    ]);
  });

  it('says which keys the files gave themselves', (t) => {
    const config = load(
      t,
      `[general]\nport = 7000\n${TWO_DATABASES}[[mirroring]]\nsource_db = "app"\ndestination_db = "app_new"\nexposure = 1.0`,
      '[[users]]\nname = "a"\ndatabase = "app"\npassword = "x"',
    );
    for (const key of [
      'general.port',
      'databases[app].host',
      'mirroring[app -> app_new].exposure',
      'users[a].password',
    ]) {
      assert.ok(config.given.includes(key), key);
    }
    assert.ok(!config.given.includes('general.host'));
  });

  it('freezes what it returns all the way down', (t) => {
    const config = load(t, `${DATABASE}parameters = { lock_timeout = "2s" }`);
    assert.ok(Object.isFrozen(config) && Object.isFrozen(config.general) && Object.isFrozen(config.databases));
    assert.ok(Object.isFrozen(config.databases[0]?.parameters));
  });

  it('puts environment variables in place of ${NAME}, in either file', (t) => {
    const config = load(
      t,
      `[[databases]]\nname = "app"\nhost = "db-\${ZONE}.example"\nuser = "\${NAME}"\npassword = "$\${ZONE} \${SECRET}"`,
      '[[users]]\nname = "${NAME}"\ndatabases = ["${DATABASE}"]\npassword = "${SECRET}"',
      { ZONE: 'eu', NAME: 'alice', SECRET: 'a${b}"c', DATABASE: 'app' },
    );
    assert.equal(config.databases[0]?.host, 'db-eu.example');
    assert.equal(config.databases[0]?.password, '${ZONE} a${b}"c');
    assert.deepEqual(config.users[0]?.databases, ['app']);
    assert.equal(config.users[0]?.password, 'a${b}"c');
  });

  it('says what is accepted when a file is not there, and reads the other one all the same', (t) => {
    const paths = writeFiles(t, 'port = 1');
    const users = `${paths.directory}/none.toml`;
    assert.throws(() => loadConfig({ config: paths.config, users }, {}), {
      name: 'ConfigError',
      code: 'CONFIG',
      problems: [
        `${users}: found no such file, accepted: a users.toml with [[users]] tables, or an empty one (another path: --users FILE)`,
        `${paths.config}: port: found an unknown key, accepted: admin (the nearest known key); port belongs to [general] and [[databases]]`,
        `${paths.config}: databases: found nothing, accepted: at least one [[databases]] table`,
      ],
    });
    const config = `${paths.directory}/absent.toml`;
    assert.throws(() => loadConfig({ config, users: paths.users }, {}), {
      problems: [`${config}: found no such file, accepted: a pgmirror.toml (another path: --config FILE)`],
    });
    assert.throws(() => loadConfig({ config: paths.directory, users: paths.users }, {}), {
      problems: [
        `${paths.directory}: found a file that cannot be read (EISDIR), accepted: a pgmirror.toml (another path: --config FILE)`,
      ],
    });
  });

  it('names line and column of what is not TOML, and never quotes the line', (t) => {
    assert.deepEqual(problemsOf(t, `${DATABASE}password = "hunter2`), [
      'pgmirror.toml:5:12: found invalid TOML (unfinished string), accepted: TOML 1.0',
    ]);
    assert.deepEqual(problemsOf(t, DATABASE, '[[users]]\npassword = hunter2'), [
      'users.toml:2:12: found invalid TOML (invalid value), accepted: TOML 1.0',
    ]);
    assert.deepEqual(problemsOf(t, Buffer.from([0x61, 0xff])), [
      'pgmirror.toml: found bytes that are not UTF-8, accepted: a TOML file in UTF-8',
    ]);
  });

  it('names the problems of both files at once', (t) => {
    assert.deepEqual(problemsOf(t, `[general]\nport = 0\nworkers = "two"\n${DATABASE}`, '[[users]]\nname = "a"'), [
      'pgmirror.toml: general.port: found 0, accepted: an integer from 1 to 65535',
      'pgmirror.toml: general.workers: found "two", accepted: an integer from 1 to 256',
      'users.toml: users[a].database: found nothing, accepted: one of database, databases and all_databases = true',
      'users.toml: users[a].password: found nothing, accepted: password or password_hash, since general.auth_type is "scram"',
    ]);
  });
});
