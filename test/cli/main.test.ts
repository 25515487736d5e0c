import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { HELP } from '../../src/cli/arguments.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Runs the program in an empty directory. */
function pgmirror(t: TestContext, words: readonly string[], nodeOptions: readonly string[] = []) {
  const directory = mkdtempSync(join(tmpdir(), 'pgmirror-main-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const ran = spawnSync(process.execPath, [...nodeOptions, MAIN, ...words], {
    cwd: directory,
    encoding: 'utf8',
    timeout: 30_000,
    env: {},
  });
  return { status: ran.status, stdout: ran.stdout, stderr: ran.stderr };
}

describe('pgmirror', () => {
  it('prints its help', (t) => {
    assert.deepEqual(pgmirror(t, ['--help']), { status: 0, stdout: HELP, stderr: '' });
  });

  it('prints its version, which is the package’s', (t) => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    assert.deepEqual(pgmirror(t, ['--version']), { status: 0, stdout: `pgmirror ${version}\n`, stderr: '' });
  });

  it('ends with status 2 and one line for arguments that it does not know', (t) => {
    assert.deepEqual(pgmirror(t, ['start']), {
      status: 2,
      stdout: '',
      stderr: 'pgmirror: found command "start", accepted: run, check, report, demo (pgmirror --help)\n',
    });
  });

  it('ends with status 2 for a report of nobody knows what', (t) => {
    const { status, stderr } = pgmirror(t, ['report']);
    assert.equal(status, 2);
    assert.match(stderr, /pgmirror\.toml: found no such file/);
  });

  it('ends check with status 2 and no stack trace where the files are not there', (t) => {
    assert.deepEqual(pgmirror(t, ['check']), {
      status: 2,
      stdout: [
        'pgmirror.toml: found no such file, accepted: a pgmirror.toml (another path: --config FILE)',
        'users.toml: found no such file, accepted: a users.toml with [[users]] tables, or an empty one (another path: --users FILE)',
        'pgmirror.toml, users.toml: refused (2 problems)',
        '',
      ].join('\n'),
      stderr: '',
    });
  });

  it('says in one line that Node.js is too old, before anything else is loaded', (t) => {
    for (const version of ['20.20.2', '22.11.0']) {
      const versions = `{ value: { ...process.versions, node: '${version}' } }`;
      const older = `data:text/javascript,Object.defineProperty(process, 'versions', ${versions})`;
      assert.deepEqual(pgmirror(t, ['--version'], ['--import', older]), {
        status: 1,
        stdout: '',
        stderr: `pgmirror needs Node.js 22.12 or newer, found ${version}\n`,
      });
    }
  });
});
