import { parseArgs } from 'node:util';

/** How a benchmark is run. */
export interface BenchArguments {
  readonly only: readonly string[];
  readonly seconds: number;
  readonly rounds: number;
  /** After so many nothing more is begun. */
  readonly minutes: number;
  /** At how much of what there is room for latency is measured, percent; for the benchmarks that do. */
  readonly rate: number;
  readonly smoke: boolean;
  readonly json: string | undefined;
  readonly urls: readonly string[];
  readonly list: boolean;
}

/** Reads the flags; ends the process with status 2 and a line where they make no sense. */
export function benchArguments(defaults: { readonly seconds: number; readonly rounds: number }): BenchArguments {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        only: { type: 'string', default: '' },
        seconds: { type: 'string' },
        rounds: { type: 'string' },
        minutes: { type: 'string' },
        rate: { type: 'string' },
        smoke: { type: 'boolean', default: false },
        json: { type: 'string' },
        list: { type: 'boolean', default: false },
      },
    });
    const { smoke, list, json } = values;
    return {
      only: values.only.split(',').filter((name) => name !== ''),
      seconds: atLeastOne('seconds', values.seconds, smoke ? 1 : defaults.seconds),
      rounds: atLeastOne('rounds', values.rounds, smoke ? 1 : defaults.rounds),
      minutes: atLeastOne('minutes', values.minutes, 24 * 60),
      rate: atLeastOne('rate', values.rate, 50),
      ...{ smoke, list, json },
      urls: twoOrNone(positionals),
    };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exit(2);
  }
}

function atLeastOne(name: string, given: string | undefined, otherwise: number): number {
  const value = given === undefined ? otherwise : Number(given);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name}: found ${given}, accepted: 1 or more`);
  return value;
}

function twoOrNone(urls: readonly string[]): readonly string[] {
  if (urls.length !== 0 && urls.length !== 2)
    throw new Error('give two URLs, of the source and of the mirror, or none');
  return urls;
}
