import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CONDITION_SYNTAX } from '../../src/cli/report/condition.ts';
import { HELP, parseArguments } from '../../src/cli/arguments.ts';

function words(line: string): string[] {
  return line === '' ? [] : line.split(' ');
}

const all =
  '--config FILE, --users FILE, --connect, --seconds N, --url URL, --format FORMAT, --fail-on CONDITION, ' +
  '--min-calls N, --explain FINGERPRINT, --help, --version';
const report = { name: 'report', url: undefined, format: 'table', failOn: [], minCalls: undefined, explain: undefined };
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
    ['report', { ...report, ...defaults }],
    ['report --config=a.toml --format markdown', { ...report, ...defaults, config: 'a.toml', format: 'markdown' }],
    [
      'report --url http://localhost:9090 --min-calls 100 --fail-on p95_ratio>1.2 --fail-on=error_new>=1',
      {
        ...report,
        ...defaults,
        url: 'http://localhost:9090',
        minCalls: 100,
        failOn: [
          { text: 'p95_ratio>1.2', measure: 'p95_ratio', operator: '>', bound: 1.2 },
          { text: 'error_new>=1', measure: 'error_new', operator: '>=', bound: 1 },
        ],
      },
    ],
    ['report --explain 0123456789abcdef', { ...report, ...defaults, explain: '0123456789abcdef' }],
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
    ['start', 'found command "start", accepted: run, check, report, demo'],
    ['run now', 'found "now" after run, accepted: --config FILE, --users FILE, --help, --version'],
    ['--confg a', `found --confg, accepted: ${all}`],
    ['-x', `found -x, accepted: ${all}`],
    ['--no-connect', `found --no-connect, accepted: ${all}`],
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
    ['report --url localhost:9090', 'found --url localhost:9090, accepted: an http:// or https:// address'],
    ['report --url http://x --config a', 'found --config and --url, accepted: one of them'],
    ['report --format pdf', 'found --format pdf, accepted: table, json, markdown, html'],
    ['report --fail-on speed>1', `found --fail-on speed>1, accepted: ${CONDITION_SYNTAX}`],
    ['report --fail-on p95_ratio', `found --fail-on p95_ratio, accepted: ${CONDITION_SYNTAX}`],
    ['report --min-calls many', 'found --min-calls many, accepted: an integer'],
    ['report --explain x', 'found --explain x, accepted: a fingerprint, 16 hexadecimal digits'],
    [
      'report --explain 0123456789abcdef --url http://x',
      'found --explain with --url, accepted: --explain with --config, for the admin login',
    ],
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
