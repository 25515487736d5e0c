import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { Janitor } from '../../../src/cli/embedded/janitor.ts';
import { eventually } from '../../support/eventually.ts';
import { LeakWatch } from '../../support/leaks.ts';

const janitorFile = new URL('../../../src/cli/embedded/janitor.ts', import.meta.url).href;

/** A program that starts a process with a janitor, says what and where, and then ends as `ending` says. */
function owner(ending: string): string {
  return `
    import { spawn } from 'node:child_process';
    import { tmpdir } from 'node:os';
    const { Janitor } = await import('${janitorFile}');
    const janitor = await Janitor.start(tmpdir(), 'janitor-test-');
    const child = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
    janitor.watch(child, 'TERM');
    process.stdout.write(JSON.stringify({ folder: janitor.folder, pid: child.pid }) + '\\n', () => { ${ending} });
    child.unref();
  `;
}

describe('Janitor', () => {
  it('removes the folder with what is in it, and ends what is still listed', async () => {
    const leaks = new LeakWatch();
    const janitor = await Janitor.start(tmpdir(), 'janitor-test-');
    writeFileSync(join(janitor.folder, 'file'), 'x');
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    const exited = once(child, 'exit');
    janitor.watch(child, 'TERM');
    await janitor.close();
    assert.deepEqual(await exited, [null, 'SIGTERM']);
    assert.equal(existsSync(janitor.folder), false);
    await janitor.close();
    await leaks.assertNone();
  });

  it('lets go of a process that ended by itself', async () => {
    const leaks = new LeakWatch();
    const janitor = await Janitor.start(tmpdir(), 'janitor-test-');
    const child = spawn('true', { stdio: 'ignore' });
    janitor.watch(child, 'KILL');
    await once(child, 'exit');
    await janitor.close();
    await leaks.assertNone();
  });

  const endings = {
    'is killed': "process.kill(process.pid, 'SIGKILL')",
    throws: "throw new Error('on purpose')",
    exits: 'process.exit(0)',
    'just ends': '',
  };
  for (const [how, ending] of Object.entries(endings)) {
    it(`leaves nothing when its owner ${how}`, async () => {
      const leaks = new LeakWatch();
      const program = spawn(process.execPath, ['--input-type=module', '-e', owner(ending)], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const [said] = (await once(program.stdout, 'data')) as [Buffer];
      const { folder, pid } = JSON.parse(said.toString()) as { folder: string; pid: number };
      assert.ok(pid > 0);
      await once(program, 'exit');
      await eventually(() => !existsSync(folder), { what: 'the folder to go' });
      await leaks.assertNone();
    });
  }
});
