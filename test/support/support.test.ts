import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';

import { inReverse } from './cleanup.ts';
import { eventually, within } from './eventually.ts';
import { LeakWatch } from './leaks.ts';
import { LogLines } from './log-lines.ts';
import { machinePostgres } from './postgres.ts';
import { findProgram, runProgram, skipWithout } from './programs.ts';

describe('eventually', () => {
  it('answers what the check answered in the end', async () => {
    let attempts = 0;
    const answer = await eventually(() => (++attempts === 3 ? 'yes' : undefined), { intervalMs: 1 });
    assert.equal(answer, 'yes');
  });

  it('says what it waited for and what failed last', async () => {
    const never = (): never => {
      throw new Error('three are open');
    };
    await assert.rejects(eventually(never, { timeoutMs: 5, intervalMs: 1, what: 'none to be open' }), {
      message: 'waited 5 ms in vain for none to be open: three are open',
    });
  });

  it('takes 0 and the empty text for answers', async () => {
    assert.equal(await eventually(() => 0), 0);
    assert.equal(await eventually(() => ''), '');
  });

  it('gives a promise a deadline', async () => {
    assert.equal(await within(Promise.resolve(1), 1_000, 'one'), 1);
    await assert.rejects(within(new Promise(() => {}), 5, 'godot'), /waited 5 ms in vain for godot/);
  });
});

describe('inReverse', () => {
  it('undoes backwards, all of it, and reports the first error', async () => {
    const done: number[] = [];
    let hook: () => void | Promise<void> = () => {};
    const cleanup = inReverse({ after: (undo) => (hook = undo) });
    cleanup.after(() => void done.push(1));
    cleanup.after(() => {
      throw new Error('second');
    });
    cleanup.after(() => void done.push(3));
    await assert.rejects(async () => hook(), /second/);
    assert.deepEqual(done, [3, 1]);
  });
});

describe('LeakWatch', () => {
  it('finds files, servers and processes that were left, and is content when they are gone', async (t) => {
    const leaks = new LeakWatch();
    t.after(() => void server.close());
    t.after(() => void child.kill());
    const folder = mkdtempSync(join(leaks.folder, 'x-'));
    const server = createServer().listen(0, '127.0.0.1');
    const child = spawn('/bin/sh', ['-c', 'read -r line'], { stdio: ['pipe', 'ignore', 'ignore'] });
    for (const expected of [/^file .*x-/m, /^process .*read -r line/m, /^1 × TCPServerWrap$/m, /^1 × ProcessWrap$/m]) {
      await eventually(() => expected.test(leaks.left().join('\n')), { what: String(expected) });
    }
    rmSync(folder, { recursive: true });
    server.close();
    child.stdin.end();
    await leaks.assertNone();
  });

  it('fails when something stays', async () => {
    const leaks = new LeakWatch();
    writeFileSync(join(leaks.folder, 'forgotten'), '');
    await assert.rejects(leaks.assertNone(50), /forgotten/);
  });
});

describe('LogLines', () => {
  it('finds lines that came and lines that come, and keeps what is no JSON', async () => {
    const stream = new PassThrough();
    const log = new LogLines(stream);
    const coming = log.waitFor((line) => line.msg === 'listening');
    stream.write('not JSON\n{"msg":"listen');
    stream.write('ing","port":1}\n');
    assert.equal((await coming).port, 1);
    assert.deepEqual(log.lines[0], { msg: 'not JSON' });
    await assert.rejects(
      log.waitFor((line) => line.msg === 'listening', { from: 2, timeoutMs: 5 }),
      /in vain/,
    );
  });
});

describe('programs', () => {
  it('runs one with input, and says what is missing', async () => {
    assert.deepEqual(await runProgram('cat', [], { input: 'hello' }), { status: 0, stdout: 'hello', stderr: '' });
    assert.equal((await runProgram('/bin/sh', ['-c', 'exit 3'])).status, 3);
    assert.equal(skipWithout('sh'), false);
    assert.equal(skipWithout('sh', 'no-such-program'), 'not installed: no-such-program');
  });

  it('ends one that takes too long', async () => {
    await assert.rejects(runProgram('sleep', ['60'], { timeoutMs: 20 }), /sleep was killed/);
  });

  it(
    'finds those of the machine’s own PostgreSQL, where there is one',
    { skip: machinePostgres() === undefined },
    () => {
      assert.match(findProgram('pg_ctl') ?? '', /pg_ctl$/);
    },
  );

  it('knows no PostgreSQL where there is none', () => {
    assert.equal(machinePostgres('/nowhere'), undefined);
  });
});
