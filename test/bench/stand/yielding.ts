import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { promisify } from 'node:util';

import { findProgram } from '../../support/programs.ts';
import { familyOf } from '../../support/processes.ts';

const execute = promisify(execFile);
const LOWEST_PRIORITY = 19;
/** How often processes that were started meanwhile are looked for. */
const LOOK_MS = 1_000;

/**
 * Has processes that stand for other machines, and what they start, take only the processor time that nobody else wants,
 * until it is told to stop. Where `chrt` is missing they get the lowest priority, which is less than that.
 *
 * A PostgreSQL makes each of its server processes a session of its own; where the kernel shares processor time out by
 * sessions (autogroup), priorities count within one only, so each of those sessions is made to give way, too.
 */
export class Yielding {
  readonly #roots: readonly number[];
  readonly #known = new Set<number>();
  readonly #timer: NodeJS.Timeout;

  private constructor(roots: readonly number[]) {
    this.#roots = roots;
    this.#timer = setInterval(() => void this.#look().catch(() => undefined), LOOK_MS);
  }

  static async start(roots: readonly number[]): Promise<Yielding> {
    const yielding = new Yielding(roots);
    await yielding.#look();
    return yielding;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const met = familyOf(...this.#roots).filter((processId) => !this.#known.has(processId));
    for (const processId of met) {
      this.#known.add(processId);
      await lower(processId);
    }
  }
}

/** How stand-ins give way, for the first lines of a report. */
export function yieldingTold(): string {
  return findProgram('chrt') === undefined ? 'run at nice 19' : 'run at SCHED_IDLE';
}

/** Whether the kernel shares processor time out by sessions, which the servers' many sessions have more of than a pooler. */
export function sharesBySessions(): boolean {
  return attempt(() => readFileSync('/proc/sys/kernel/sched_autogroup_enabled', 'latin1').trim()) === '1';
}

/** One that has ended meanwhile, or must not be changed, stays as it is. */
async function lower(processId: number): Promise<void> {
  const group = autogroup(processId);
  if (group !== undefined && group !== autogroup(process.pid)) {
    attempt(() => writeFileSync(`/proc/${processId}/autogroup`, String(LOWEST_PRIORITY)));
  }
  const chrt = findProgram('chrt');
  if (chrt === undefined) attempt(() => setPriority(processId, LOWEST_PRIORITY));
  else await execute(chrt, ['--all-tasks', '--idle', '--pid', '0', String(processId)]).catch(() => undefined);
}

/** Which session's share of the processors it has a part in; `undefined` where there are none. */
function autogroup(processId: number): string | undefined {
  return attempt(() => readFileSync(`/proc/${processId}/autogroup`, 'latin1').split(' ')[0]);
}

function attempt<T>(what: () => T): T | undefined {
  try {
    return what();
  } catch {
    return undefined;
  }
}
