import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DATABASE, problemsOf, TWO_DATABASES } from './config-files.ts';

const MILLISECONDS = 'an integer from 1 to 2147483647 (milliseconds)';
const MILLISECONDS_OFF = 'an integer from 0 to 2147483647 (milliseconds, 0: off)';
const MAX_BYTES = '9007199254740991 (bytes)';

/** A line of [general], and what is said about it after its key. */
const general: readonly (readonly [line: string, problem: string])[] = [
  ['host = 5', 'found 5, accepted: a string that is not empty'],
  ['host = ""', 'found "", accepted: a string that is not empty'],
  ['host = "a\\u0000b"', 'found "a\\u0000b", accepted: a string that is not empty'],
  ['port = "6432"', 'found "6432", accepted: an integer from 1 to 65535'],
  ['port = 65536', 'found 65536, accepted: an integer from 1 to 65535'],
  ['port = 64.5', 'found 64.5, accepted: an integer from 1 to 65535'],
  ['unix_socket_dir = true', 'found true, accepted: a string that is not empty'],
  ['workers = 0', 'found 0, accepted: an integer from 1 to 256'],
  ['workers = 257', 'found 257, accepted: an integer from 1 to 256'],
  ['reuse_port = 1', 'found 1, accepted: true or false'],
  ['pooler_mode = "Transaction"', 'found "Transaction", accepted: "transaction", "session" or "statement"'],
  ['default_pool_size = 0', 'found 0, accepted: an integer from 1 to 1000000'],
  ['min_pool_size = -1', 'found -1, accepted: an integer from 0 to 1000000'],
  ['pinned_pool_size = -1', 'found -1, accepted: an integer from 0 to 1000000'],
  ['max_db_connections = -1', 'found -1, accepted: an integer from 0 to 1000000 (0: no limit)'],
  ['server_reset = "never"', 'found "never", accepted: "needed" or "always"'],
  ['max_client_connections = 0', 'found 0, accepted: an integer from 1 to 1000000'],
  ['max_login_connections = 0', 'found 0, accepted: an integer from 1 to 1000000'],
  ['login_failures_per_minute = -1', 'found -1, accepted: an integer from 0 to 1000000 (0: no limit)'],
  ['auth_type = "cert"', 'found "cert", accepted: "scram", "md5", "plain" or "trust"'],
  ['auth_user = []', 'found an empty list, accepted: a string that is not empty'],
  ['auth_query = {}', 'found a table, accepted: a string that is not empty'],
  ['tls_client_required = "yes"', 'found "yes", accepted: true or false'],
  ['tls_client_ca_certificate = 1', 'found 1, accepted: a string that is not empty'],
  [
    'tls_verify = "verify-full"',
    'found "verify-full", accepted: "disabled", "prefer", "require", "verify_ca" or "verify_full"',
  ],
  ['tls_server_ca_certificate = 1', 'found 1, accepted: a string that is not empty'],
  ['connect_timeout = 0', `found 0, accepted: ${MILLISECONDS}`],
  ['connect_timeout = "5s"', `found "5s", accepted: ${MILLISECONDS}`],
  ['checkout_timeout = 2147483648', `found 2147483648, accepted: ${MILLISECONDS}`],
  ['client_login_timeout = 0', `found 0, accepted: ${MILLISECONDS}`],
  ['query_timeout = -1', `found -1, accepted: ${MILLISECONDS_OFF}`],
  ['client_idle_timeout = -1', `found -1, accepted: ${MILLISECONDS_OFF}`],
  ['client_idle_in_transaction_timeout = -1', `found -1, accepted: ${MILLISECONDS_OFF}`],
  ['idle_timeout = inf', `found Infinity, accepted: ${MILLISECONDS_OFF}`],
  ['server_lifetime = nan', `found NaN, accepted: ${MILLISECONDS_OFF}`],
  ['rollback_timeout = 0', `found 0, accepted: ${MILLISECONDS}`],
  ['healthcheck_interval = 2024-01-01', `found a date, accepted: ${MILLISECONDS_OFF}`],
  ['cancel_on_disconnect = 0', 'found 0, accepted: true or false'],
  ['shutdown_timeout = -5', 'found -5, accepted: an integer from 0 to 2147483647 (milliseconds, 0: at once)'],
  ['prepared_statements = "off"', 'found "off", accepted: true or false'],
  ['prepared_statements_limit = 0', 'found 0, accepted: an integer from 1 to 1000000'],
  ['prepared_statements_bytes = 0', 'found 0, accepted: an integer from 1 to 1073741824 (bytes)'],
  ['max_message_size = 1073741825', 'found 1073741825, accepted: an integer from 1024 to 1073741824 (bytes)'],
  ['max_pipeline_depth = 0', 'found 0, accepted: an integer from 1 to 1000000'],
  ['mirror_queue = 0', 'found 0, accepted: an integer from 1 to 1000000'],
  ['mirror_queue_bytes = 0', `found 0, accepted: an integer from 1 to ${MAX_BYTES}`],
  ['mirror_exposure = 1.5', 'found 1.5, accepted: a number from 0 to 1'],
  ['mirror_exposure = 50', 'found 50, accepted: a number from 0 to 1'],
  ['mirror_exposure = "50%"', 'found "50%", accepted: a number from 0 to 1'],
  ['mirror_exposure = -0.1', 'found -0.1, accepted: a number from 0 to 1'],
  ['http_host = 0', 'found 0, accepted: a string that is not empty'],
  ['http_port = 0', 'found 0, accepted: an integer from 1 to 65535'],
  ['log_level = "verbose"', 'found "verbose", accepted: "trace", "debug", "info", "warn", "error" or "fatal"'],
  ['log_connections = "on"', 'found "on", accepted: true or false'],
  ['log_statements = true', 'found true, accepted: "none", "fingerprint" or "full"'],
  ['report_queries = 0', 'found 0, accepted: an integer from 1 to 1000000'],
  ['log_leve = "info"', 'found an unknown key, accepted: log_level (the nearest known key)'],
  ['mirror_exposur = 1', 'found an unknown key, accepted: mirror_exposure (the nearest known key)'],
  ['pooler_mod = "x"', 'found an unknown key, accepted: pooler_mode (the nearest known key)'],
  ['sticky = "none"', 'found an unknown key, accepted: host (the nearest known key); sticky belongs to [[mirroring]]'],
];

/** A line of [[mirroring]] besides its two databases. */
const mirroring: readonly (readonly [line: string, problem: string])[] = [
  ['exposure = 1.5', 'found 1.5, accepted: a number from 0 to 1'],
  ['sticky = "session"', 'found "session", accepted: "none", "client", "user" or "application_name"'],
  ['queue_length = 0', 'found 0, accepted: an integer from 1 to 1000000'],
  ['queue_depth = 0', 'found 0, accepted: an integer from 1 to 1000000'],
  ['level = "reads"', 'found "reads", accepted: "all", "read", "write", "dml" or "ddl"'],
  ['users = "alice"', 'found "alice", accepted: a list of at least one string'],
  ['users = []', 'found an empty list, accepted: a list of at least one string'],
  ['application_names = []', 'found an empty list, accepted: a list of at least one string'],
  ['query = "("', 'found "(", accepted: a regular expression in the syntax of RE2 (no lookaround, no references back)'],
  [
    'exclude_query = "[a"',
    'found "[a", accepted: a regular expression in the syntax of RE2 (no lookaround, no references back)',
  ],
  ['max_transaction_size = 0', `found 0, accepted: an integer from 1 to ${MAX_BYTES}`],
  ['timing = "fast"', 'found "fast", accepted: "realistic" or "none"'],
  ['ordering = "causal"', 'found "causal", accepted: "session" ("causal" and "commit" are not in this version)'],
  ['ordering = "commit"', 'found "commit", accepted: "session" ("causal" and "commit" are not in this version)'],
  ['timeout = 0', `found 0, accepted: ${MILLISECONDS}`],
  ['max_lag = 0', `found 0, accepted: ${MILLISECONDS}`],
  ['compare = 1', 'found 1, accepted: true or false'],
  ['log_mismatches = 1', 'found 1, accepted: true or false'],
  ['compare_sample = 2', 'found 2, accepted: a number from 0 to 1'],
  ['control = 1', 'found 1, accepted: a string that is not empty'],
  ['allow_side_effects = "no"', 'found "no", accepted: true or false'],
  ['exposed = 1', 'found an unknown key, accepted: exposure (the nearest known key)'],
];

/** A line of [[databases]]. */
const databases: readonly (readonly [line: string, problem: string])[] = [
  ['port = 0', 'found 0, accepted: an integer from 1 to 65535'],
  ['database_name = ""', 'found "", accepted: a string that is not empty'],
  ['user = 1', 'found 1, accepted: a string that is not empty'],
  ['password = 12345', 'found a number, accepted: a string that is not empty'],
  ['password = ""', 'found an empty string, accepted: a string that is not empty'],
  ['pool_size = 0', 'found 0, accepted: an integer from 1 to 1000000'],
  ['min_pool_size = -1', 'found -1, accepted: an integer from 0 to 1000000'],
  ['pinned_pool_size = -1', 'found -1, accepted: an integer from 0 to 1000000'],
  ['pooler_mode = 1', 'found 1, accepted: "transaction", "session" or "statement"'],
  ['server_reset = 1', 'found 1, accepted: "needed" or "always"'],
  ['statement_timeout = "1s"', `found "1s", accepted: ${MILLISECONDS_OFF}`],
  ['parameters = "x"', 'found "x", accepted: a table of strings, such as { lock_timeout = "2s" }'],
  ['hots = "db"', 'found an unknown key, accepted: host (the nearest known key)'],
];

describe('a key by itself', () => {
  for (const [line, problem] of general) {
    it(`is refused in [general]: ${line}`, (t) => {
      const key = line.slice(0, line.indexOf(' '));
      assert.deepEqual(problemsOf(t, `[general]\n${line}\n${DATABASE}`), [`pgmirror.toml: general.${key}: ${problem}`]);
    });
  }

  for (const [line, problem] of mirroring) {
    it(`is refused in [[mirroring]]: ${line}`, (t) => {
      const key = line.slice(0, line.indexOf(' '));
      const entry = `[[mirroring]]\nsource_db = "app"\ndestination_db = "app_new"\n${line}`;
      assert.deepEqual(problemsOf(t, `${TWO_DATABASES}${entry}`), [
        `pgmirror.toml: mirroring[app -> app_new].${key}: ${problem}`,
      ]);
    });
  }

  for (const [line, problem] of databases) {
    it(`is refused in [[databases]]: ${line}`, (t) => {
      const key = line.slice(0, line.indexOf(' '));
      const user = key === 'password' ? 'user = "u"\n' : '';
      assert.deepEqual(problemsOf(t, `${DATABASE}${user}${line}`), [
        `pgmirror.toml: databases[app].${key}: ${problem}`,
      ]);
    });
  }
});

describe('a table', () => {
  it('is refused where a list of tables belongs, and the other way round', (t) => {
    assert.deepEqual(problemsOf(t, '[databases]\nname = "app"'), [
      'pgmirror.toml: databases: found a table, accepted: one or more [[databases]] tables',
    ]);
    assert.deepEqual(problemsOf(t, `general = 5\nadmin = [1]\ndatabases = [1]`), [
      'pgmirror.toml: general: found 5, accepted: a table of keys',
      'pgmirror.toml: admin: found a list, accepted: a table of keys',
      'pgmirror.toml: databases[#1]: found 1, accepted: a table of keys',
    ]);
    assert.deepEqual(problemsOf(t, DATABASE, '[users]\nname = "a"'), [
      'users.toml: users: found a table, accepted: one or more [[users]] tables',
    ]);
  });

  it('of an unknown name is refused with the nearest one, and with its file', (t) => {
    assert.deepEqual(problemsOf(t, `[genral]\n${DATABASE}[[mirrorings]]\n[[users]]`, '[[user]]'), [
      'pgmirror.toml: genral: found an unknown key, accepted: general (the nearest known key)',
      'pgmirror.toml: mirrorings: found an unknown key, accepted: mirroring (the nearest known key)',
      'pgmirror.toml: users: found an unknown key, accepted: general (the nearest known key); users belongs to users.toml',
      'users.toml: user: found an unknown key, accepted: users (the nearest known key)',
    ]);
  });

  it('without the keys it cannot do without is refused, by its position where it has no name', (t) => {
    assert.deepEqual(problemsOf(t, '[[databases]]\n[[mirroring]]\n'), [
      'pgmirror.toml: databases[#1].name: found nothing, accepted: a string that is not empty',
      'pgmirror.toml: databases[#1].host: found nothing, accepted: a string that is not empty',
      'pgmirror.toml: mirroring[#1].source_db: found nothing, accepted: a string that is not empty',
      'pgmirror.toml: mirroring[#1].destination_db: found nothing, accepted: a string that is not empty',
    ]);
  });

  it('of parameters takes strings alone, and none that say who connects', (t) => {
    const entry = `${DATABASE}parameters = { user = "postgres", lock_timeout = 5, work_mem = "64MB" }`;
    assert.deepEqual(problemsOf(t, entry), [
      'pgmirror.toml: databases[app].parameters.user: found "user", accepted: the name of a setting (not user, database, replication, options)',
      'pgmirror.toml: databases[app].parameters.lock_timeout: found 5, accepted: a string',
    ]);
  });

  it('may hold keys that JavaScript objects treat specially, and refuses them like any other', (t) => {
    assert.deepEqual(problemsOf(t, `[general]\n__proto__ = 1\nconstructor = 2\n${DATABASE}`), [
      'pgmirror.toml: general.__proto__: found an unknown key, accepted: port (the nearest known key)',
      'pgmirror.toml: general.constructor: found an unknown key, accepted: host (the nearest known key)',
    ]);
  });
});

describe('a reference to the environment', () => {
  it('that is not set is an error that names the key and the variable, once', (t) => {
    assert.deepEqual(
      problemsOf(
        t,
        `[general]\nlog_level = "\${LEVEL}"\n${DATABASE}user = "\${WHO}"`,
        '[[users]]\nname = "${N}"\nall_databases = true\npassword = "${P}"',
        { N: 'alice' },
      ),
      [
        'pgmirror.toml: general.log_level: found ${LEVEL}, which is not set, accepted: the name of an environment variable that is set',
        'pgmirror.toml: databases[app].user: found ${WHO}, which is not set, accepted: the name of an environment variable that is set',
        'users.toml: users[alice].password: found ${P}, which is not set, accepted: the name of an environment variable that is set',
      ],
    );
  });

  it('that is not one is an error', (t) => {
    for (const text of ['${', '${}', '${A B}', 'x${1}', '${A']) {
      assert.deepEqual(problemsOf(t, `${DATABASE}user = "${text}"`, '', { A: '1' }), [
        'pgmirror.toml: databases[app].user: found a ${ without a variable name and }, accepted: ${NAME}, or $${ for a literal ${',
      ]);
    }
  });

  it('inside lists and tables is named by its position', (t) => {
    const entry = '[[mirroring]]\nsource_db = "app"\ndestination_db = "app_new"\nusers = ["a", "${U}"]';
    assert.deepEqual(problemsOf(t, `${TWO_DATABASES}parameters = { x = "\${X}" }\n${entry}`), [
      'pgmirror.toml: databases[app_new].parameters.x: found ${X}, which is not set, accepted: the name of an environment variable that is set',
      'pgmirror.toml: mirroring[app -> app_new].users[#2]: found ${U}, which is not set, accepted: the name of an environment variable that is set',
    ]);
  });

  it('to an empty variable gives an empty string, which a key may refuse', (t) => {
    assert.deepEqual(problemsOf(t, `${DATABASE}user = "\${E}"`, '', { E: '' }), [
      'pgmirror.toml: databases[app].user: found "", accepted: a string that is not empty',
    ]);
  });
});
