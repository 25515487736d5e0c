import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { workerData } from 'node:worker_threads';

/** How often the parent is looked for. */
const INTERVAL_MS = 500;

/**
 * A thread beside the mirror process's own: kills the process when its parent is gone. The process's own thread notices
 * that by itself (its IPC channel ends) unless it is blocked, so it is given one more interval.
 */
const { parent, socketPath } = workerData as { readonly parent: number; readonly socketPath: string };
let missed = 0;

setInterval(() => {
  if (process.ppid === parent) return;
  missed++;
  if (missed < 2) return;
  // The private folder is the parent's, which can no longer remove it.
  rmSync(dirname(socketPath), { recursive: true, force: true });
  process.kill(process.pid, 'SIGKILL');
}, INTERVAL_MS);
