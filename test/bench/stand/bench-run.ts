import type { Cleanup } from '../../support/cleanup.ts';
import { inReverse } from '../../support/cleanup.ts';

/** Runs a benchmark and undoes what it set up, also where it fails or is interrupted. */
export async function benchRun(run: (cleanup: Cleanup) => Promise<void>): Promise<void> {
  const undoing: (() => void | Promise<void>)[] = [];
  const cleanup = inReverse({ after: (undo) => void undoing.push(undo) });
  const interrupted = Promise.withResolvers<never>();
  process.once('SIGINT', () => interrupted.reject(new Error('interrupted')));
  process.once('SIGTERM', () => interrupted.reject(new Error('interrupted')));
  try {
    await Promise.race([run(cleanup), interrupted.promise]);
  } catch (error) {
    process.exitCode = 1;
    process.stderr.write(`${(error as Error).stack}\n`);
  } finally {
    for (const undo of undoing) await undo();
  }
}
