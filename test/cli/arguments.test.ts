import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HELP, parseArguments } from '../../src/cli/arguments.ts';

function words(line: string): string[] {
  return line === '' ? [] : line.split(' ');
}

const defaults = { config: 'pgmirror.toml', users: 'users.toml' };

describe('parseArguments', () => {
  for (const [line, command] of [
    ['', { name: 'run', ...defaults }],
    ['run', { name: 'run', ...defaults }],
    ['--config a.toml', { name: 'run', config: 'a.toml', users: 'users.toml' }],
    ['run --users=u.toml --config=a.toml', { name: 'run', config: 'a.toml', users: 'u.toml' }],
    ['--config a.toml check', { name: 'check', connect: false, config: 'a.toml', users: 'users.toml' }],
    ['check --connect', { name: 'check', connect: true, ...defaults }],
    ['demo', { name: 'demo', seconds: 20 }],
    ['demo --seconds 5', { name: 'demo', seconds: 5 }],
    ['demo --seconds=86400', { name: 'demo', seconds: 86_400 }],
    ['--help', { name: 'help' }],
    ['check --nonsense -h', { name: 'help' }],
    ['--version', { name: 'version' }],
    ['-V', { name: 'version' }],
  ] as const) {
    it(`understands "${line}"`, () => {
      assert.deepEqual(parseArguments(words(line)), command);
    });
  }

  for (const [line, reason] of [
    ['start', 'found command "start", accepted: run, check, demo'],
    ['report', 'found command "report", but this version has no report; accepted: run, check, demo'],
    ['run now', 'found "now" after run, accepted: --config FILE, --users FILE, --help, --version'],
    ['--confg a', 'found --confg, accepted: --config FILE, --users FILE, --connect, --seconds N, --help, --version'],
    ['-x', 'found -x, accepted: --config FILE, --users FILE, --connect, --seconds N, --help, --version'],
    [
      '--no-connect',
      'found --no-connect, accepted: --config FILE, --users FILE, --connect, --seconds N, --help, --version',
    ],
    ['run --connect', 'found --connect with run, accepted: --config FILE, --users FILE, --help, --version'],
    [
      'check --seconds 5',
      'found --seconds with check, accepted: --config FILE, --users FILE, --connect, --help, --version',
    ],
    ['demo --config a', 'found --config with demo, accepted: --seconds N, --help, --version'],
    ['check --connect=yes', 'found --connect=yes, accepted: --connect'],
    ['--config', 'found --config without a value, accepted: --config FILE'],
    ['--config=', 'found --config without a value, accepted: --config FILE'],
    ['--config --users u.toml', 'found --config without a value, accepted: --config FILE'],
    ['--users a --users b', 'found --users twice, accepted: once'],
    ['demo --seconds 0', 'found --seconds 0, accepted: an integer from 1 to 86400'],
    ['demo --seconds 86401', 'found --seconds 86401, accepted: an integer from 1 to 86400'],
    ['demo --seconds 1.5', 'found --seconds 1.5, accepted: an integer from 1 to 86400'],
    ['demo --seconds=-1', 'found --seconds -1, accepted: an integer from 1 to 86400'],
    ['demo --seconds ten', 'found --seconds ten, accepted: an integer from 1 to 86400'],
  ] as const) {
    it(`refuses "${line}" in one line`, () => {
      assert.deepEqual(parseArguments(words(line)), { name: 'refused', reason });
    });
  }
});

describe('the help', () => {
  it('fits one screen', () => {
    const lines = HELP.trimEnd().split('\n');
    assert.ok(lines.length <= 24, `${lines.length} lines`);
    assert.deepEqual(
      lines.filter((line) => line.length > 100),
      [],
    );
  });
});
