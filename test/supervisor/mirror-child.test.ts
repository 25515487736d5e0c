import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { MirrorChild } from '../../src/supervisor/mirror-child.ts';
import { PreparedLedger } from '../../src/supervisor/prepared-ledger.ts';
import { eventually } from '../support/eventually.ts';

const config = {
  targets: [],
  sourceLogins: [],
  instance: 'one',
  logLevel: 'fatal',
  queueBytes: 1_048_576,
  report: { queries: 10, statements: 'none' },
} as const;

describe('a mirror process that ends', () => {
  it('is started again when there is room for a process, and not before, at no cost to its parent', async (t) => {
    const paths: (string | undefined)[] = [];
    const told: string[] = [];
    const logger = pino({}, { write: (line: string) => void told.push((JSON.parse(line) as { msg: string }).msg) });
    const child = new MirrorChild(config, {
      logger,
      onPath: (path) => paths.push(path),
      prepared: new PreparedLedger(),
    });
    t.after(async () => child.stop());
    await eventually(() => paths.length === 1, { timeoutMs: 30_000 });
    // As without memory, spawn() throws where the environment is longer than the system takes.
    t.after(() => delete process.env.PGMIRROR_LONG);
    process.env.PGMIRROR_LONG = 'x'.repeat(4 * 1_048_576);
    process.kill(child.processId ?? 0, 'SIGKILL');
    await eventually(() => told.filter((line) => line === 'mirror process could not be started').length === 2);
    assert.equal(child.path, undefined);
    delete process.env.PGMIRROR_LONG;
    await eventually(() => paths.length === 3, { timeoutMs: 30_000 });

    // Who tidies up temporary folders takes them for left over.
    rmSync(dirname(child.path ?? ''), { recursive: true });
    process.kill(child.processId ?? 0, 'SIGKILL');
    await eventually(() => paths.length === 5, { timeoutMs: 30_000 });
    assert.deepEqual(
      paths.map((path) => path !== undefined),
      [true, false, true, false, true],
    );
  });
});
