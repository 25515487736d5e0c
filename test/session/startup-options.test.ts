import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startupOptions } from '../../src/session/startup-options.ts';

/** The settings of a client with these command-line options. */
function settingsOf(options: string): [string, string][] {
  return [...startupOptions(new Map([['options', options]])).settings];
}

describe('the parameters of a StartupMessage', () => {
  it('are settings but for user, database, replication and options', () => {
    const { settings, protocolOptions } = startupOptions(
      new Map([
        ['user', 'anna'],
        ['database', 'shop'],
        ['replication', 'false'],
        ['options', ''],
        ['application_name', 'till'],
        ['TimeZone', 'UTC'],
      ]),
    );
    assert.deepEqual(
      [...settings],
      [
        ['application_name', 'till'],
        ['timezone', 'UTC'],
      ],
    );
    assert.deepEqual(protocolOptions, []);
  });

  it('whose names begin with _pq_. are options of the protocol', () => {
    const { settings, protocolOptions } = startupOptions(
      new Map([
        ['_pq_.compression', 'on'],
        ['_pq_.other', ''],
      ]),
    );
    assert.deepEqual([settings.size, protocolOptions], [0, ['_pq_.compression', '_pq_.other']]);
  });

  it('win over the same setting in the options', () => {
    const { settings } = startupOptions(
      new Map([
        ['application_name', 'own'],
        ['options', '-c application_name=option -c work_mem=4MB'],
      ]),
    );
    assert.equal(settings.get('application_name'), 'own');
    assert.equal(settings.get('work_mem'), '4MB');
  });
});

describe('command-line options of a StartupMessage', () => {
  const cases: readonly (readonly [string, string, readonly (readonly [string, string])[]])[] = [
    ['nothing', '', []],
    ['white space', ' \t\n ', []],
    ['-c with its setting', '-c work_mem=4MB', [['work_mem', '4MB']]],
    ['-c and its setting written together', '-cwork_mem=4MB', [['work_mem', '4MB']]],
    ['a long option', '--work_mem=4MB', [['work_mem', '4MB']]],
    [
      'dashes in a name',
      '--search-path=a -c statement-timeout=5',
      [
        ['search_path', 'a'],
        ['statement_timeout', '5'],
      ],
    ],
    ['capitals in a name', '-c TimeZone=UTC', [['timezone', 'UTC']]],
    ['an empty value', '-c search_path=', [['search_path', '']]],
    ['a value with an equals sign', '-c a=b=c', [['a', 'b=c']]],
    ['a value with dashes', '--application-name=a-b', [['application_name', 'a-b']]],
    ['a space behind a backslash', '-c application_name=a\\ b', [['application_name', 'a b']]],
    ['a backslash behind a backslash', '-c a=b\\\\c', [['a', 'b\\c']]],
    ['a backslash before another character', '-c a=b\\nc', [['a', 'bnc']]],
    ['a backslash at the end, which escapes nothing and goes', '-c a=b\\', [['a', 'b']]],
    [
      'several kinds of white space',
      '-c\ta=1\n\v-c\f b=2\r',
      [
        ['a', '1'],
        ['b', '2'],
      ],
    ],
    ['a space that is none to C, as it is part of the value', '-c a=b\u00a0c', [['a', 'b\u00a0c']]],
    ['quotes, which mean nothing', `-c a='b'`, [['a', `'b'`]]],
    ['one setting twice, of which the last counts', '-c a=1 -c a=2', [['a', '2']]],
  ];
  for (const [what, options, expected] of cases) {
    it(`are understood as PostgreSQL does: ${what}`, () => assert.deepEqual(settingsOf(options), expected));
  }

  for (const options of ['-c', '-c work_mem', 'work_mem=4MB', '-x', '--', '--=1', '-c =1', '-d 5']) {
    it(`are refused where they set nothing: ${options}`, () => {
      assert.throws(() => settingsOf(options), /^Error: invalid command-line argument for server process: /);
    });
  }
});
