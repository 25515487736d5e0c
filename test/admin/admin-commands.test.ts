import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { AdminAnswer } from '../../src/admin/admin-answer.ts';
import { runAdminCommand } from '../../src/admin/admin-commands.ts';
import { DROP_REASONS } from '../../src/mirror/record/drop-reason-names.ts';
import { fakeHost, mirrorView } from './admin-bench.ts';

/** The rows of an answer, by column. */
function table(answer: AdminAnswer): Record<string, unknown>[] {
  assert.ok(answer.kind === 'rows', JSON.stringify(answer));
  for (const row of answer.rows) assert.equal(row.length, answer.columns.length);
  return answer.rows.map((row) => Object.fromEntries(answer.columns.map(({ name }, at) => [name, row[at]])));
}

async function show(t: TestContext, command: string, host = fakeHost(t)): Promise<Record<string, unknown>[]> {
  return table(await runAdminCommand(host, command));
}

describe('commands of the admin database', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['RELOAD', 'RELOAD', 'reload'],
    ['shutdown', 'SHUTDOWN', 'shutdown'],
    ['reset   stats', 'RESET', 'resetStats'],
    ['SET exposure = 0.1 FOR MIRROR app_new', 'SET', 'setExposure app_new 0.1'],
    ['set exposure to 0.25 for mirror "app_new"', 'SET', 'setExposure app_new 0.25'],
    ["SET exposure='1' FOR MIRROR käse", 'SET', 'setExposure käse 1'],
    ['SET mirror_exposure = 0', 'SET', 'setGeneral mirror_exposure 0'],
    ['set MIRROR_EXPOSURE to 1e-3', 'SET', 'setGeneral mirror_exposure 0.001'],
    ['SET default_pool_size = 20', 'SET', 'setGeneral default_pool_size 20'],
    ["set pooler_mode to 'session'", 'SET', 'setGeneral pooler_mode session'],
    ['SET log_connections=off', 'SET', 'setGeneral log_connections false'],
    ['SET cancel_on_disconnect = 1', 'SET', 'setGeneral cancel_on_disconnect true'],
    ["SET max_client_conn = '5'", 'SET', 'setGeneral max_client_connections 5'],
    ['SET pool_mode = Statement', 'SET', 'setGeneral pooler_mode statement'],
    ['DISABLE MIRROR app_new', 'DISABLE', 'setEnabled app_new false'],
    ['enable mirror app_new', 'ENABLE', 'setEnabled app_new true'],
    ['PAUSE', 'PAUSE', 'pause '],
    ['PAUSE app', 'PAUSE', 'pause app'],
    ['RESUME', 'RESUME', 'resume all'],
    ['RECONNECT "app"', 'RECONNECT', 'reconnect app'],
    ['KILL app', 'KILL', 'kill app'],
  ];
  for (const [command, tag, call] of cases) {
    it(`do what they say: ${command}`, async (t) => {
      const host = fakeHost(t);
      assert.deepEqual(await runAdminCommand(host, `  ${command} `), { kind: 'done', tag });
      assert.deepEqual(host.calls, [call]);
    });
  }

  for (const command of [
    "SET application_name = 'psql'",
    'set session client_encoding to utf8',
    'SET extra_float_digits = 3',
    "set DateStyle to 'ISO'",
  ]) {
    it(`take what drivers set before they ask anything: ${command}`, async (t) => {
      const host = fakeHost(t);
      assert.deepEqual([await runAdminCommand(host, command), host.calls], [{ kind: 'done', tag: 'SET' }, []]);
    });
  }
});

describe('RELOAD', () => {
  it('names what was changed and is not applied before the next start', async (t) => {
    const reload = () => Promise.resolve({ atNextStart: ['general.port', 'admin.password'], late: [] });
    assert.deepEqual(await runAdminCommand(fakeHost(t, { reload }), 'RELOAD'), {
      kind: 'done',
      tag: 'RELOAD',
      notice: 'changed, and applied at the next start: general.port, admin.password',
    });
  });

  it('names the threads that have not applied it yet', async (t) => {
    const reload = (atNextStart: string[]) => () => Promise.resolve({ atNextStart, late: [0, 2] });
    const late = 'not applied yet by pooler threads that do not answer: 0, 2';
    for (const [keys, notice] of [
      [[], late],
      [['general.port'], `changed, and applied at the next start: general.port; ${late}`],
    ] as const) {
      const answer = await runAdminCommand(fakeHost(t, { reload: reload([...keys]) }), 'RELOAD');
      assert.deepEqual(answer, { kind: 'done', tag: 'RELOAD', notice });
    }
  });
});

describe('a command that is wrong', () => {
  const cases: readonly (readonly [string, string, string, RegExp])[] = [
    ['SELECT 1', '42601', 'unknown command: SELECT 1', /^Commands are: SHOW name, RELOAD, .*ENABLE MIRROR name/],
    ['RELOAD now', '42601', 'unknown command: RELOAD now', /^Commands are/],
    ['SHOW', '42601', 'unknown command: SHOW', /^Commands are/],
    ['SHOW MIRORS', '42704', 'unrecognized SHOW: MIRORS', /^Perhaps you meant SHOW MIRRORS\.$/],
    ['SHOW STAT', '42704', 'unrecognized SHOW: STAT', /^Perhaps you meant SHOW STATS\.$/],
    ['SHOW tables', '42704', 'unrecognized SHOW: tables', /^SHOW knows MIRRORS, .*VERSION, HELP\.$/],
    ['SHOW DATA', '42704', 'unrecognized SHOW: DATA', /^SHOW knows MIRRORS/],
    ['SHOW nothing_like_it', '42704', 'unrecognized SHOW: nothing_like_it', /SHOW/],
    ['SET exposure = 2 FOR MIRROR app_new', '22023', 'invalid exposure: 2', /from 0 to 1/],
    ['SET exposure = -0.1 FOR MIRROR app_new', '22023', 'invalid exposure: -0.1', /from 0 to 1/],
    ['SET mirror_exposure = half', '22023', 'invalid value for "mirror_exposure": half', /^Accepted: a number from 0/],
    ["SET mirror_exposure = ''", '22023', 'invalid value for "mirror_exposure": ', /from 0 to 1/],
    ['SET query_timeout = 1s', '22023', 'invalid value for "query_timeout": 1s', /milliseconds, 0: off/],
    ['SET pooler_mode = any', '22023', 'invalid value for "pooler_mode": any', /"session" or "statement"/],
    ['SET min_pool_size = 11', '22023', 'invalid value for "min_pool_size": 11', /^default_pool_size is 10/],
    ['SET workers = 2', '55P02', '"workers" cannot be changed while pgmirror runs', /at the start alone/],
    ['SET auth_type = trust', '55P02', '"auth_type" cannot be changed by SET', /then RELOAD\.$/],
    ['SET tls_verify = require', '55P02', '"tls_verify" cannot be changed by SET', /then RELOAD\.$/],
    ['SET pool_size = 5', '42704', 'unrecognized configuration parameter "pool_size"', /_pool_size\.$/],
    ['SET exposure = 1', '42704', 'unrecognized configuration parameter "exposure"', /mirror_exposure\.$/],
    ['SET constructor = 1', '42704', 'unrecognized configuration parameter "constructor"', /nearest key/],
    ['DISABLE MIRROR nope', '42704', 'mirror "nope" does not exist', /^Mirrors are: app_new, käse\.$/],
    ['DISABLE MIRROR "app""new"', '42704', 'mirror "app"new" does not exist', /^Mirrors are/],
    ['SET exposure = 1 FOR MIRROR app', '42704', 'mirror "app" does not exist', /^Mirrors are/],
    ['PAUSE nope', '3D000', 'database "nope" does not exist', /^Databases are: app, app_new, käse\.$/],
  ];
  for (const [command, code, message, hint] of cases) {
    it(`changes nothing and says what is accepted: ${command}`, async (t) => {
      const host = fakeHost(t);
      const answer = await runAdminCommand(host, command);
      assert.ok(answer.kind === 'error');
      assert.deepEqual([answer.code, answer.message, host.calls], [code, message, []]);
      assert.match(answer.hint ?? '', hint);
    });
  }

  it('is not repeated at length', async (t) => {
    const answer = await runAdminCommand(fakeHost(t), 'x'.repeat(10_000));
    assert.ok(answer.kind === 'error' && answer.message.length < 130);
  });

  it('has no mirrors to name where there are none', async (t) => {
    const host = fakeHost(t);
    const answer = await runAdminCommand({ ...host, config: { ...host.config, mirroring: [] } }, 'ENABLE MIRROR a');
    assert.ok(answer.kind === 'error');
    assert.equal(answer.hint, 'There are no mirrors.');
  });
});

describe('a command that fails', () => {
  it('is answered with the reason: RELOAD with that of the file', async (t) => {
    const reload = (): Promise<never> => Promise.reject(new Error('pgmirror.toml: general.port: found 0'));
    assert.deepEqual(await runAdminCommand(fakeHost(t, { reload }), 'RELOAD'), {
      kind: 'error',
      code: 'F0000',
      message: 'configuration not reloaded: pgmirror.toml: general.port: found 0',
    });
  });

  it('is answered with the reason: any other as an internal error', async (t) => {
    const resetStats = (): Promise<void> => Promise.reject(new Error('the mirror process is gone'));
    assert.deepEqual(await runAdminCommand(fakeHost(t, { resetStats }), 'RESET STATS'), {
      kind: 'error',
      code: 'XX000',
      message: 'the mirror process is gone',
    });
  });
});

describe('SHOW MIRRORS', () => {
  it('begins with the columns that others show, then what only pgmirror knows', async (t) => {
    const answer = await runAdminCommand(fakeHost(t), 'SHOW MIRRORS');
    assert.ok(answer.kind === 'rows');
    const names = answer.columns.map(({ name }) => name);
    assert.deepEqual(names.slice(0, 13), [
      ...['database', 'user', 'total_count', 'mirrored_count', 'dropped_count', 'error_count', 'queue_length'],
      ...['destination', 'state', 'reason', 'exposure', 'lag_ms', 'queued_bytes'],
    ]);
    DROP_REASONS.forEach((reason, index) => assert.ok(names[13 + index]?.endsWith(reason), reason));
  });

  it('has no two columns of one name', async (t) => {
    const answer = await runAdminCommand(fakeHost(t), 'SHOW MIRRORS');
    assert.ok(answer.kind === 'rows');
    const names = answer.columns.map(({ name }) => name);
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      [],
    );
  });

  it('sums up what is counted', async (t) => {
    const dropped = DROP_REASONS.map((_, index) => index);
    const sum = dropped.reduce((a, b) => a + b, 0);
    const view = mirrorView({
      ...{ total: 100 + sum, replayed: 60, failed: 20, timedOut: 10, queueLength: 10, queuedBytes: 1_234, dropped },
      ...{ state: 'refused', reason: 'in recovery', exposure: 0.25, lagMs: 12.345_678 },
    });
    const answer = await runAdminCommand(fakeHost(t, { mirrors: () => Promise.resolve([view]) }), 'SHOW MIRRORS');
    assert.ok(answer.kind === 'rows');
    assert.deepEqual(answer.rows[0]?.slice(0, 13 + dropped.length), [
      ...['app', 'anna', 100 + sum, 90, sum, 30, 10],
      ...['app_new', 'refused', 'in recovery', 0.25, 12.346, 1_234],
      ...dropped,
    ]);
  });

  it('has no latency where nothing was measured', async (t) => {
    const none = { p50: NaN, p95: NaN, p99: NaN };
    const view = mirrorView({ latencyMs: { source: none, mirror: { ...none, p50: 1.5 } } });
    const mirrors = () => Promise.resolve([view, mirrorView()]);
    const rows = await show(t, 'SHOW MIRRORS', fakeHost(t, { mirrors }));
    assert.deepEqual(
      rows.map((row) => [row.source_p50_ms, row.mirror_p50_ms]),
      [
        [null, 1.5],
        [null, null],
      ],
    );
  });
});

describe('the other tables', () => {
  it('are there where nothing runs: SHOW knows each that SHOW HELP names', async (t) => {
    const help = await show(t, 'SHOW HELP');
    const names = help.map(({ command }) => String(command));
    assert.ok(names.includes('SHOW MIRRORS') && names.includes('RELOAD'));
    for (const name of names.filter((command) => command.startsWith('SHOW '))) await show(t, name.toLowerCase());
  });

  it('tell the version', async (t) => {
    assert.deepEqual(await show(t, 'SHOW VERSION'), [{ version: 'pgmirror 1.2.3' }]);
  });

  it('tell the configuration, with defaults and what may change', async (t) => {
    const rows = await show(t, 'SHOW CONFIG');
    const row = (key: string): unknown => rows.find((one) => one.key === key);
    assert.deepEqual(row('mirror_exposure'), { key: 'mirror_exposure', value: '0.5', default: '1', changeable: 'yes' });
    assert.deepEqual(row('port'), { key: 'port', value: '6432', default: '6432', changeable: 'no' });
  });
});
