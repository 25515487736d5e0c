import type { CoreShare } from './core-shares.ts';
import { quantile } from './pgbench.ts';
import { median } from './summary.ts';
import { figure, table } from './table.ts';

/** What clients noticed under one condition of the mirror, in one round; latencies in milliseconds, memory in bytes. */
export interface Noticed {
  readonly condition: string;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
  readonly memory: number;
  readonly mirrorMemory: number;
  /** Share of the transactions that were replayed, at saturation and at the rate. */
  readonly mirrored: number;
  readonly mirroredAtRate: number;
  /** What became of the mirror. */
  readonly state: string;
  /** Who took the processors at the rate. */
  readonly shares: Readonly<Record<string, CoreShare>>;
}

type Rounds = readonly (readonly Noticed[])[];

/**
 * One line for each condition, against the first one of the same round: medians of the rounds' ratios. For p99 the middle
 * half of them, too: where no mirror once more is as far apart, nothing can be told from it.
 */
export function isolationTable(
  conditions: readonly { readonly name: string; readonly what: string }[],
  rounds: Rounds,
  rate: number,
): string {
  const head = ['mirror', 'tx/s', '÷ off', 'p50 ms', '÷ off', 'p99 ms', '÷ off', 'middle half', 'errors'];
  head.push('peak MiB', 'mirror process MiB', 'replayed', `at ${rate} %`, 'state');
  const rows = conditions.map(({ name, what }) => {
    const pairs = rounds.flatMap((round) => {
      const [found, off] = [round.find(({ condition }) => condition === name), round.find(isOff)];
      return found === undefined || off === undefined ? [] : [{ found, off }];
    });
    const mine = pairs.map(({ found }) => found);
    const of = (value: (noticed: Noticed) => number): number => median(mine.map(value));
    const ratios = (value: (noticed: Noticed) => number): number[] =>
      pairs.map(({ found, off }) => value(found) / value(off)).sort((a, b) => a - b);
    const both = (value: (noticed: Noticed) => number, decimals: number): string[] => [
      figure(of(value), decimals),
      figure(median(ratios(value)), 2),
    ];
    const p99s = ratios(({ p99 }) => p99);
    return [
      `${name}: ${what}`,
      ...both(({ perSecond }) => perSecond, 0),
      ...both(({ p50 }) => p50, 2),
      ...both(({ p99 }) => p99, 2),
      `${figure(quantile(p99s, 0.25), 2)} to ${figure(quantile(p99s, 0.75), 2)}`,
      String(mine.reduce((sum, { errors }) => sum + errors, 0)),
      figure(of(({ memory }) => memory) / 2 ** 20, 0),
      figure(of(({ mirrorMemory }) => mirrorMemory) / 2 ** 20, 0),
      `${figure(100 * of(({ mirrored }) => mirrored), 0)} %`,
      `${figure(100 * of(({ mirroredAtRate }) => mirroredAtRate), 0)} %`,
      mine.at(-1)?.state ?? '–',
    ];
  });
  return table(head, rows);
}

/** Who took the processors at the rate, percent of a core, and context switches a second. */
export function sharesTable(conditions: readonly { readonly name: string }[], rounds: Rounds): string {
  const roles = Object.keys(rounds[0]?.[0]?.shares ?? {});
  const rows = conditions.map(({ name }) => {
    const mine = rounds.flat().filter(({ condition }) => condition === name);
    const of = (role: string, value: (share: CoreShare) => number): string =>
      figure(median(mine.flatMap(({ shares }) => (shares[role] === undefined ? [] : [value(shares[role])]))), 0);
    const cell = (role: string): string => {
      const switches = of(role, (share) => share.switches);
      return `${of(role, ({ core }) => 100 * core)}${switches === '0' ? '' : ` (${switches})`}`;
    };
    return [name, ...roles.map(cell)];
  });
  return table(['mirror', ...roles], rows);
}

function isOff({ condition }: Noticed): boolean {
  return condition === 'off';
}
