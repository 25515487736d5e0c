import { readFileSync } from 'node:fs';

/**
 * Milliseconds for which a process's first thread was ready to run so far, and others had the processors (the kernel's
 * sched-stats.rst: `/proc/PID/schedstat`). 0 where that is not told.
 */
export function processorWait(processId: number): number {
  try {
    const [, waited] = readFileSync(`/proc/${processId}/schedstat`, 'latin1').split(' ');
    return Number(waited) / 1e6;
  } catch {
    return 0;
  }
}
