import type { CoreShare } from './core-shares.ts';
import { quantile } from './pgbench.ts';
import { median } from './summary.ts';
import { figure, table } from './table.ts';

/** What clients feel; latencies in milliseconds. */
export interface Felt {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly errors: number;
}

/** What clients noticed under one condition of the mirror, and right before or behind it without one; memory in bytes. */
export interface Noticed extends Felt {
  readonly condition: string;
  readonly without: Felt;
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
 * One line for each condition: medians, and medians of the ratios to no mirror within each turn. For p99, which is three
 * times as much in one turn as in the next whatever the mirror does, their geometric mean, and the middle half of them:
 * what is no more than the line without a mirror varies by says nothing.
 */
export function isolationTable(
  conditions: readonly { readonly name: string; readonly what: string }[],
  rounds: Rounds,
  rate: number,
): string {
  const head = ['mirror', 'tx/s', '÷ none', 'p50 ms', '÷ none', 'p99 ms', '÷ none', 'middle half', 'errors'];
  head.push('peak MiB', 'mirror process MiB', 'replayed', `at ${rate} %`, 'state');
  const rows = conditions.map(({ name, what }) => {
    const mine = rounds.flat().filter(({ condition }) => condition === name);
    const of = (value: (noticed: Noticed) => number): number => median(mine.map(value));
    const ratios = (value: (felt: Felt) => number): number[] =>
      mine.map((noticed) => value(noticed) / value(noticed.without)).sort((a, b) => a - b);
    const both = (value: (felt: Felt) => number, decimals: number): string[] => [
      figure(of(value), decimals),
      figure(median(ratios(value)), 2),
    ];
    const p99s = ratios(({ p99 }) => p99);
    return [
      `${name}: ${what}`,
      ...both(({ perSecond }) => perSecond, 0),
      ...both(({ p50 }) => p50, 2),
      figure(
        of(({ p99 }) => p99),
        2,
      ),
      figure(geometricMean(p99s), 2),
      `${figure(quantile(p99s, 0.25), 2)} to ${figure(quantile(p99s, 0.75), 2)}`,
      String(mine.reduce((sum, { errors, without }) => sum + errors + without.errors, 0)),
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

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}
