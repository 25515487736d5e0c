import type { Latency, MirrorFigures } from './mirror-figures.ts';
import { grouped } from './progress.ts';
import type { TableComparison } from './same-rows.ts';
import type { ShopCounts } from './shop-client.ts';

/** All that the demo's end is about. */
export interface DemoResult {
  readonly seconds: number;
  readonly counts: ShopCounts;
  readonly figures: MirrorFigures;
  readonly tables: readonly TableComparison[];
}

/** Whether both databases hold the same rows. */
export function sameRows({ tables }: DemoResult): boolean {
  return tables.length > 0 && tables.every(({ same }) => same);
}

/** The summary at the end, as lines. */
export function summaryOf(result: DemoResult): string[] {
  const { counts, figures } = result;
  const transactions = counts.committed + counts.rolledBack;
  const share =
    transactions === 0 ? '' : `${((100 * (figures.mirrored - figures.errors)) / transactions).toFixed(1)} %`;
  return [
    '',
    `After ${result.seconds} seconds`,
    '',
    row('transactions on the source', grouped(transactions), `${grouped(counts.rolledBack)} of them rolled back`),
    row('replayed on the mirror', grouped(figures.mirrored - figures.errors), share),
    ...(figures.errors === 0 ? [] : [row('failed on the mirror alone', grouped(figures.errors), '')]),
    row('dropped', grouped(figures.dropped), ''),
    ...[...figures.dropReasons].map(([reason, count]) => row(`  ${reason}`, grouped(count), '')),
    '',
    row('latency of a request', 'median', 'p95'.padStart(10)),
    latencyRow('source, seen by pgmirror', figures.source),
    latencyRow('mirror, seen by pgmirror', figures.mirror),
    latencyRow('seen by the application', percentiles(counts.latencies)),
    '',
    row('rows', 'source', 'mirror'.padStart(10)),
    ...result.tables.map(({ table, sourceRows, mirrorRows, same }) =>
      row(table, grouped(sourceRows), `${grouped(mirrorRows).padStart(10)}   ${same ? 'same' : 'DIFFERENT'}`),
    ),
    '',
    ...verdict(result),
  ];
}

function verdict(result: DemoResult): string[] {
  const { dropped, errors } = result.figures;
  const note = [
    'The application makes its ids itself: numbers from a sequence depend on who asks first,',
    'and under concurrency that differs from run to run, on a mirror as well.',
  ];
  if (sameRows(result)) return ['Both databases hold the same rows.', '', ...note];
  const why =
    dropped + errors === 0 ? '' : `: ${grouped(dropped + errors)} transactions did not take effect on the mirror`;
  return [`The databases DIFFER${why}.`, '', ...note];
}

function row(name: string, value: string, more: string): string {
  return `  ${name.padEnd(28)}${value.padStart(10)}   ${more}`.trimEnd();
}

function latencyRow(name: string, latency: Latency | undefined): string {
  const shown = (milliseconds: number | undefined): string =>
    milliseconds === undefined ? '–' : `${milliseconds.toFixed(2)} ms`;
  return row(`  ${name}`, shown(latency?.p50), shown(latency?.p95).padStart(10));
}

/** Undefined for nothing measured. */
export function percentiles(milliseconds: readonly number[]): Latency | undefined {
  const sorted = milliseconds.toSorted((a, b) => a - b);
  const at = (share: number): number | undefined =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  const [p50, p95] = [at(0.5), at(0.95)];
  return p50 === undefined || p95 === undefined ? undefined : { p50, p95 };
}
