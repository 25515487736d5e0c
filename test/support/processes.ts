import { readdirSync, readFileSync } from 'node:fs';

/** For a test's `skip`: the figures of /proc are Linux's. */
export const skipWithoutProc: string | false = process.platform === 'linux' ? false : 'needs /proc';

/** The memory that a process holds, in bytes (VmRSS). */
export function residentBytes(processId: number): number {
  return 1024 * Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${processId}/status`, 'utf8'))?.[1]);
}

/** Whether a process is there and is no zombie. */
export function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return process.platform !== 'linux' || state(processId) !== 'Z';
  } catch {
    return false;
  }
}

/** Processes whose parent this is. */
export function childrenOf(processId: number): number[] {
  return childrenByParent().get(processId) ?? [];
}

/** Processes, their children, and theirs. */
export function familyOf(...processIds: readonly number[]): number[] {
  const children = childrenByParent();
  const family = (one: number): number[] => [one, ...(children.get(one) ?? []).flatMap((child) => family(child))];
  return processIds.flatMap((processId) => family(processId));
}

/** In one walk over /proc: a benchmark asks again and again, and a walk for each of a server's processes would be a load. */
function childrenByParent(): Map<number, number[]> {
  const names = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return Map.groupBy(names.map(Number), (processId) => parent(String(processId)));
}

/** The nice values of a process's threads. */
export function nicenessOf(processId: number): number[] {
  return readdirSync(`/proc/${processId}/task`).map((thread) => Number(words(`${processId}/task/${thread}`)[16]));
}

/** The words of /proc/…/stat behind the command: state, parent, … */
function words(processId: number | string): string[] {
  try {
    return readFileSync(`/proc/${processId}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
  } catch {
    return []; // it ended meanwhile
  }
}

function parent(processId: string): number {
  return Number(words(processId)[1]);
}

function state(processId: number): string | undefined {
  return words(processId)[0];
}
