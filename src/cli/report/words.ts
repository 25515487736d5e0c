import type { MirrorSummary } from '../../mirror/report/mirror-summary.ts';
import type { QueryReport } from '../../mirror/report/query-report.ts';
import type { Findings } from './findings.ts';

/** A list of the report, with the sentence that stands over it. */
export interface Section {
  readonly title: string;
  readonly queries: readonly QueryReport[];
}

/** How many queries a list names; the JSON has them all. */
const LISTED = 10;

/** The lists, those that are empty left out. */
export function sectionsOf(found: Findings): Section[] {
  const sections: Section[] = [
    { title: 'Slower on the mirror, the most time lost first', queries: found.slower },
    { title: 'Failing on the mirror alone', queries: found.failing },
    { title: 'Answered differently', queries: found.different },
    { title: 'Faster on the mirror, the most time won first', queries: found.faster },
  ];
  return sections
    .filter(({ queries }) => queries.length > 0)
    .map(({ title, queries }) => {
      const more = queries.length - LISTED;
      return { title: more > 0 ? `${title} (and ${more} more)` : title, queries: queries.slice(0, LISTED) };
    });
}

/** What became of a mirror's transactions and what of its answers and times can be told, as lines. */
export function totalsOf(mirror: MirrorSummary, { queries }: Findings): string[] {
  const drops = Object.entries(mirror.dropped).filter(([, count]) => count > 0);
  const dropped = drops.reduce((sum, [, count]) => sum + count, 0);
  const reasons =
    drops.length === 0 ? '' : ` (${drops.map(([name, count]) => `${name} ${grouped(count)}`).join(', ')})`;
  const errors = Object.entries(mirror.errors).map(([sqlstate, count]) => `${sqlstate} ${grouped(count)}`);
  return [
    `exposure ${mirror.exposure}, ${grouped(mirror.total)} transactions: ${grouped(mirror.replayed)} replayed, ` +
      `${grouped(mirror.failed)} failed, ${grouped(mirror.timed_out)} timed out, ${grouped(mirror.queue_length)} queued`,
    `${grouped(dropped)} dropped${reasons}; lag ${Math.round(mirror.lag_ms)} ms`,
    ...(errors.length === 0 ? [] : [`errors on the mirror alone: ${errors.join(', ')}`]),
    ...verifiedOf(mirror.comparison),
    ...lateOf(queries.filter((query) => query.source === mirror.source && query.destination === mirror.destination)),
  ];
}

/** How many answers were the same, and why it is not known of the others. */
function verifiedOf({ match, mismatch, unverified, ambiguous, classes }: MirrorSummary['comparison']): string[] {
  const compared = match + mismatch + unverified + ambiguous;
  if (compared === 0) return [];
  const drifted = Math.min(unverified, classes.unverified ?? 0);
  const reasons = [
    [ambiguous, 'overlapped a write on the source, were cancelled, or depend on locks or on the order of rows'],
    [drifted, 'follow from what the mirror missed or did in another order'],
    [unverified - drifted, 'depend on values that each server makes for itself'],
  ] as const;
  const told = reasons.filter(([count]) => count > 0).map(([count, why]) => `${grouped(count)} ${why}`);
  return [
    `${((100 * (match + mismatch)) / compared).toFixed(1)} % of ${grouped(compared)} answers verified, ${grouped(mismatch)} not the same`,
    ...(told.length === 0 ? [] : [`not verified: ${told.join('; ')}`]),
  ];
}

/** Where the mirror is behind, little is known of how long it takes. */
function lateOf(queries: readonly QueryReport[]): string[] {
  const sum = (of: (query: QueryReport) => number): number => queries.reduce((total, query) => total + of(query), 0);
  const late = sum((query) => query.late);
  if (late === 0) return [];
  return [
    `${grouped(late)} of ${grouped(sum(({ calls }) => calls))} calls replayed late, so that their times count for nothing`,
  ];
}

/** From when to when it was counted; times in UTC. */
export function spanOf({ at, queries }: Findings): string {
  const [since] = queries.map((query) => query.since).toSorted();
  const shown = (time: string): string => time.replace('T', ' ').replace(/\.\d+Z$/, '');
  return since === undefined ? `As of ${shown(at)} UTC` : `From ${shown(since)} to ${shown(at)} UTC`;
}

/** The name of a mirror and how it is. */
export function headingOf(mirror: MirrorSummary): string {
  const reason = mirror.reason === '' ? '' : ` (${mirror.reason})`;
  return `${mirror.source} → ${mirror.destination}: ${mirror.state}${reason}`;
}

/** What is other with a query, and up to three examples each, as lines. */
export function classesOf(query: QueryReport): string[] {
  const classes = Object.entries(query.classes).map(([name, count]) => {
    const examples = query.examples[name as keyof QueryReport['examples']] ?? [];
    const told = examples.map(
      ({ source, mirror, text }) => `${source} → ${mirror}${text === undefined ? '' : `: ${text}`}`,
    );
    const different = [...new Set(told)];
    return `${name} ${grouped(count)}${different.length === 0 ? '' : ` (${different.join('; ')})`}`;
  });
  return [...changeInTheMiddle(query), ...classes];
}

/** Whether of the ratios that are no chance that of the median shows best how much slower a query is, and not that of the tail. */
export function isSlowestInTheMiddle(query: QueryReport): boolean {
  const { p50_ratio: median, p50_ratio_low: low, p95_ratio: tail, p95_ratio_low: tailLow } = query;
  return (low ?? 0) > 1 && ((median ?? 0) > (tail ?? 0) || (tailLow ?? 0) <= 1);
}

/** Where not the tail, which stands in a column of its own, shows that it is slower or faster, but the median. */
function changeInTheMiddle(query: QueryReport): string[] {
  const { change, p50_ratio: ratio, p50_ratio_low: low, p95_ratio: tail } = query;
  if (ratio === null || low === null || tail === null) return [];
  if (change === 'slower' && isSlowestInTheMiddle(query)) {
    return [`${shortRatio(ratio)}× at p50, ${shortRatio(low)}× at least`];
  }
  return change === 'faster' && ratio < tail ? [`${shortRatio(ratio)}× at p50`] : [];
}

/** The figures of a query, one text a column: calls, p50 / p95 / p99 on the source and on the mirror, ratio, time lost. */
export function figuresOf(query: QueryReport): string[] {
  return [
    grouped(query.calls),
    [query.source_p50_ms, query.source_p95_ms, query.source_p99_ms].map(milliseconds).join(' / '),
    [query.mirror_p50_ms, query.mirror_p95_ms, query.mirror_p99_ms].map(milliseconds).join(' / '),
    ratioOf(query),
    lostOf(query),
  ];
}

/** `1 234 567` */
export function grouped(count: number): string {
  return String(count).replaceAll(/\B(?=(\d{3})+$)/g, ' ');
}

/** Milliseconds to three significant digits. */
export function milliseconds(value: number | null): string {
  if (value === null) return '–';
  if (value >= 99_999.5) return `${(value / 1000).toFixed(0)}k`;
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** A ratio and where it lies with 95 % confidence. */
export function ratioOf(query: QueryReport): string {
  if (query.p95_ratio === null) return '–';
  const range =
    query.p95_ratio_low === null || query.p95_ratio_high === null
      ? ''
      : ` (${shortRatio(query.p95_ratio_low)}–${shortRatio(query.p95_ratio_high)})`;
  return `${shortRatio(query.p95_ratio)}×${range}`;
}

/** What all calls together took longer; negative where they were faster. */
export function lostOf(query: QueryReport): string {
  const lost = query.time_lost_ms;
  const sign = lost < 0 ? '−' : '';
  const size = Math.abs(lost);
  if (size >= 360_000_000) return `${sign}${(size / 86_400_000).toFixed(0)} d`;
  if (size >= 3_600_000) return `${sign}${(size / 3_600_000).toFixed(1)} h`;
  if (size >= 60_000) return `${sign}${(size / 60_000).toFixed(1)} min`;
  return size >= 1000 ? `${sign}${(size / 1000).toFixed(1)} s` : `${sign}${size.toFixed(0)} ms`;
}

/** Without what would move a terminal's cursor, or have it do worse. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- that is the point
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, ' ');
}

/** The same in one line. */
export function oneLine(text: string, length: number): string {
  const line = printable(text).replaceAll(/\s+/g, ' ').trim();
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}

function shortRatio(ratio: number): string {
  if (ratio >= 999.5) return `${ratio >= 99_950 ? '>99' : (ratio / 1000).toFixed(ratio >= 9_950 ? 0 : 1)}k`;
  return ratio >= 100 ? ratio.toFixed(0) : ratio >= 10 ? ratio.toFixed(1) : ratio.toFixed(2);
}
