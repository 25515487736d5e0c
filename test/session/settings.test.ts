import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ParameterSet } from '../../src/session/parameter-set.ts';
import { isSettable, settingsStatement } from '../../src/session/settings.ts';

function setOf(parameters: Readonly<Record<string, string>>): ParameterSet {
  return new ParameterSet(new Map(Object.entries(parameters)));
}

describe('the statement that gives a session its settings', () => {
  it('is empty where nothing differs', () => {
    assert.equal(settingsStatement(setOf({ a: '1' }), setOf({ a: '1' })), '');
    assert.equal(settingsStatement(ParameterSet.empty, ParameterSet.empty), '');
  });

  it('sets what is wanted and not there, or there with another value, in one SELECT', () => {
    const sql = settingsStatement(setOf({ a: '1', b: '2' }), setOf({ a: '1', b: '3', c: '4' }));
    assert.equal(sql, "SELECT pg_catalog.set_config('b', '3', false), pg_catalog.set_config('c', '4', false)");
  });

  it('resets what is not wanted any more, before it sets', () => {
    const sql = settingsStatement(setOf({ timezone: 'UTC', work_mem: '4MB' }), setOf({ datestyle: 'ISO' }));
    assert.equal(sql, `RESET "timezone"; RESET "work_mem"; SELECT pg_catalog.set_config('datestyle', 'ISO', false)`);
  });

  it('quotes values and names, so that nobody says more with them than a value', () => {
    const sql = settingsStatement(setOf({ 'my.we"ird': '1' }), setOf({ search_path: `"a'b", c:\\d; drop table t` }));
    assert.equal(
      sql,
      `RESET "my"."we""ird"; SELECT pg_catalog.set_config('search_path',  E'"a''b", c:\\\\d; drop table t', false)`,
    );
  });

  it('says letters that are others in another encoding by their UTF-8', () => {
    assert.equal(
      settingsStatement(ParameterSet.empty, setOf({ 'my.name': 'ü' })),
      "SELECT pg_catalog.set_config('my.name', pg_catalog.convert_from(pg_catalog.decode('c3bc', 'hex'), 'UTF8'), false)",
    );
  });

  it('sets more than a result may have columns in several of them', () => {
    const names = Array.from({ length: 2_500 }, (_, at) => [`my.p${at}`, '1'] as const);
    const selects = settingsStatement(ParameterSet.empty, setOf(Object.fromEntries(names))).split('; ');
    assert.deepEqual(
      selects.map((select) => select.split('set_config').length - 1),
      [1_000, 1_000, 500],
    );
  });

  it('sets an empty value', () => {
    assert.equal(
      settingsStatement(ParameterSet.empty, setOf({ application_name: '' })),
      "SELECT pg_catalog.set_config('application_name', '', false)",
    );
  });
});

describe('a reported parameter', () => {
  it('can be given to another session unless the server alone decides it', () => {
    for (const name of ['TimeZone', 'client_encoding', 'application_name', 'DateStyle', 'search_path', 'role']) {
      assert.equal(isSettable(name), true, name);
    }
    for (const name of ['server_version', 'Server_Encoding', 'integer_datetimes', 'is_superuser', 'in_hot_standby']) {
      assert.equal(isSettable(name), false, name);
    }
    assert.equal(isSettable('session_authorization'), false);
  });
});
