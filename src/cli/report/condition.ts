import type { QueryReport } from '../../mirror/report/query-report.ts';
import { MIN_SAMPLES } from '../../mirror/report/report-of.ts';

const operators = {
  '>': (a: number, b: number) => a > b,
  '>=': (a: number, b: number) => a >= b,
  '<': (a: number, b: number) => a < b,
  '<=': (a: number, b: number) => a <= b,
} as const;

/** What a condition can be about; null where nothing is known of it. */
const measures = {
  p50_ratio: (query) => query.p50_ratio,
  p95_ratio: (query) => query.p95_ratio,
  p99_ratio: (query) => query.p99_ratio,
  mirror_p50_ms: (query) => query.mirror_p50_ms,
  mirror_p95_ms: (query) => query.mirror_p95_ms,
  mirror_p99_ms: (query) => query.mirror_p99_ms,
  time_lost_ms: (query) => query.time_lost_ms,
  error_new: (query) => query.error_new,
  mirror_errors: (query) => query.mirror_errors,
  mismatch: (query) => query.mismatch,
  verified: (query) => query.verified,
  timeout: (query) => query.classes.timeout ?? 0,
} as const satisfies Readonly<Record<string, (query: QueryReport) => number | null>>;
type Measure = keyof typeof measures;

/** Measures of time: a few calls say nothing about them. */
const ofTime: ReadonlySet<string> = new Set<Measure>([
  'p50_ratio',
  'p95_ratio',
  'p99_ratio',
  'mirror_p50_ms',
  'mirror_p95_ms',
  'mirror_p99_ms',
]);

/** Where the interval begins in which a ratio lies. */
const least: Readonly<Partial<Record<Measure, (query: QueryReport) => number | null>>> = {
  p50_ratio: (query) => query.p50_ratio_low,
  p95_ratio: (query) => query.p95_ratio_low,
  p99_ratio: (query) => query.p99_ratio_low,
};

/** What `--fail-on` names: a measure of a query, and a bound. */
export interface Condition {
  readonly text: string;
  readonly measure: Measure;
  readonly operator: keyof typeof operators;
  readonly bound: number;
}

/** One line that says what is accepted. */
export const CONDITION_SYNTAX = `NAME>NUMBER (also >=, <, <=), NAME one of ${Object.keys(measures).join(', ')}`;

/** Undefined for what is none. */
export function parseCondition(text: string): Condition | undefined {
  const match = /^\s*([a-z0-9_]+)\s*(>=|<=|>|<)\s*(\d+(?:\.\d+)?|\.\d+)\s*$/.exec(text);
  const [, measure = '', operator = '', bound = ''] = match ?? [];
  if (match === null || !Object.hasOwn(measures, measure)) return undefined;
  return {
    text: text.trim(),
    measure: measure as Measure,
    operator: operator as keyof typeof operators,
    bound: Number(bound),
  };
}

/** Whether a query is as the condition says. `minSamples`: latencies of fewer say nothing. */
export function meets(query: QueryReport, condition: Condition, minSamples: number): boolean {
  if (ofTime.has(condition.measure) && query.samples < minSamples) return false;
  const low = least[condition.measure];
  if (low !== undefined && condition.operator.startsWith('>') && mayBeChance(query, low(query) ?? 0)) return false;
  const value = measures[condition.measure](query);
  return value !== null && operators[condition.operator](value, condition.bound);
}

/** A ratio that may as well be 1, or was seen for a time only, is no finding. Of a few samples nothing is known of times. */
function mayBeChance(query: QueryReport, low: number): boolean {
  return low <= 1 || (query.change === 'unknown' && query.samples >= MIN_SAMPLES);
}
