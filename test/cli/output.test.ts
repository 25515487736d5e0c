import assert from 'node:assert/strict';
import { spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import { mainFile } from '../support/main-file.ts';
import { skipWithoutProc } from '../support/processes.ts';

describe('Output', () => {
  /** Runs `--help` with this as its standard output. */
  async function help(output: 'pipe' | number): Promise<{ status: unknown; stderr: string }> {
    const stdio: StdioOptions = ['ignore', output, 'pipe'];
    const child = spawn(process.execPath, [mainFile, '--help'], { stdio });
    child.stdout?.destroy();
    assert.ok(child.stderr !== null);
    const [[status], stderr] = await Promise.all([once(child, 'close'), text(child.stderr)]);
    return { status, stderr };
  }

  it('that nobody reads to its end is no failure', async () => {
    assert.deepEqual(await help('pipe'), { status: 0, stderr: '' });
  });

  it('that cannot be written is one, in a line', { skip: skipWithoutProc }, async () => {
    const full = openSync('/dev/full', 'w');
    const { status, stderr } = await help(full);
    closeSync(full);
    assert.equal(status, 1);
    assert.match(stderr, /^pgmirror: the output cannot be written: ENOSPC[^\n]*\n$/);
  });
});
