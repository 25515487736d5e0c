import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Processor time in microseconds. */
export interface ProcessorTime {
  readonly user: number;
  readonly system: number;
}

/** Of each thread of some processes, by process and thread id. */
export type ThreadTimes = ReadonlyMap<string, ProcessorTime & { readonly thread: string }>;

/** /proc counts in ticks of USER_HZ, which is 100 on every Linux. */
const TICK_MICROSECONDS = 10_000;

/** What the threads of these processes have used so far. */
export function threadTimes(processIds: readonly number[]): ThreadTimes {
  const times = new Map<string, ProcessorTime & { thread: string }>();
  for (const processId of processIds) {
    for (const threadId of entries(`/proc/${processId}/task`)) {
      const stat = read(`/proc/${processId}/task/${threadId}/stat`);
      const closing = stat.lastIndexOf(')');
      if (closing < 0) continue; // it ended meanwhile
      const words = stat.slice(closing + 2).split(' ');
      const [user = 0, system = 0] = [words[11], words[12]].map((ticks) => Number(ticks) * TICK_MICROSECONDS);
      times.set(`${processId}/${threadId}`, { thread: stat.slice(stat.indexOf('(') + 1, closing), user, system });
    }
  }
  return times;
}

/** What was used between two readings, by the threads' names; those of one name together. */
export function usedBetween(before: ThreadTimes, after: ThreadTimes): Map<string, ProcessorTime> {
  const used = new Map<string, ProcessorTime>();
  for (const [id, { thread, user, system }] of after) {
    const start = before.get(id) ?? { user: 0, system: 0 };
    const sum = used.get(thread) ?? { user: 0, system: 0 };
    used.set(thread, { user: sum.user + user - start.user, system: sum.system + system - start.system });
  }
  return used;
}

/** Has the most that a process ever had be counted from now on (proc(5), `clear_refs`). */
export function forgetPeak(processId: number): void {
  writeFileSync(`/proc/${processId}/clear_refs`, '5');
}

/** Resident memory of these processes together, in bytes: now, or the most that each ever had. */
export function residentMemory(processIds: readonly number[], when: 'now' | 'peak' = 'now'): number {
  const line = when === 'now' ? /^VmRSS:\s+(\d+) kB/m : /^VmHWM:\s+(\d+) kB/m;
  return processIds
    .map((processId) => Number(line.exec(read(`/proc/${processId}/status`))?.[1] ?? 0) * 1024)
    .reduce((sum, bytes) => sum + bytes, 0);
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
