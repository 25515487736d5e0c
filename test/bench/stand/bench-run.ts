import type { Cleanup } from '../../support/cleanup.ts';
import { inReverse } from '../../support/cleanup.ts';

/** Runs a part of a benchmark and undoes what it set up, also where it fails. */
export async function scoped<T>(run: (cleanup: Cleanup) => Promise<T>): Promise<T> {
  const undoing: (() => void | Promise<void>)[] = [];
  const cleanup = inReverse({ after: (undo) => void undoing.push(undo) });
  try {
    return await run(cleanup);
  } finally {
    for (const undo of undoing) await undo();
  }
}

/** Runs a benchmark, also to its orderly end where it fails or is interrupted; says why, and sets the exit status. */
export async function benchRun(run: (cleanup: Cleanup) => Promise<void>): Promise<void> {
  const interrupted = Promise.withResolvers<never>();
  process.once('SIGINT', () => interrupted.reject(new Error('interrupted')));
  process.once('SIGTERM', () => interrupted.reject(new Error('interrupted')));
  interrupted.promise.catch(() => undefined);
  try {
    await scoped(async (cleanup) => Promise.race([run(cleanup), interrupted.promise]));
  } catch (error) {
    process.exitCode = 1;
    process.stderr.write(`${(error as Error).stack}\n`);
  }
}
