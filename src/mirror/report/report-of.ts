import type { LatencyHistogram, Percentile } from './latency-histogram.ts';
import type { QueryRecord } from './query-record.ts';
import type { QueryReport } from './query-report.ts';

/** A record as plain data. */
export function reportOf(
  record: QueryRecord,
  mirror: { readonly source: string; readonly destination: string; readonly compared: boolean },
  since: Date,
): QueryReport {
  const { source, mirror: ours } = record;
  const [p95, mirrorP95] = [source.percentile(0.95), ours.percentile(0.95)];
  return {
    source: mirror.source,
    destination: mirror.destination,
    fingerprint: record.fingerprint,
    query: record.text,
    calls: record.calls,
    samples: source.count,
    late: record.late,
    source_p50_ms: at(source, 0.5),
    source_p95_ms: p95?.value ?? null,
    source_p99_ms: at(source, 0.99),
    mirror_p50_ms: at(ours, 0.5),
    mirror_p95_ms: mirrorP95?.value ?? null,
    mirror_p99_ms: at(ours, 0.99),
    ...ratios(p95, mirrorP95),
    time_lost_ms: rounded((record.mirrorTime - record.sourceTime) / 1000),
    source_errors: sum(record.sourceErrors.values()),
    mirror_errors: sum(record.mirrorErrors.values()),
    error_new: record.classes.get('error_new') ?? 0,
    mismatch: record.mismatches,
    verified: mirror.compared ? (record.calls === 0 ? 0 : rounded(record.judged / record.calls)) : null,
    rows: record.rows,
    errors: { source: Object.fromEntries(record.sourceErrors), mirror: Object.fromEntries(record.mirrorErrors) },
    histograms: { source: source.cells(), mirror: ours.cells() },
    classes: Object.fromEntries(record.classes),
    examples: Object.fromEntries(record.examples),
    since: since.toISOString(),
  };
}

function ratios(
  source: Percentile | undefined,
  mirror: Percentile | undefined,
): Pick<QueryReport, 'p95_ratio' | 'p95_ratio_low' | 'p95_ratio_high'> {
  if (source === undefined || mirror === undefined) {
    return { p95_ratio: null, p95_ratio_low: null, p95_ratio_high: null };
  }
  return {
    p95_ratio: ratio(mirror.value, source.value),
    p95_ratio_low: ratio(mirror.low, source.high),
    p95_ratio_high: ratio(mirror.high, source.low),
  };
}

function ratio(mirror: number, source: number): number {
  return rounded(mirror / Math.max(source, 0.001));
}

function at(histogram: LatencyHistogram, share: number): number | null {
  return histogram.percentile(share)?.value ?? null;
}

function sum(counts: Iterable<number>): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
