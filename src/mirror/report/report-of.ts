import type { LatencyHistogram, Percentile } from './latency-histogram.ts';
import type { QueryRecord } from './query-record.ts';
import type { QueryReport } from './query-report.ts';

/** Latencies of fewer requests say nothing. */
export const MIN_SAMPLES = 30;

/** A record as plain data. */
export function reportOf(
  record: QueryRecord,
  mirror: { readonly source: string; readonly destination: string; readonly compared: boolean },
  since: Date,
): QueryReport {
  const { source, mirror: ours } = record;
  return {
    source: mirror.source,
    destination: mirror.destination,
    fingerprint: record.fingerprint,
    query: record.text,
    calls: record.calls,
    samples: source.count,
    late: record.late,
    source_p50_ms: at(source, 0.5),
    source_p95_ms: at(source, 0.95),
    source_p99_ms: at(source, 0.99),
    mirror_p50_ms: at(ours, 0.5),
    mirror_p95_ms: at(ours, 0.95),
    mirror_p99_ms: at(ours, 0.99),
    ...changes(source, ours),
    time_lost_ms: rounded((record.mirrorTime - record.sourceTime) / 1000),
    source_errors: sum(record.sourceErrors.values()),
    mirror_errors: sum(record.mirrorErrors.values()),
    error_new: record.classes.get('error_new') ?? 0,
    mismatch: record.mismatches,
    verified: mirror.compared ? rounded(record.judged / Math.max(1, record.compared)) : null,
    rows: record.rows,
    errors: { source: Object.fromEntries(record.sourceErrors), mirror: Object.fromEntries(record.mirrorErrors) },
    histograms: { source: source.cells(), mirror: ours.cells() },
    classes: Object.fromEntries(record.classes),
    examples: Object.fromEntries(record.examples),
    since: since.toISOString(),
  };
}

function changes(source: LatencyHistogram, mirror: LatencyHistogram): Pick<QueryReport, RatioKeys> {
  const tail = ratioOf(source.percentile(0.95), mirror.percentile(0.95));
  const median = ratioOf(source.percentile(0.5), mirror.percentile(0.5));
  return {
    p95_ratio: tail?.value ?? null,
    p95_ratio_low: tail?.low ?? null,
    p95_ratio_high: tail?.high ?? null,
    p50_ratio: median?.value ?? null,
    change: tail && median ? changeOf(tail, median, source.count) : 'unknown',
  };
}

type RatioKeys = 'p95_ratio' | 'p95_ratio_low' | 'p95_ratio_high' | 'p50_ratio' | 'change';

/**
 * Other than before is what differs by a fifth at the 95th percentile, or by half in the middle: a tail needs many requests
 * to be known, and a busy machine has a long one; the middle is known sooner, but moves with what surrounds the server.
 */
function changeOf(tail: Percentile, median: Percentile, count: number): QueryReport['change'] {
  if (count < MIN_SAMPLES) return 'unknown';
  if ((tail.value >= 1.2 && tail.low > 1) || (median.value >= 1.5 && median.low > 1.2)) return 'slower';
  if ((tail.value <= 1 / 1.2 && tail.high < 1) || (median.value <= 1 / 1.5 && median.high < 1 / 1.2)) return 'faster';
  return 'none';
}

function ratioOf(source: Percentile | undefined, mirror: Percentile | undefined): Percentile | undefined {
  if (source === undefined || mirror === undefined) return undefined;
  const { value, low, high } = mirror;
  return { value: ratio(value, source.value), low: ratio(low, source.high), high: ratio(high, source.low) };
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
