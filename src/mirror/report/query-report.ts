import type { HistogramCells } from './latency-histogram.ts';

/**
 * In which way an answer of the mirror was not the source's. Those of `mismatch` are the mirror's doing; the others are
 * told apart from them because they are not, or cannot be known to be.
 */
export const ANSWER_CLASSES = [
  'error_new',
  'error_missing',
  'error_changed',
  'tag',
  'row_count',
  'row_content',
  'order_only',
  'schema',
  'generated',
  'ambiguous',
  'unverified',
  'timeout',
] as const;
export type AnswerClass = (typeof ANSWER_CLASSES)[number];

/** One case of a class. */
export interface AnswerExample {
  /** ISO 8601: when it was seen on the mirror. */
  readonly at: string;
  /** In a few words: an SQLSTATE, a tag, a number of rows, a digest. */
  readonly source: string;
  readonly mirror: string;
  /** Only where `log_statements` is `full`. */
  readonly text?: string;
}

/** What is known of one kind of query on one mirror: an element of `/queries`. Times in milliseconds. */
export interface QueryReport {
  readonly source: string;
  readonly destination: string;
  /** `other` for the sum of those that are not kept one by one. */
  readonly fingerprint: string;
  readonly query: string;
  /** Requests replayed; those that were only prepared are none. */
  readonly calls: number;
  /** Requests whose latency was measured on both sides: neither failed, and the mirror was on time. */
  readonly samples: number;
  /** Requests replayed later than they may be to count for latencies. */
  readonly late: number;
  readonly source_p50_ms: number | null;
  readonly source_p95_ms: number | null;
  readonly source_p99_ms: number | null;
  readonly mirror_p50_ms: number | null;
  readonly mirror_p95_ms: number | null;
  readonly mirror_p99_ms: number | null;
  /** The mirror's p95 as a multiple of the source's, and where it lies with 95 % confidence. */
  readonly p95_ratio: number | null;
  readonly p95_ratio_low: number | null;
  readonly p95_ratio_high: number | null;
  /** The same of the medians, and of the 99th percentiles. */
  readonly p50_ratio: number | null;
  readonly p50_ratio_low: number | null;
  readonly p99_ratio: number | null;
  readonly p99_ratio_low: number | null;
  /** Whether it takes another time on the mirror, as far as that is certain; `unknown` where it seems so, and may as well not be. */
  readonly change: 'slower' | 'faster' | 'none' | 'unknown';
  /** What the samples took on the mirror beyond what they took on the source, all together. */
  readonly time_lost_ms: number;
  readonly source_errors: number;
  readonly mirror_errors: number;
  /** Errors on the mirror alone, their consequences not counted. */
  readonly error_new: number;
  readonly mismatch: number;
  /** Share of the calls whose answers were judged; null where none are compared. */
  readonly verified: number | null;
  readonly rows: number;
  /** By SQLSTATE. */
  readonly errors: {
    readonly source: Readonly<Record<string, number>>;
    readonly mirror: Readonly<Record<string, number>>;
  };
  readonly histograms: { readonly source: HistogramCells; readonly mirror: HistogramCells };
  readonly classes: Readonly<Partial<Record<AnswerClass, number>>>;
  readonly examples: Readonly<Partial<Record<AnswerClass, readonly AnswerExample[]>>>;
  /** ISO 8601: since when it was counted. */
  readonly since: string;
}
