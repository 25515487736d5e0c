import type { Logger } from 'pino';
import { monotonicNow } from '../../util/clock.ts';
import type { Verdict } from '../compare/comparison.ts';
import { differenceOf, digestWords } from '../compare/difference.ts';
import { DigestOffset } from '../compare/digest-format.ts';
import type { CompareOptions } from '../compare/compare-options.ts';
import { MirrorComparison } from '../compare/mirror-comparison.ts';
import type { AskCatalog } from '../compare/mirror-catalog.ts';
import { Change } from '../record/change-notes.ts';
import type { Outcome } from '../record/record-stream.ts';
import { nextEvent } from '../replay/event-counter.ts';
import type { MirroredTransaction } from '../replay/mirrored-transaction.ts';
import type { AnsweredRequest } from '../replay/replay-options.ts';
import { LostRequests } from './lost-requests.ts';
import { logMismatch } from './log-mismatch.ts';
import type { QueryIdentifier, QueryIdentity } from './query-identifier.ts';
import type { AnswerClass, AnswerExample, QueryReport } from './query-report.ts';
import { permittedTexts } from './permitted-texts.ts';
import { QueryStatistics } from './query-statistics.ts';
import type { ReportOptions } from './report-options.ts';
import { RequestQueries } from './request-queries.ts';
import type { RequestQuery } from './request-queries.ts';
import { NOTHING_COMPARED } from './mirror-summary.ts';
import type { ComparisonCounts } from './mirror-summary.ts';

/** A mirror, as the report names it. */
export interface ReportedMirror {
  readonly id: number;
  readonly source: string;
  readonly destination: string;
}

/** A mirror, and how its answers are compared. */
export interface ComparedMirror extends ReportedMirror {
  readonly compare?: CompareOptions | undefined;
}

/** Timers are as exact as this. */
const TIMER_MS = 1;
/** Of one sweep among those of the last seconds. */
const LATENESS_WEIGHT = 0.05;
/** Longest text of an example. */
const MAX_EXAMPLE = 1_000;

/** The statistics of all mirrors of the mirror process, query by query. */
export class TrafficReport {
  readonly #queries: RequestQueries;
  readonly #statistics = new Map<number, QueryStatistics>();
  readonly #comparisons = new Map<number, { readonly comparison: MirrorComparison; readonly mirror: ComparedMirror }>();
  readonly #lost = new Map<number, LostRequests>();
  /** Mirrors that there are or were. */
  readonly #seen = new Set<number>();
  /** By control mirror, the mirrors whose noise it shows. */
  #controlled = new Map<number, number[]>();
  /** Up to where each pooler thread has told everything. */
  readonly #toldUntil = new Map<object, number>();
  /** When it was swept last, and how much too late that mostly is. */
  #sweptAt = 0;
  #lateness = 0;
  /** What each connection to a mirror has run. */
  readonly #ran = new WeakMap<object, WeakSet<QueryIdentity>>();
  readonly #logger: Logger;
  #options: ReportOptions = { queries: 500, statements: 'fingerprint' };

  constructor(identifier: QueryIdentifier, logger: Logger) {
    this.#logger = logger;
    this.#queries = new RequestQueries(identifier);
  }

  configure(options: ReportOptions): void {
    this.#options = options;
    for (const statistics of this.#statistics.values()) statistics.limit = options.queries;
  }

  /** Takes over which mirrors there are, and how their answers are compared. */
  compare(mirrors: readonly ComparedMirror[], ask: (mirror: number) => AskCatalog): void {
    const compared = new Set(mirrors.filter(({ compare }) => compare !== undefined).map(({ id }) => id));
    for (const id of this.#comparisons.keys()) if (!compared.has(id)) this.#comparisons.delete(id);
    this.#controlled = new Map();
    for (const mirror of mirrors) {
      const { id, compare } = mirror;
      if (compare !== undefined) this.#comparisons.set(id, { comparison: this.#comparison(id, ask), mirror });
      this.#seen.add(id);
      if (compare?.control === undefined) continue;
      this.#controlled.set(compare.control, [...(this.#controlled.get(compare.control) ?? []), id]);
    }
  }

  #comparison(id: number, ask: (mirror: number) => AskCatalog): MirrorComparison {
    const known = this.#comparisons.get(id)?.comparison;
    if (known !== undefined) return known;
    const comparison = new MirrorComparison(this.#queries, ask(id));
    // Nobody took note of what it missed before.
    if (this.#seen.has(id)) comparison.missed(Change.Definitions);
    return comparison;
  }

  transactionArrived(mirror: number, transaction: MirroredTransaction): void {
    const compared = this.#comparisons.get(mirror);
    if (compared === undefined) return;
    const control = compared.mirror.compare?.control;
    const hasControl = control === undefined ? undefined : transaction.recorded.targets.includes(control);
    compared.comparison.arrived(transaction, hasControl);
  }

  transactionEnded(mirror: number, transaction: MirroredTransaction, outcome: Outcome): void {
    this.#comparisons.get(mirror)?.comparison.ended(transaction, outcome, nextEvent());
    for (const id of this.#controlled.get(mirror) ?? [])
      this.#comparisons.get(id)?.comparison.control(transaction, undefined);
  }

  /** What the mirror is to have done with before it begins this, so that its answers can be compared. */
  predecessorOf(mirror: number, transaction: MirroredTransaction, isLate: boolean): MirroredTransaction | undefined {
    return this.#comparisons.get(mirror)?.comparison.predecessorOf(transaction, isLate);
  }

  /** `change`: what it may have changed on the source. */
  transactionMissed(mirror: number, change: number): void {
    this.#comparisons.get(mirror)?.comparison.missed(change as Change);
  }

  /** Of what ended on the source before that moment of its event counter, nothing more comes by a pooler thread's link. */
  toldUntil(link: object, sequence: number): void {
    this.#toldUntil.set(link, sequence);
  }

  /** The thread, or its link, is gone; what it had recorded and not sent is lost. */
  closed(link: object): void {
    this.#toldUntil.delete(link);
    for (const { comparison } of this.#comparisons.values()) comparison.missed(Change.Definitions);
  }

  resetMirror(mirror: number): void {
    this.#comparisons.get(mirror)?.comparison.reset();
  }

  comparisonOf(mirror: number): ComparisonCounts {
    return this.#comparisons.get(mirror)?.comparison.comparison.counts ?? NOTHING_COMPARED;
  }

  /** Called every `everyMs`, or later where the machine has no time. */
  sweep(now: number, everyMs: number): void {
    if (this.#sweptAt > 0) {
      const late = Math.max(0, now - this.#sweptAt - everyMs - TIMER_MS);
      this.#lateness += (late - this.#lateness) * LATENESS_WEIGHT;
    }
    this.#sweptAt = now;
    for (const lost of this.#lost.values()) lost.sweep(now);
    const toldUntil = Math.min(...this.#toldUntil.values());
    for (const { comparison } of this.#comparisons.values()) comparison.sweep(now, toldUntil);
  }

  /** A request was answered on a mirror. */
  requestAnswered(mirror: number, transaction: MirroredTransaction, request: AnsweredRequest): void {
    const asked = this.#queries.of(transaction, request.index);
    if (asked === undefined) return;
    for (const id of this.#controlled.get(mirror) ?? [])
      this.#comparisons.get(id)?.comparison.control(transaction, request);
    const at = monotonicNow();
    const { outage, isUnheard } = request;
    const count = (verdict: Verdict | undefined, isLost = isUnheard): void =>
      this.#count(mirror, asked, { ...request, at, isLost }, verdict);
    const compared = this.#comparisons.get(mirror)?.comparison;
    if (compared?.answered(transaction, asked, request, count, at) === true) return;
    if (outage === undefined) return count(undefined);
    const { fingerprint } = asked.query;
    this.#lostOn(mirror).hold({ fingerprint, outage, count: (isItsDoing) => count(undefined, !isItsDoing) });
  }

  #count(
    mirror: number,
    asked: RequestQuery,
    request: AnsweredRequest & { readonly at: number; readonly isLost: boolean },
    verdict: Verdict | undefined,
  ): void {
    const answerClass = this.#statisticsOf(mirror).count({
      ...request,
      isMeasured: request.isMeasured && !this.#isFirst(request.connection, asked.query),
      query: asked.query,
      isCall: asked.isCall,
      rows: request.digests?.mirror.readDoubleLE(DigestOffset.Rows) ?? 0,
      isConsequence: request.isTainted && !request.endedConnection,
      verdict,
      example: (named) => this.#example(request, named, asked.text),
    });
    const compared = this.#comparisons.get(mirror)?.mirror;
    const isOther = answerClass !== undefined && answerClass !== 'generated' && verdict?.judged === true;
    if (!isOther || compared?.compare?.logMismatches !== true) return;
    const { source, destination } = compared;
    const text = this.#options.statements === 'full' ? { text: shownText(asked.text) } : {};
    const what = { fingerprint: asked.query.fingerprint, class: answerClass, digests: request.digests, ...text };
    logMismatch(this.#logger, { source, destination }, what);
  }

  /** A connection runs a kind of query for the first time: it has the catalogs to read, which the next time it has not. */
  #isFirst(connection: object, query: QueryIdentity): boolean {
    let ran = this.#ran.get(connection);
    if (ran === undefined) this.#ran.set(connection, (ran = new WeakSet()));
    if (ran.has(query)) return false;
    ran.add(query);
    return true;
  }

  /** What is known of the queries on these mirrors; of others, it is forgotten. */
  report(mirrors: readonly ReportedMirror[]): QueryReport[] {
    const listed = new Set(mirrors.map(({ id }) => id));
    for (const id of this.#statistics.keys()) if (!listed.has(id)) this.#statistics.delete(id);
    for (const id of this.#lost.keys()) if (!listed.has(id)) this.#lost.delete(id);
    const rows = mirrors.flatMap((mirror) =>
      this.#statisticsOf(mirror.id).report({
        ...mirror,
        compared: this.#comparisons.has(mirror.id),
        lateness: this.#lateness,
      }),
    );
    return rows.map((row) => permittedTexts(row, this.#options.statements));
  }

  reset(): void {
    for (const statistics of this.#statistics.values()) statistics.reset();
    this.#lost.clear();
    for (const { comparison } of this.#comparisons.values()) comparison.comparison.resetCounts();
  }

  #lostOn(mirror: number): LostRequests {
    let lost = this.#lost.get(mirror);
    if (lost === undefined) this.#lost.set(mirror, (lost = new LostRequests()));
    return lost;
  }

  #statisticsOf(mirror: number): QueryStatistics {
    let statistics = this.#statistics.get(mirror);
    if (statistics === undefined) {
      statistics = new QueryStatistics(this.#options.queries);
      this.#statistics.set(mirror, statistics);
    }
    return statistics;
  }

  #example(request: AnsweredRequest, answerClass: AnswerClass, text: string): AnswerExample {
    const { digests } = request;
    const byError = request.sourceError !== request.mirrorError || digests === undefined;
    const said = (sqlstate: string): string => (sqlstate === '' ? 'no error' : sqlstate);
    const columns = digests && differenceOf(digests.source, digests.mirror)?.columns;
    const example = {
      at: new Date().toISOString(),
      source: byError ? said(request.sourceError) : digestWords(digests.source, answerClass, columns),
      mirror:
        answerClass === 'timeout'
          ? 'no answer in time'
          : byError
            ? said(request.mirrorError)
            : digestWords(digests.mirror, answerClass, columns),
    };
    return this.#options.statements === 'full' ? { ...example, text: shownText(text) } : example;
  }
}

function shownText(latin1: string): string {
  return Buffer.from(latin1.slice(0, MAX_EXAMPLE), 'latin1').toString('utf8');
}
