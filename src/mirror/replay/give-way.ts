import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/**
 * The nice value of the mirror process. Where a machine has less time to give than is asked for, a thread at 0 gets three
 * times as much as one at 5: clients of the source pay half as much for the replay. At 10 they would not pay at all, but
 * the replay gets so little beside anything else that is busy that transactions are too old before their turn comes.
 */
const NICENESS = 5;

/**
 * Has all threads of this process give way to others. Those that are started later inherit it, so it is to be called when
 * the process is ready: starting on a busy machine takes several times as long at this priority. Never fails: where it is not
 * allowed, things stay as they are.
 */
export function giveWay(): void {
  for (const thread of threads()) {
    try {
      setPriority(thread, Math.max(getPriority(thread), NICENESS));
    } catch {
      // It has ended, or a sandbox does not let a process change its priority.
    }
  }
}

/** On Linux a priority is a thread's own; elsewhere it is the process's (0: this one). */
function threads(): readonly number[] {
  try {
    return readdirSync('/proc/self/task').map(Number);
  } catch {
    return [0];
  }
}
