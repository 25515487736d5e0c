import type { MirrorSummary } from '../../../src/mirror/report/mirror-summary.ts';
import type { QueryReport } from '../../../src/mirror/report/query-report.ts';

/** A mirror with which all is well, but for what a test changes. */
export function mirror(changes: Partial<MirrorSummary> = {}): MirrorSummary {
  const percentiles = { p50: 1, p95: 2, p99: 3 };
  return {
    source: 'app',
    destination: 'shadow',
    state: 'up',
    reason: '',
    exposure: 1,
    total: 1000,
    mirrored: 1000,
    replayed: 1000,
    failed: 0,
    timed_out: 0,
    dropped: { exposure: 0, queue_full: 0 },
    errors: {},
    queue_length: 0,
    queued_bytes: 0,
    lag_ms: 0,
    orphans: 0,
    latency_ms: { source: percentiles, mirror: percentiles },
    comparison: { match: 0, mismatch: 0, unverified: 0, ambiguous: 0, classes: {} },
    ...changes,
  };
}

/** A query that is as fast on the mirror as on the source, but for what a test changes. */
export function query(changes: Partial<QueryReport> = {}): QueryReport {
  return {
    source: 'app',
    destination: 'shadow',
    fingerprint: '0123456789abcdef',
    query: 'SELECT * FROM t WHERE id = $1',
    calls: 1000,
    samples: 1000,
    late: 0,
    source_p50_ms: 1,
    source_p95_ms: 2,
    source_p99_ms: 3,
    mirror_p50_ms: 1,
    mirror_p95_ms: 2,
    mirror_p99_ms: 3,
    p95_ratio: 1,
    p95_ratio_low: 0.9,
    p95_ratio_high: 1.1,
    p50_ratio: 1,
    p50_ratio_low: 0.9,
    p99_ratio: 1,
    p99_ratio_low: 0.9,
    change: 'none',
    time_lost_ms: 0,
    source_errors: 0,
    mirror_errors: 0,
    error_new: 0,
    mismatch: 0,
    verified: null,
    rows: 1000,
    errors: { source: {}, mirror: {} },
    histograms: { source: [], mirror: [] },
    classes: {},
    examples: {},
    since: '2026-01-01T00:00:00.000Z',
    ...changes,
  };
}

export const slower: Partial<QueryReport> = {
  fingerprint: '1'.repeat(16),
  mirror_p50_ms: 10,
  mirror_p95_ms: 24.7,
  mirror_p99_ms: 123,
  p95_ratio: 12.35,
  p95_ratio_low: 11,
  p95_ratio_high: 14,
  p50_ratio: 10,
  p50_ratio_low: 9,
  p99_ratio: 41,
  p99_ratio_low: 20,
  change: 'slower',
  time_lost_ms: 9_000,
};
