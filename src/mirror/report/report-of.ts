import type { LatencyHistogram, Percentile } from './latency-histogram.ts';
import type { QueryRecord } from './query-record.ts';
import type { QueryReport } from './query-report.ts';

/** For each so many milliseconds that the machine lets processes wait, the bounds are as high again. */
const STRICTER_MS = 1;
/** Latencies of fewer requests say nothing. */
export const MIN_SAMPLES = 30;

/** A record as plain data. */
export function reportOf(
  record: QueryRecord,
  mirror: {
    readonly source: string;
    readonly destination: string;
    readonly compared: boolean;
    /** Milliseconds that every query takes longer there (`commonDelay`). */
    readonly away: number;
    /** Milliseconds that this process waits until the machine lets it run. */
    readonly lateness: number;
  },
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
    ...changes(record, mirror),
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

function changes(
  { source, mirror, mirrorAtLeast, slices }: QueryRecord,
  { away, lateness }: { readonly away: number; readonly lateness: number },
): Pick<QueryReport, RatioKeys> {
  const ratios = (share: number): Ratios | undefined => {
    const [ours, theirs, surely] = [mirror, source, mirrorAtLeast].map((histogram) => histogram.percentile(share));
    if (ours === undefined || theirs === undefined || surely === undefined) return undefined;
    const measured = ratioOf(ours, theirs);
    // What is not surely the mirror's own, or comes of the way to it, makes no query slower.
    return {
      ...measured,
      low: Math.min(measured.low, ratio(surely.low - away, theirs.high)),
      measuredLow: measured.low,
      own: ratio(ours.value - away, theirs.value),
      lasts: (isSo) => slices.lasts(share, (mirrorMs, sourceMs) => isSo(ratio(mirrorMs - away, sourceMs))),
    };
  };
  const [median, tail, extreme] = [ratios(0.5), ratios(0.95), ratios(0.99)];
  return {
    p95_ratio: tail?.value ?? null,
    p95_ratio_low: tail?.low ?? null,
    p95_ratio_high: tail?.high ?? null,
    p50_ratio: median?.value ?? null,
    p50_ratio_low: median?.low ?? null,
    p99_ratio: extreme?.value ?? null,
    p99_ratio_low: extreme?.low ?? null,
    change: tail && median ? changeOf(tail, median, source.count, 1 + lateness / STRICTER_MS) : 'unknown',
  };
}

interface Ratios extends Percentile {
  /** Where it would begin if all that was measured were the mirror's own. */
  readonly measuredLow: number;
  /** The ratio without what all queries take longer. */
  readonly own: number;
  /** Whether that is so at most times, and not only all together. */
  readonly lasts: (isSo: (own: number) => boolean) => boolean;
}

type RatioKeys = Extract<keyof QueryReport, `${string}_ratio${string}` | 'change'>;

/** What differs by so much at the 95th percentile, or in the middle, is another than before. */
const TAIL = 1.2;
const MIDDLE = 1.5;

/**
 * Other than before is what differs by a fifth at the 95th percentile, or by half in the middle: a tail needs many requests
 * to be known, and a busy machine has a long one; the middle is known sooner, but moves with what surrounds the server. A
 * machine that lets its processes wait has to show more. And it has to last: half as much at least is to be seen at most times.
 */
function changeOf(tail: Ratios, median: Ratios, count: number, strictness: number): QueryReport['change'] {
  if (count < MIN_SAMPLES) return 'unknown';
  const isSlower = (ratios: Ratios, bound: number, surely: number): boolean =>
    ratios.own >= bound * strictness &&
    ratios.low > surely * strictness &&
    ratios.lasts((own) => own >= ((1 + bound) / 2) * strictness);
  if (isSlower(tail, TAIL, 1) || isSlower(median, MIDDLE, 1.2)) return 'slower';
  const seems = (tail.value >= TAIL && tail.measuredLow > 1) || (median.value >= MIDDLE && median.measuredLow > 1.2);
  if (seems) return 'unknown';
  const isFaster = (ratios: Ratios, bound: number, surely: number): boolean =>
    ratios.value <= 1 / bound && ratios.high < 1 / surely && ratios.lasts((own) => own <= 2 / (1 + bound));
  if (isFaster(tail, TAIL, 1)) return 'faster';
  // What is mostly quicker, and now and then takes longer, is neither.
  if (isFaster(median, MIDDLE, 1.2)) return tail.value < TAIL ? 'faster' : 'unknown';
  return 'none';
}

/** More than that every query does not take longer for the way alone, on a machine that has time to spare. */
const MAX_COMMON_MS = 1;
/** How many times the machine may let a process wait until an answer is seen: those of the server, and this one. */
const WAITS = 4;
const MIN_KINDS = 2;
const MANY_KINDS = 8;

/**
 * Milliseconds that queries take longer on the mirror whatever they ask: the way to it, and how soon this machine lets its
 * processes run (`lateness`: how long this one waits for that). It is told by the three quarters of all kinds that are delayed
 * least, and twice what they are is allowed for; of a few kinds, by the one that is delayed least. Of a single kind nothing can
 * be said.
 */
export function commonDelay(records: readonly QueryRecord[], lateness: number): number {
  const delays = records
    .filter(({ source }) => source.count >= MIN_SAMPLES)
    .map(({ source, mirror }) => (mirror.percentile(0.5)?.value ?? 0) - (source.percentile(0.5)?.value ?? 0))
    .toSorted((a, b) => a - b);
  if (delays.length < MIN_KINDS) return 0;
  const longest = MAX_COMMON_MS + WAITS * lateness;
  const usual = delays.length < MANY_KINDS ? (delays[0] ?? 0) : 2 * (delays[Math.floor((delays.length * 3) / 4)] ?? 0);
  return Math.min(Math.max(0, usual), longest);
}

function ratioOf(mirror: Percentile, source: Percentile): Percentile {
  const { value, low, high } = mirror;
  return { value: ratio(value, source.value), low: ratio(low, source.high), high: ratio(high, source.low) };
}

function ratio(mirror: number, source: number): number {
  return rounded(Math.max(0, mirror) / Math.max(source, 0.001));
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
