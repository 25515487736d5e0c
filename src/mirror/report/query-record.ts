import { LatencyHistogram } from './latency-histogram.ts';
import type { AnswerClass, AnswerExample } from './query-report.ts';
import { TimeSlices } from './time-slices.ts';

const MAX_EXAMPLES = 3;
/** SQLSTATEs kept one by one; a server may make up as many as it likes. */
const MAX_SQLSTATES = 50;
const OTHER_SQLSTATE = 'other';

/** What was counted for one kind of query. */
export class QueryRecord {
  readonly fingerprint: string;
  readonly text: string;
  readonly isParsed: boolean;
  calls = 0;
  late = 0;
  rows = 0;
  /** Whose answers were compared. */
  compared = 0;
  /** Compared in a way that allowed a verdict. */
  judged = 0;
  /** Of the judged: answers that the mirror gave otherwise. */
  mismatches = 0;
  /** Microseconds that the samples took together. */
  sourceTime = 0;
  mirrorTime = 0;
  readonly source = new LatencyHistogram();
  readonly mirror = new LatencyHistogram();
  /** What of the mirror's latencies is surely its own. */
  readonly mirrorAtLeast = new LatencyHistogram();
  /** The same as of the source and surely of the mirror, told apart by when it was. */
  readonly slices = new TimeSlices();
  readonly sourceErrors = new Map<string, number>();
  readonly mirrorErrors = new Map<string, number>();
  readonly classes = new Map<AnswerClass, number>();
  readonly examples = new Map<AnswerClass, AnswerExample[]>();

  constructor(identity: { readonly fingerprint: string; readonly text: string; readonly isParsed: boolean }) {
    this.fingerprint = identity.fingerprint;
    this.text = identity.text;
    this.isParsed = identity.isParsed;
  }

  /** What it costs: the time it took on both sides, and something for each call. */
  get cost(): number {
    return this.sourceTime + this.mirrorTime + this.calls;
  }

  /** A latency on both sides, in microseconds. */
  sample(times: {
    readonly at: number;
    readonly sourceTime: number;
    readonly mirrorTime: number;
    readonly mirrorTimeAtLeast: number;
  }): void {
    const { at, sourceTime, mirrorTime } = times;
    const surely = Math.min(mirrorTime, times.mirrorTimeAtLeast);
    this.source.record(sourceTime);
    this.mirror.record(mirrorTime);
    this.mirrorAtLeast.record(surely);
    this.slices.record(at, sourceTime, surely);
    this.sourceTime += sourceTime;
    this.mirrorTime += mirrorTime;
  }

  error(side: 'source' | 'mirror', sqlstate: string): void {
    increase(side === 'source' ? this.sourceErrors : this.mirrorErrors, sqlstate);
  }

  /** Answers differed in this way. The example is made only where there is room for one more. */
  differed(answerClass: AnswerClass, example: () => AnswerExample): void {
    this.classes.set(answerClass, (this.classes.get(answerClass) ?? 0) + 1);
    let examples = this.examples.get(answerClass);
    if (examples === undefined) this.examples.set(answerClass, (examples = []));
    if (examples.length < MAX_EXAMPLES) examples.push(example());
  }

  /** Takes over what another one counted; but not its examples and times, which are of another query. */
  add(other: QueryRecord): void {
    this.calls += other.calls;
    this.late += other.late;
    this.rows += other.rows;
    this.compared += other.compared;
    this.judged += other.judged;
    this.mismatches += other.mismatches;
    this.sourceTime += other.sourceTime;
    this.mirrorTime += other.mirrorTime;
    this.source.add(other.source);
    this.mirror.add(other.mirror);
    this.mirrorAtLeast.add(other.mirrorAtLeast);
    for (const [sqlstate, count] of other.sourceErrors) increase(this.sourceErrors, sqlstate, count);
    for (const [sqlstate, count] of other.mirrorErrors) increase(this.mirrorErrors, sqlstate, count);
    for (const [name, count] of other.classes) this.classes.set(name, (this.classes.get(name) ?? 0) + count);
  }
}

function increase(counts: Map<string, number>, sqlstate: string, by = 1): void {
  const key = counts.has(sqlstate) || counts.size < MAX_SQLSTATES ? sqlstate : OTHER_SQLSTATE;
  counts.set(key, (counts.get(key) ?? 0) + by);
}
