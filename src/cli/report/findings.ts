import type { MirrorSummary } from '../../mirror/report/mirror-summary.ts';
import type { QueryReport } from '../../mirror/report/query-report.ts';
import { MIN_SAMPLES } from '../../mirror/report/report-of.ts';
import { meets } from './condition.ts';
import type { Condition } from './condition.ts';
import { isSlowestInTheMiddle } from './words.ts';

/** What a running pgmirror told. */
export interface Told {
  readonly mirrors: readonly MirrorSummary[];
  readonly queries: readonly QueryReport[];
}

/** A condition of `--fail-on` that a query meets. */
export interface Met {
  readonly condition: string;
  readonly query: QueryReport;
}

/** What is made of it: the queries an operator has to know of, the worst first in each list. */
export interface Findings extends Told {
  /** ISO 8601. */
  readonly at: string;
  readonly verdict: string;
  readonly slower: readonly QueryReport[];
  readonly faster: readonly QueryReport[];
  readonly failing: readonly QueryReport[];
  readonly different: readonly QueryReport[];
  readonly met: readonly Met[];
}

/** Sorts what was told into what it means. `minCalls`: queries that ran less often are left out. */
export function findings(told: Told, conditions: readonly Condition[], minCalls: number | undefined): Findings {
  const queries = told.queries.filter((query) => query.calls >= (minCalls ?? 0));
  const slower = queries
    .filter(({ change }) => change === 'slower')
    .toSorted((a, b) => b.time_lost_ms - a.time_lost_ms);
  const faster = queries
    .filter(({ change }) => change === 'faster')
    .toSorted((a, b) => a.time_lost_ms - b.time_lost_ms);
  const failing = queries
    .filter((query) => query.error_new + (query.classes.timeout ?? 0) > 0)
    .toSorted((a, b) => b.error_new - a.error_new);
  const different = queries.filter((query) => query.mismatch > 0).toSorted((a, b) => b.mismatch - a.mismatch);
  const minSamples = minCalls === undefined ? MIN_SAMPLES : 1;
  const met = conditions.flatMap((condition) =>
    queries
      .filter((query) => meets(query, condition, minSamples))
      .map((query) => ({ condition: condition.text, query })),
  );
  const found = { slower, faster, failing, different };
  return { at: new Date().toISOString(), ...told, queries, ...found, met, verdict: verdict(told, queries, found) };
}

function verdict(
  { mirrors }: Told,
  queries: readonly QueryReport[],
  found: Pick<Findings, 'slower' | 'failing' | 'different'>,
): string {
  if (mirrors.length === 0) return 'No mirror is configured.';
  const away = mirrors
    .filter(({ state }) => state !== 'up')
    .map(({ destination, state }) => `${destination} is ${state}`);
  if (queries.length === 0) {
    const ran = mirrors.some(({ mirrored }) => mirrored > 0);
    return [...away, ran ? 'No query ran often enough.' : 'No query has been replayed yet.'].join('; ');
  }
  const parts = [...away];
  const [worst] = found.slower;
  if (worst !== undefined) {
    const [ratio, where] = isSlowestInTheMiddle(worst) ? [worst.p50_ratio, 'p50'] : [worst.p95_ratio, 'p95'];
    const named = `the worst ${(ratio ?? 0).toFixed(1)}× at ${where}`;
    parts.push(`${counted(found.slower.length, 'query is', 'queries are')} slower on the mirror (${named})`);
  } else {
    const open = queries.filter(({ change }) => change === 'unknown').length;
    parts.push(
      open === 0
        ? 'no query is slower on the mirror'
        : `no query is known to be slower on the mirror (${open} of ${queries.length} ran too seldom, late or unevenly to tell)`,
    );
  }
  parts.push(
    found.failing.length === 0
      ? 'none fails only there'
      : `${counted(found.failing.length, 'fails', 'fail')} only there`,
  );
  if (queries.some(({ verified }) => verified !== null)) {
    const many = counted(found.different.length, 'answers', 'answer');
    parts.push(found.different.length === 0 ? 'none answers differently' : `${many} differently`);
  } else {
    parts.push('answers are not compared');
  }
  const sentence = parts.join(', ');
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`;
}

function counted(count: number, one: string, more: string): string {
  return `${count} ${count === 1 ? one : more}`;
}
