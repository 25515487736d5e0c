import assert from 'node:assert/strict';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import { inReverse } from '../../support/cleanup.ts';
import { within } from '../../support/eventually.ts';
import { LeakWatch } from '../../support/leaks.ts';
import { mainFile } from '../../support/main-file.ts';
import { runProgram } from '../../support/programs.ts';

/** The demo in a process of its own, and what it has written. */
interface RunningDemo {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  readonly exited: Promise<unknown[]>;
  /** Resolves when its output contains this. */
  wrote(text: string): Promise<void>;
  output(): string;
}

/** What it leaves behind, and has not taken away so soon after its end, is an error. */
function startDemo(t: TestContext, seconds: number, tidyWithinMs?: number): RunningDemo {
  const cleanup = inReverse(t);
  LeakWatch.during(cleanup, tidyWithinMs);
  const child = spawn(process.execPath, [mainFile, 'demo', '--seconds', String(seconds)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let wakeUp = (): void => {};
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      wakeUp();
    });
  }
  const exited = once(child, 'close');
  cleanup.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const wrote = async (text: string): Promise<void> => {
    while (!output.includes(text)) {
      const more = new Promise<void>((resolve) => (wakeUp = resolve));
      await within(Promise.race([more, exited]), 30_000, `"${text}" after ${output}`);
      assert.ok(output.includes(text) || child.exitCode === null, output);
    }
  };
  return { child, exited, wrote, output: () => output };
}

describe('the demo', () => {
  it('ends with status 0 when both databases hold the same rows, and leaves nothing behind', async (t) => {
    // Too few for a report: it goes on until one query is known to be slower.
    const demo = startDemo(t, 1);
    const [status] = await within(demo.exited, 120_000, 'the demo to end');
    assert.equal(status, 0, demo.output());
    assert.match(demo.output(), /Both databases hold the same rows\./);
    assert.match(demo.output(), /replayed on the mirror +[\d ]+ 100\.0 %/);
    assert.match(demo.output(), /slower on the mirror \(the worst [\d.]+× at p[59][05]\)/);
    assert.match(demo.output(), /SELECT o\.id, o\.status, sum\(/);
    assert.match(demo.output(), /% of [\d ]+ answers verified, 0 not the same/);
  });

  for (const [signal, what, when] of [
    ['SIGINT', 'while it runs', '2 s'],
    ['SIGTERM', 'while it runs', '2 s'],
    ['SIGINT', 'while it still starts', 'starting'],
    ['SIGTERM', 'while it still starts', 'starting'],
  ] as const) {
    it(`stops everything it started after ${signal} ${what}, and does not call that a success`, async (t) => {
      const demo = startDemo(t, 60);
      await demo.wrote(when);
      demo.child.kill(signal);
      const [status] = await within(demo.exited, 60_000, 'the demo to end');
      assert.equal(status, 1, demo.output());
      assert.match(demo.output(), /interrupted: stopping what was started\n$/);
    });
  }

  it('says so when pgmirror ends before it is told to', async (t) => {
    const demo = startDemo(t, 60);
    await demo.wrote('1 s');
    const children = await runProgram('ps', ['-A', '-o', 'ppid=,pid=,args=']);
    const isPgmirror = new RegExp(`^ *${demo.child.pid} +(\\d+) .*main\\.[jt]s run`, 'm');
    process.kill(Number(isPgmirror.exec(children.stdout)?.[1]), 'SIGKILL');
    const [status] = await within(demo.exited, 60_000, 'the demo to end');
    assert.equal(status, 1, demo.output());
    assert.match(demo.output(), /pgmirror ended while the demo ran; the last lines of pgmirror's log:\n {2}\{/);
  });

  it('leaves nothing behind even when it is killed', async (t) => {
    const demo = startDemo(t, 60, 15_000);
    await demo.wrote('1 s');
    demo.child.kill('SIGKILL');
    await demo.exited;
  });
});
