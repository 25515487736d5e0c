import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread, threadId } from 'node:worker_threads';

/**
 * To be loaded into a pgmirror with `--import`: notes how late each of its pooler threads' event loops is, in a file for each
 * in the folder that the environment variable PGMIRROR_LOOP_DELAYS names. Milliseconds, from the last time that the file was
 * written.
 */
const folder = process.env.PGMIRROR_LOOP_DELAYS;
const RESOLUTION_MS = 1;

if (!isMainThread && folder !== undefined) {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  setInterval(() => {
    // What is measured is how long it takes from one reading to the next.
    const late = (share: number): number => Math.max(0, delays.percentile(share) / 1e6 - RESOLUTION_MS);
    writeFileSync(join(folder, `${threadId}.json`), JSON.stringify({ p50: late(50), p99: late(99), max: late(100) }));
    delays.reset();
  }, 1_000).unref();
}
