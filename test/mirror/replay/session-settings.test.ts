import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  FRESH_LOGIN,
  isDecisive,
  SessionSettings,
  settingsChanges,
} from '../../../src/mirror/replay/session-settings.ts';
import { SettingsRegistry } from '../../../src/mirror/replay/settings-registry.ts';

function changes(from: Record<string, string> | undefined, to: Record<string, string>, oneByOne = false): string[] {
  const settings = (values: Record<string, string>): SessionSettings =>
    new SessionSettings(new Map(Object.entries(values)));
  const options = { oneByOne, fixed: new Set(['held']) };
  return settingsChanges(from && settings(from), settings(to), options).map(({ sql }) => sql);
}

it('what is new is set in one query, what is gone is reset, what stays is left alone', () => {
  assert.deepEqual(changes({}, { a: '1', 'ext.b': `it's` }), [
    `SELECT pg_catalog.set_config('a', '1', false), pg_catalog.set_config('ext.b', 'it''s', false)`,
  ]);
  assert.deepEqual(changes({ a: '1', 'ext.b': '2', c: '3' }, { a: '1', c: '4' }), [
    'RESET "ext"."b"',
    `SELECT pg_catalog.set_config('c', '4', false)`,
  ]);
  assert.deepEqual(changes({ a: '1' }, { a: '1' }), []);
});

it('roles are reset before and set after all else', () => {
  assert.deepEqual(changes({ role: 'x' }, { role: 'y', client_encoding: 'LATIN1', a: '1' }), [
    'RESET SESSION AUTHORIZATION; RESET ROLE',
    `SELECT pg_catalog.set_config('a', '1', false), pg_catalog.set_config('client_encoding', 'LATIN1', false), pg_catalog.set_config('role', 'y', false)`,
  ]);
});

it('values keep their letters whatever the encoding of the connection is', () => {
  assert.deepEqual(changes({}, { 'my.name': 'ü' }), [
    `SELECT pg_catalog.set_config('my.name', pg_catalog.convert_from(pg_catalog.decode('c3bc', 'hex'), 'UTF8'), false)`,
  ]);
});

it('from a state that is not known everything is reset first', () => {
  const [reset] = changes(undefined, {});
  assert.equal(reset, 'RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL');
});

it('one by one each setting is a query of its own', () => {
  assert.equal(changes(undefined, { a: '1', b: '2' }, true).length, 3);
});

it('what the mirror’s configuration holds is not set', () => {
  assert.deepEqual(changes({}, { held: '1' }), []);
});

it('sessions in the same state share it', () => {
  const registry = new SettingsRegistry();
  const first = registry.acquire(
    new Map([
      ['a', '1'],
      ['b', '2'],
    ]),
  );
  assert.equal(
    registry.acquire(
      new Map([
        ['b', '2'],
        ['a', '1'],
      ]),
    ),
    first,
  );
  assert.equal(registry.acquire(new Map()), FRESH_LOGIN);
  registry.release(FRESH_LOGIN);
  registry.release(first);
  assert.equal(
    registry.acquire(
      new Map([
        ['a', '1'],
        ['b', '2'],
      ]),
    ),
    first,
  );
  registry.release(first);
  registry.release(first);
  assert.notEqual(
    registry.acquire(
      new Map([
        ['a', '1'],
        ['b', '2'],
      ]),
    ),
    first,
  );
});

it('standard_conforming_strings is known', () => {
  assert.equal(FRESH_LOGIN.standardConformingStrings, true);
  assert.equal(new SessionSettings(new Map([['standard_conforming_strings', 'off']])).standardConformingStrings, false);
});

it('without role, session authorization, search_path and row_security nothing is run, without others it is', () => {
  const names = ['role', 'session_authorization', 'search_path', 'row_security', 'TimeZone', 'statement_timeout'];
  assert.deepEqual(names.filter(isDecisive), names.slice(0, 4));
});
