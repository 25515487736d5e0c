import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Contender } from './contender.ts';
import type { Load } from './loads.ts';
import { quantile } from './pgbench.ts';
import { residentMemory, threadTimes, usedBetween, type ProcessorTime, type ThreadTimes } from './processor-time.ts';

/** One load, carried once. Times in milliseconds, processor time in microseconds a unit, memory in bytes. */
export interface Measurement {
  readonly contender: string;
  readonly load: string;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly processor: ProcessorTime;
  readonly threads: Readonly<Record<string, ProcessorTime>>;
  readonly mirrorProcessor: ProcessorTime;
  readonly memory: number;
  readonly mirrorMemory: number;
  readonly errors: number;
}

/** Has a contender carry a load once; `undefined` where it cannot. */
export async function measure(contender: Contender, load: Load, seconds: number): Promise<Measurement | undefined> {
  const address = contender.address(load);
  if (address === undefined) return undefined;
  await contender.settle();
  const folder = await mkdtemp(join(tmpdir(), 'pgmirror-bench-'));
  const meter = new Meter(contender);
  try {
    const mark = (edge: 'start' | 'end'): void => meter.mark(edge);
    const { units, seconds: took, latencies, errors } = await load.run(address, { seconds, mark, folder });
    return {
      contender: contender.name,
      load: load.name,
      perSecond: units / took,
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      ...meter.read(units),
      errors,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What a contender's processes use between two marks. */
class Meter {
  readonly #contender: Contender;
  #start: readonly [ThreadTimes, ThreadTimes] | undefined;
  #end: readonly [ThreadTimes, ThreadTimes] | undefined;
  #memory: readonly [number, number] = [0, 0];

  constructor(contender: Contender) {
    this.#contender = contender;
  }

  mark(edge: 'start' | 'end'): void {
    const own = this.#contender.processes();
    const mirror = this.#contender.mirrorProcesses();
    const times = [threadTimes(own), threadTimes(mirror)] as const;
    if (edge === 'start') this.#start = times;
    this.#end = times;
    this.#memory = [residentMemory(own), residentMemory(mirror)];
  }

  read(units: number): Pick<Measurement, 'processor' | 'threads' | 'mirrorProcessor' | 'memory' | 'mirrorMemory'> {
    if (this.#start === undefined || this.#end === undefined) throw new Error('the load never began');
    const [own, mirror] = [usedBetween(this.#start[0], this.#end[0]), usedBetween(this.#start[1], this.#end[1])];
    const perUnit = ({ user, system }: ProcessorTime): ProcessorTime => ({
      user: user / units,
      system: system / units,
    });
    return {
      processor: perUnit(sum(own.values())),
      threads: Object.fromEntries([...own].map(([thread, time]) => [thread, perUnit(time)])),
      mirrorProcessor: perUnit(sum(mirror.values())),
      memory: this.#memory[0],
      mirrorMemory: this.#memory[1],
    };
  }
}

function sum(times: Iterable<ProcessorTime>): ProcessorTime {
  let [user, system] = [0, 0];
  for (const time of times) [user, system] = [user + time.user, system + time.system];
  return { user, system };
}
