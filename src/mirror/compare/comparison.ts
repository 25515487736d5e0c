import type { QueryIdentity } from '../report/query-identifier.ts';
import type { AnswerClass } from '../report/query-report.ts';
import type { ComparisonCounts } from '../report/mirror-summary.ts';
import type { ColumnOrigin } from './column-origin.ts';
import type { ControlNotes } from './control-notes.ts';
import { differenceOf } from './difference.ts';
import type { Difference } from './difference.ts';
import { constrainedBy, excuseOf } from './excuse.ts';
import type { Excuse } from './excuse.ts';
import type { MirrorKnowledge } from './mirror-knowledge.ts';
import { factsOf } from './statement-facts.ts';
import type { StatementFacts } from './statement-facts.ts';
import type { LoggedWrite, Order } from './write-log.ts';

/** What came of comparing one request's answers. `answerClass` is undefined where they are the same. */
export interface Verdict {
  readonly judged: boolean;
  readonly answerClass: AnswerClass | undefined;
}

/** The answers to one request on both sides. Numbers are those of the event counters. */
export interface ComparedRequest {
  readonly query: QueryIdentity;
  readonly source: Buffer;
  readonly mirror: Buffer;
  /** Where the mirror's columns come from, if it said so. */
  readonly origins: readonly ColumnOrigin[] | undefined;
  readonly sourceError: string;
  readonly mirrorError: string;
  /** It erred on the mirror alone, and calls types that users made by the OIDs that they have on the source. */
  readonly namesOwnTypes: boolean;
  /** It reads on in what was opened nobody knows when. */
  readonly seesUnknown: boolean;
  /** From when on it saw what others had committed: its own start, or its transaction's. */
  readonly sentAt: number;
  readonly doneAt: number;
  readonly mirrorSentAt: number;
  readonly mirrorDoneAt: number;
  readonly own: LoggedWrite | undefined;
  /** What the control mirror answered to it, where there is one. */
  readonly control: ControlNotes | undefined;
  readonly index: number;
  /** Called once, perhaps at once. */
  readonly judge: (verdict: Verdict) => void;
}

/** A difference waits at most so long until all that may explain it has been told of. */
const PATIENCE_MS = 30_000;
const MAX_PENDING = 5_000;
/** Differences that are none: rows may come in any order, and what a server makes for itself is its own. */
const NO_MISMATCHES: ReadonlySet<AnswerClass> = new Set(['order_only', 'generated']);
/** Errors that have nothing to do with rows (appendix A of the manual): syntax and access, features, names of databases and schemas. */
const OF_DEFINITIONS = /^(?:42|0A|3D|3F)/;

interface Pending {
  readonly request: ComparedRequest;
  readonly difference: Difference;
  readonly facts: StatementFacts;
  readonly since: number;
}

/**
 * Compares the answers of one mirror with those of its source. Answers that are the same are the same, whatever happened
 * meanwhile. Those that are not are held back until the writes that were under way are known, and are the mirror's doing
 * only where nothing else explains them: values that servers make for themselves, rows that come in any order, locks, errors
 * of the moment (`excuse.ts`), another order of writes (`WriteLog`), or noise, which the control mirror shows as well; where
 * there is a control mirror, which missed the request, nobody knows.
 */
export class Comparison {
  readonly #knowledge: MirrorKnowledge;
  #pending: Pending[] = [];
  #counts = { match: 0, mismatch: 0, unverified: 0, ambiguous: 0 };
  #classes: Partial<Record<AnswerClass, number>> = {};

  constructor(knowledge: MirrorKnowledge) {
    this.#knowledge = knowledge;
  }

  get counts(): ComparisonCounts {
    return { ...this.#counts, classes: { ...this.#classes } };
  }

  /** `now` in milliseconds of the monotonic clock. */
  compare(request: ComparedRequest, now: number): void {
    const facts = factsOf(request.query);
    if (request.origins !== undefined) this.#knowledge.describes(request.query, request.origins);
    const difference = differenceBetween(request);
    if (difference === undefined) {
      if (facts.insertsOnly) this.#knowledge.inStep(request.query, facts, request.mirror);
      return this.#judge(request, { judged: true, answerClass: undefined });
    }
    if (this.#pending.length < MAX_PENDING) this.#pending.push({ request, difference, facts, since: now });
    else this.#judge(request, { judged: false, answerClass: 'unverified' });
  }

  /** Answers are not the same, and nobody can say that they ought to be. */
  leave(answerClass: 'ambiguous' | 'unverified', judge: ComparedRequest['judge']): void {
    this.#judge({ judge }, { judged: false, answerClass });
  }

  /** Judges what has waited long enough. `toldUntil`: all that ended on the source before has been told of. */
  sweep(now: number, toldUntil: number): void {
    if (this.#pending.length === 0) return;
    this.#pending = this.#pending.filter((pending) => {
      const { request, since } = pending;
      const isTired = now - since > PATIENCE_MS;
      const isKnown = request.doneAt < toldUntil && this.#knowledge.isCurrent;
      const noise = request.control?.differed(request.index);
      if (isTired) this.#judge(request, { judged: false, answerClass: 'unverified' });
      else if (!isKnown || noise === 'unknown') return true;
      else this.#settle(pending, noise);
      return false;
    });
  }

  /** RESET STATS. */
  resetCounts(): void {
    this.#counts = { match: 0, mismatch: 0, unverified: 0, ambiguous: 0 };
    this.#classes = {};
  }

  /** `noise`: whether the control mirror shows it as well, where there is one. */
  #settle({ request, difference, facts }: Pending, noise: 'yes' | 'no' | 'never' | undefined): void {
    const { answerClass } = difference;
    const excuse = excuseOf(request, difference, facts, this.#knowledge) ?? excuseOfNoise(answerClass, noise);
    const order = excuse?.judged === true ? 'clear' : this.#orderOf(request, answerClass, facts);
    // From here on its relations are known not to be alike: what follows from that is no finding of its own.
    if (excuse?.spoils !== false) this.#knowledge.spoilt(facts, request.sentAt);
    if (order === 'clear')
      return this.#judge(request, { judged: excuse?.judged ?? true, answerClass: excuse?.answerClass ?? answerClass });
    this.#judge(request, {
      judged: false,
      answerClass: order === 'ambiguous' ? order : (excuse?.answerClass ?? order),
    });
  }

  #orderOf(request: ComparedRequest, answerClass: AnswerClass, facts: StatementFacts): Order {
    const { sourceError, mirrorError } = request;
    const relations = facts.readsEarlier ? undefined : constrainedBy(request, facts, this.#knowledge);
    const isError = answerClass.startsWith('error_');
    const ofDefinitions =
      answerClass === 'schema' ||
      (isError && [sourceError, mirrorError].every((code) => code === '' || OF_DEFINITIONS.test(code)));
    if (request.seesUnknown && !ofDefinitions) return 'unverified';
    return this.#knowledge.writes.order({
      relations,
      // Where no rows are read an error is about what was named: a role that is not there yet (22023).
      ofDefinitions: ofDefinitions || (isError && relations?.size === 0),
      seesFrom: request.sentAt,
      doneAt: request.doneAt,
      mirrorSeesFrom: request.mirrorSentAt,
      mirrorDoneAt: request.mirrorDoneAt,
      own: request.own,
    });
  }

  #judge(request: Pick<ComparedRequest, 'judge'>, verdict: Verdict): void {
    const { answerClass, judged } = verdict;
    if (answerClass === undefined) this.#counts.match++;
    else {
      this.#classes[answerClass] = (this.#classes[answerClass] ?? 0) + 1;
      if (judged && NO_MISMATCHES.has(answerClass)) this.#counts.match++;
      else if (judged) this.#counts.mismatch++;
      else if (answerClass === 'ambiguous') this.#counts.ambiguous++;
      else this.#counts.unverified++;
    }
    request.judge(verdict);
  }
}

/** In which way the answers are not the same. */
export function differenceBetween(answers: {
  readonly source: Buffer;
  readonly mirror: Buffer;
  readonly sourceError: string;
  readonly mirrorError: string;
}): Difference | undefined {
  const { source, mirror, sourceError, mirrorError } = answers;
  if (sourceError === mirrorError) return sourceError === '' ? differenceOf(source, mirror) : undefined;
  const answerClass = sourceError === '' ? 'error_new' : mirrorError === '' ? 'error_missing' : 'error_changed';
  return { answerClass, columns: undefined };
}

/** What the control mirror was not asked might be noise. */
function excuseOfNoise(answerClass: AnswerClass, noise: 'yes' | 'no' | 'never' | undefined): Excuse | undefined {
  if (noise === 'never') return { answerClass: 'unverified', judged: false, spoils: true };
  if (noise !== 'yes') return undefined;
  return { answerClass: answerClass === 'row_content' ? 'generated' : 'ambiguous', judged: false, spoils: true };
}
