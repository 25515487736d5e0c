import type { Measurement } from './measure.ts';
import type { ProcessorTime } from './processor-time.ts';

/** The medians of one contender under one load, and what they are against others of the same run. */
export interface Summary extends Measurement {
  readonly rounds: number;
  /** Processor time, user and system together, against PgBouncer's and the bare relay's: medians of each round's ratio. */
  readonly processorToPgbouncer: number;
  readonly processorToBare: number;
  readonly throughputToPgbouncer: number;
  readonly throughputToDirect: number;
  readonly p99ToPgbouncer: number;
  readonly p99ToDirect: number;
}

/** Medians over the rounds, for each load and contender, in the order in which they came first. */
export function summarize(rounds: readonly (readonly Measurement[])[]): Summary[] {
  const keys = new Map<string, Measurement>();
  for (const measurement of rounds.flat()) keys.set(keyOf(measurement.load, measurement.contender), measurement);
  return [...keys.values()].map(({ load, contender }) => {
    const mine = rounds.flat().filter((other) => other.load === load && other.contender === contender);
    const against = (other: string, value: (measurement: Measurement) => number): number =>
      ratio(rounds, { load, contender, other }, value);
    return {
      ...medians(mine),
      contender,
      load,
      rounds: mine.length,
      processorToPgbouncer: against('pgbouncer', ({ processor }) => total(processor)),
      processorToBare: against('bare', ({ processor }) => total(processor)),
      throughputToPgbouncer: against('pgbouncer', ({ perSecond }) => perSecond),
      throughputToDirect: against('direct', ({ perSecond }) => perSecond),
      p99ToPgbouncer: against('pgbouncer', ({ p99 }) => p99),
      p99ToDirect: against('direct', ({ p99 }) => p99),
    };
  });
}

/** User and system together. */
export function total({ user, system }: ProcessorTime): number {
  return user + system;
}

function keyOf(load: string, contender: string): string {
  return `${load} ${contender}`;
}

function medians(mine: readonly Measurement[]): Omit<Measurement, 'load' | 'contender'> {
  const of = (value: (measurement: Measurement) => number): number => median(mine.map(value));
  const time = (value: (measurement: Measurement) => ProcessorTime | undefined): ProcessorTime => ({
    user: of((measurement) => value(measurement)?.user ?? 0),
    system: of((measurement) => value(measurement)?.system ?? 0),
  });
  const threads = new Set(mine.flatMap((measurement) => Object.keys(measurement.threads)));
  return {
    perSecond: of(({ perSecond }) => perSecond),
    p50: of(({ p50 }) => p50),
    p99: of(({ p99 }) => p99),
    processor: time(({ processor }) => processor),
    threads: Object.fromEntries([...threads].map((name) => [name, time((measurement) => measurement.threads[name])])),
    mirrorProcessor: time(({ mirrorProcessor }) => mirrorProcessor),
    memory: of(({ memory }) => memory),
    mirrorMemory: of(({ mirrorMemory }) => mirrorMemory),
    errors: mine.reduce((sum, { errors }) => sum + errors, 0),
  };
}

/** The median of the ratios within each round: what slows a whole round down is in both of its sides. */
function ratio(
  rounds: readonly (readonly Measurement[])[],
  { load, contender, other }: { readonly load: string; readonly contender: string; readonly other: string },
  value: (measurement: Measurement) => number,
): number {
  const ratios = rounds.flatMap((round) => {
    const [mine, theirs] = [contender, other].map((name) =>
      round.find((measurement) => measurement.load === load && measurement.contender === name),
    );
    return mine === undefined || theirs === undefined ? [] : [value(mine) / value(theirs)];
  });
  return median(ratios);
}

/** NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle] ?? Number.NaN;
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}
