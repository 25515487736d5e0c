import { readdirSync, readFileSync } from 'node:fs';

/** Who takes part in a benchmark: the processes of each, as they are at the moment. */
export type Roles = Readonly<Record<string, () => readonly number[]>>;

/** Of one second: how much of a core it took, and how often its threads were put aside or went to sleep. */
export interface CoreShare {
  readonly core: number;
  readonly switches: number;
}

interface Reading {
  readonly at: number;
  readonly used: Readonly<Record<string, CoreShare>>;
}

/** /proc counts in ticks of USER_HZ, which is 100 on every Linux. */
const TICKS_PER_SECOND = 100;

/**
 * Who takes the processors between the edges of what counts: besides the roles, all `others` on the machine together, and
 * what was `stolen` by other virtual machines.
 */
export class CoreMeter {
  readonly #roles: Roles;
  #start: Reading | undefined;
  #end: Reading | undefined;

  constructor(roles: Roles) {
    this.#roles = roles;
  }

  mark(edge: 'start' | 'end'): void {
    const processes = Object.entries(this.#roles).map(([role, find]) => [role, find()] as const);
    // Somebody has ended already, and with it what is known of it: the last reading holds.
    const isOver = processes.some(([role, found]) => found.length === 0 && (this.#end?.used[role]?.core ?? 0) > 0);
    if (isOver && edge === 'end') return;
    const used = processes.map(([role, found]) => [role, usedBy(found)] as const);
    const { busy, stolen } = machine();
    const others = used.reduce((left, [, { core }]) => left - core, busy);
    const rest = { others: { core: others, switches: 0 }, stolen: { core: stolen, switches: 0 } };
    const reading = { at: performance.now(), used: { ...Object.fromEntries(used), ...rest } };
    if (edge === 'start') this.#start = reading;
    this.#end = reading;
  }

  read(): Readonly<Record<string, CoreShare>> {
    const [start, end] = [this.#start, this.#end];
    if (start === undefined || end === undefined) throw new Error('the load never began');
    const seconds = (end.at - start.at) / 1_000;
    const shares = Object.entries(end.used).map(([role, { core, switches }]) => {
      const before = start.used[role] ?? { core: 0, switches: 0 };
      // Those of a process that has ended are not known any more.
      const switched = Math.max(0, switches - before.switches);
      return [role, { core: (core - before.core) / seconds, switches: switched / seconds }] as const;
    });
    return Object.fromEntries(shares);
  }
}

/** So far: seconds of a core, those of children that have ended included, and context switches. */
function usedBy(processes: readonly number[]): CoreShare {
  let [ticks, switches] = [0, 0];
  for (const processId of processes) {
    const words = read(`/proc/${processId}/stat`)
      .replace(/^.*\) /s, '')
      .split(' ');
    for (const word of words.slice(11, 15)) ticks += Number(word);
    for (const thread of entries(`/proc/${processId}/task`)) {
      const status = read(`/proc/${processId}/task/${thread}/status`);
      for (const [, count] of status.matchAll(/ctxt_switches:\s+(\d+)/g)) switches += Number(count);
    }
  }
  return { core: ticks / TICKS_PER_SECOND, switches };
}

/** Seconds of a core since the machine's start. */
function machine(): { readonly busy: number; readonly stolen: number } {
  const [user, nice, system, , , irq, softirq, stolen] = (read('/proc/stat').split('\n', 1)[0] ?? '')
    .split(/ +/)
    .slice(1)
    .map((ticks) => Number(ticks) / TICKS_PER_SECOND);
  const busy = [user, nice, system, irq, softirq].reduce<number>((sum, seconds) => sum + (seconds ?? 0), 0);
  return { busy, stolen: stolen ?? 0 };
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // it ended meanwhile
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
