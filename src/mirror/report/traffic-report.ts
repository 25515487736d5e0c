import type { MirroredTransaction } from '../replay/mirrored-transaction.ts';
import type { AnsweredRequest } from '../replay/replay-options.ts';
import type { QueryIdentifier } from './query-identifier.ts';
import type { AnswerClass, AnswerExample, QueryReport } from './query-report.ts';
import { QueryStatistics } from './query-statistics.ts';
import type { ReportOptions } from './report-options.ts';
import { RequestQueries } from './request-queries.ts';

/** A mirror, as the report names it. */
export interface ReportedMirror {
  readonly id: number;
  readonly source: string;
  readonly destination: string;
}

/** Longest text of an example. */
const MAX_EXAMPLE = 1_000;

/** The statistics of all mirrors of the mirror process, query by query. */
export class TrafficReport {
  readonly #queries: RequestQueries;
  readonly #statistics = new Map<number, QueryStatistics>();
  #options: ReportOptions = { queries: 500, statements: 'fingerprint' };

  constructor(identifier: QueryIdentifier) {
    this.#queries = new RequestQueries(identifier);
  }

  configure(options: ReportOptions): void {
    this.#options = options;
    for (const statistics of this.#statistics.values()) statistics.limit = options.queries;
  }

  /** A request was answered on a mirror. */
  requestAnswered(mirror: number, transaction: MirroredTransaction, request: AnsweredRequest): void {
    const asked = this.#queries.of(transaction, request.index);
    if (asked === undefined) return;
    this.#statisticsOf(mirror).count({
      ...request,
      query: asked.query,
      isCall: asked.isCall,
      rows: 0,
      isConsequence: request.isTainted && request.mirrorError === '25P02',
      verdict: undefined,
      example: (answerClass) => this.#example(request, answerClass, asked.text),
    });
  }

  /** What is known of the queries on these mirrors; of others, it is forgotten. */
  report(mirrors: readonly ReportedMirror[]): QueryReport[] {
    const listed = new Set(mirrors.map(({ id }) => id));
    for (const id of this.#statistics.keys()) if (!listed.has(id)) this.#statistics.delete(id);
    const rows = mirrors.flatMap((mirror) => this.#statisticsOf(mirror.id).report({ ...mirror, compared: false }));
    return this.#options.statements === 'none' ? rows.map((row) => ({ ...row, query: '' })) : rows;
  }

  reset(): void {
    for (const statistics of this.#statistics.values()) statistics.reset();
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
    const said = (sqlstate: string): string => (sqlstate === '' ? 'no error' : sqlstate);
    const example = {
      at: new Date().toISOString(),
      source: said(request.sourceError),
      mirror: answerClass === 'timeout' ? 'no answer in time' : said(request.mirrorError),
    };
    if (this.#options.statements !== 'full') return example;
    return { ...example, text: Buffer.from(text.slice(0, MAX_EXAMPLE), 'latin1').toString('utf8') };
  }
}
