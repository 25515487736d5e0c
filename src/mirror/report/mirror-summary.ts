import type { Percentiles } from '../replay/latency-window.ts';
import type { DurationHistogram } from '../replay/latency-window.ts';
import type { MirrorState } from '../replay/mirror-process-messages.ts';
import type { AnswerClass } from './query-report.ts';

/** What came of comparing answers, request by request. */
export interface ComparisonCounts {
  readonly match: number;
  readonly mismatch: number;
  readonly unverified: number;
  readonly ambiguous: number;
  readonly classes: Readonly<Partial<Record<AnswerClass, number>>>;
}

/** One source and destination, all users together: an element of `/mirrors`. */
export interface MirrorSummary {
  readonly source: string;
  readonly destination: string;
  readonly state: MirrorState;
  readonly reason: string;
  readonly exposure: number;
  readonly total: number;
  readonly mirrored: number;
  readonly replayed: number;
  readonly failed: number;
  readonly timed_out: number;
  /** By reason; all of them. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Requests that erred on the mirror alone, by SQLSTATE. */
  readonly errors: Readonly<Record<string, number>>;
  readonly queue_length: number;
  readonly queued_bytes: number;
  readonly lag_ms: number;
  /** Transactions left prepared on the mirror with nobody to end them, rolled back there since the mirror process began. */
  readonly orphans: number;
  /** Of the last minute. */
  readonly latency_ms: { readonly source: PercentilesOrNull; readonly mirror: PercentilesOrNull };
  readonly comparison: ComparisonCounts;
}

/** Null where nothing was measured. */
export type PercentilesOrNull = { readonly [Key in keyof Percentiles]: number | null };

/** Since the start, for Prometheus. */
export interface MirrorDurations {
  readonly source: DurationHistogram;
  readonly mirror: DurationHistogram;
}

export const NOTHING_COMPARED: ComparisonCounts = { match: 0, mismatch: 0, unverified: 0, ambiguous: 0, classes: {} };
