import { endsConnections } from '../replay/ends-connections.ts';
import type { QueryIdentity } from './query-identifier.ts';
import { QueryRecord } from './query-record.ts';
import type { AnswerClass, AnswerExample, QueryReport } from './query-report.ts';
import { commonDelay, reportOf } from './report-of.ts';
import { lacksSessionNumber } from './session-numbers.ts';

/** The fingerprint of the sum of all that is not kept one by one. */
const OTHER = 'other';

/** The classes in which the mirror's answer is another than the source's, and it is the mirror's doing. */
const MISMATCHES: ReadonlySet<AnswerClass> = new Set([
  'error_missing',
  'error_changed',
  'tag',
  'row_count',
  'row_content',
  'schema',
]);

/** A machine that lets processes wait longer is taken for one that does so for this long: what is far slower shows there, too. */
const MAX_LATENESS_MS = 1;

/** One replayed request, as it is counted. Times in microseconds. */
export interface CountedRequest {
  readonly query: QueryIdentity;
  /** It ran something, and did not only prepare it. */
  readonly isCall: boolean;
  /** When the mirror had answered, in milliseconds of the monotonic clock. */
  readonly at: number;
  readonly sourceTime: number;
  readonly mirrorTime: number;
  /** How much of that the mirror surely took. */
  readonly mirrorTimeAtLeast: number;
  /** Both times are of the same work. */
  readonly isMeasured: boolean;
  readonly isLate: boolean;
  /** Rows that the mirror answered with or changed. */
  readonly rows: number;
  /** SQLSTATEs of the first errors, or empty. */
  readonly sourceError: string;
  readonly mirrorError: string;
  /** An earlier request of its block erred on the mirror alone: what is other in this answer only follows from that. */
  readonly isConsequence: boolean;
  readonly timedOut: boolean;
  /** The mirror was lost amid it, and nothing says that it was its doing. */
  readonly isLost: boolean;
  /** Answers were compared, and this is what came of it: `answerClass` is undefined where they are the same. */
  readonly verdict: { readonly judged: boolean; readonly answerClass: AnswerClass | undefined } | undefined;
  readonly example: (answerClass: AnswerClass) => AnswerExample;
}

/**
 * What is counted on one mirror for each kind of query. Bounded: the `limit` most costly kinds are kept one by one, the
 * rest is summed as one. While counting, twice as many are kept, so that one that becomes costly only later has time to.
 */
export class QueryStatistics {
  readonly #records = new Map<string, QueryRecord>();
  #other = otherRecord();
  #limit: number;
  #since = new Date();

  constructor(limit: number) {
    this.#limit = limit;
  }

  set limit(limit: number) {
    this.#limit = limit;
  }

  /** Counts it; in which way its answer differed, if it did. */
  count(request: CountedRequest): AnswerClass | undefined {
    const record = this.#recordOf(request.query);
    const { sourceError, mirrorError } = request;
    if (request.isCall) {
      record.calls++;
      record.rows += request.rows;
      if (request.isLate) record.late++;
    }
    if (sourceError !== '') record.error('source', sourceError);
    if (mirrorError !== '' && !request.isConsequence) record.error('mirror', mirrorError);
    const answerClass = classOf(request);
    if (answerClass !== undefined) record.differed(answerClass, () => request.example(answerClass));
    if (request.verdict?.judged) {
      record.judged++;
      if (answerClass !== undefined && MISMATCHES.has(answerClass)) record.mismatches++;
    }
    if (request.verdict !== undefined) record.compared++;
    const isSample = request.isCall && request.isMeasured && !request.isLate && !request.timedOut;
    if (isSample && sourceError === '' && mirrorError === '') record.sample(request);
    return answerClass;
  }

  /** The normalized text of a fingerprint, if it can be parsed again. */
  textOf(fingerprint: string): string | undefined {
    const record = this.#records.get(fingerprint);
    return record?.isParsed ? record.text : undefined;
  }

  reset(): void {
    this.#records.clear();
    this.#other = otherRecord();
    this.#since = new Date();
  }

  /** What is known, the most costly first. */
  report(mirror: {
    readonly source: string;
    readonly destination: string;
    readonly compared: boolean;
    /** Milliseconds that this process waits until the machine lets it run. */
    readonly lateness?: number;
  }): QueryReport[] {
    const records = this.#byCost();
    const other = otherRecord();
    other.add(this.#other);
    for (const record of records.splice(this.#limit)) other.add(record);
    if (other.calls > 0) records.push(other);
    const lateness = Math.min(mirror.lateness ?? 0, MAX_LATENESS_MS);
    const away = commonDelay(records, lateness);
    return records.map((record) => reportOf(record, { ...mirror, away, lateness }, this.#since));
  }

  #recordOf(query: QueryIdentity): QueryRecord {
    let record = this.#records.get(query.fingerprint);
    if (record === undefined) {
      record = new QueryRecord(query);
      if (this.#records.size >= this.#limit * 2) this.#forgetCheap();
      this.#records.set(query.fingerprint, record);
    }
    return record;
  }

  #forgetCheap(): void {
    for (const record of this.#byCost().slice(this.#limit)) {
      this.#records.delete(record.fingerprint);
      this.#other.add(record);
    }
  }

  #byCost(): QueryRecord[] {
    return [...this.#records.values()].toSorted((a, b) => b.cost - a.cost);
  }
}

function otherRecord(): QueryRecord {
  return new QueryRecord({ fingerprint: OTHER, text: 'all other queries together', isParsed: false });
}

function classOf(request: CountedRequest): AnswerClass | undefined {
  const { sourceError, mirrorError } = request;
  if (request.isLost) return 'ambiguous';
  if (request.timedOut) return 'timeout';
  if (request.isConsequence) return undefined;
  if (request.verdict !== undefined) return request.verdict.answerClass;
  if (endsConnections(mirrorError) && mirrorError !== sourceError) return 'ambiguous';
  if (mirrorError !== sourceError && lacksSessionNumber(request.query, request)) return 'generated';
  if (mirrorError !== '' && sourceError === '') return 'error_new';
  if (mirrorError === '' && sourceError !== '') return 'error_missing';
  return mirrorError === sourceError ? undefined : 'error_changed';
}
