import type { QueryIdentity } from '../report/query-identifier.ts';
import type { AnswerClass } from '../report/query-report.ts';
import type { ComparisonCounts } from '../report/mirror-summary.ts';
import { differenceOf } from './difference.ts';
import type { Difference } from './difference.ts';
import type { CatalogFacts } from './mirror-catalog.ts';
import { factsOf } from './statement-facts.ts';
import type { StatementFacts } from './statement-facts.ts';
import { WriteLog } from './write-log.ts';
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
  readonly origins: readonly string[] | undefined;
  readonly sourceError: string;
  readonly mirrorError: string;
  /** From when on it saw what others had committed: its own start, or its transaction's. */
  readonly sentAt: number;
  readonly doneAt: number;
  readonly mirrorSentAt: number;
  readonly mirrorDoneAt: number;
  readonly own: LoggedWrite | undefined;
  /** Called once, perhaps at once. */
  readonly judge: (verdict: Verdict) => void;
}

/** So long a difference waits until all that may explain it has been told of. */
const PATIENCE_MS = 500;
const MAX_PENDING = 5_000;
/** Errors that come of what others do at the moment: serialization, deadlock, locks, cancelled, out of something. */
const OF_THE_MOMENT = /^(?:40|53|55P03|57|58|08)/;

interface Pending {
  readonly request: ComparedRequest;
  readonly answerClass: AnswerClass;
  readonly facts: StatementFacts;
  readonly relations: ReadonlySet<string> | undefined;
  readonly since: number;
}

/**
 * Compares the answers of one mirror with those of its source. Answers that are the same are the same, whatever happened
 * meanwhile. Those that are not are held back for a moment, until the writes that were under way are known, and are the
 * mirror's doing only where nothing else explains them (`WriteLog`): values that servers make for themselves, rows that
 * come in any order, locks, errors of the moment.
 */
export class Comparison {
  readonly writes = new WriteLog();
  readonly #catalog: () => CatalogFacts | undefined;
  readonly #origins = new Map<string, readonly string[]>();
  #pending: Pending[] = [];
  #counts = { match: 0, mismatch: 0, unverified: 0, ambiguous: 0 };
  #classes: Partial<Record<AnswerClass, number>> = {};

  constructor(catalog: () => CatalogFacts | undefined) {
    this.#catalog = catalog;
  }

  get counts(): ComparisonCounts {
    return { ...this.#counts, classes: { ...this.#classes } };
  }

  /** `now` in milliseconds of the monotonic clock. */
  compare(request: ComparedRequest, now: number): void {
    const facts = factsOf(request.query);
    if (request.origins !== undefined) this.#remember(request.query.fingerprint, request.origins);
    const difference = this.#difference(request);
    if (difference === undefined) return this.#judge(request, { judged: true, answerClass: undefined });
    const excuse = this.#excuse(request, difference, facts);
    if (excuse !== undefined) return this.#judge(request, { judged: false, answerClass: excuse });
    if (this.#pending.length >= MAX_PENDING) {
      return this.#judge(request, { judged: false, answerClass: 'unverified' });
    }
    const relations = this.relationsOf(facts);
    this.#pending.push({ request, answerClass: difference.answerClass, facts, relations, since: now });
  }

  /** Judges what has waited long enough. */
  sweep(now: number): void {
    let index = 0;
    for (; index < this.#pending.length; index++) {
      const pending = this.#pending[index];
      if (pending === undefined || now - pending.since < PATIENCE_MS) break;
      this.#settle(pending);
    }
    if (index > 0) this.#pending = this.#pending.slice(index);
  }

  /** RESET STATS. */
  resetCounts(): void {
    this.#counts = { match: 0, mismatch: 0, unverified: 0, ambiguous: 0 };
    this.#classes = {};
  }

  /** The relations of a statement, as far as they are all it touches. */
  relationsOf({ relations, functions, isUnknown }: StatementFacts): ReadonlySet<string> | undefined {
    if (isUnknown) return undefined;
    if (relations.size + functions.size === 0) return relations;
    const catalog = this.#catalog();
    if (catalog === undefined) return undefined;
    for (const name of functions) if (catalog.functions.get(name)?.reads !== false) return undefined;
    for (const relation of relations) if (catalog.opaque.has(relation)) return undefined;
    return relations;
  }

  /** Whether a statement changes rows, or may. */
  writesRows({ writes, functions }: StatementFacts): boolean {
    if (writes) return true;
    for (const name of functions) if (this.#catalog()?.functions.get(name)?.writes !== false) return true;
    return false;
  }

  #difference({ source, mirror, sourceError, mirrorError }: ComparedRequest): Difference | undefined {
    if (sourceError === mirrorError) return sourceError === '' ? differenceOf(source, mirror) : undefined;
    const answerClass = sourceError === '' ? 'error_new' : mirrorError === '' ? 'error_missing' : 'error_changed';
    return { answerClass, columns: undefined };
  }

  /** Why a difference says nothing of the mirror, whatever the order was. */
  #excuse(request: ComparedRequest, difference: Difference, facts: StatementFacts): AnswerClass | undefined {
    const { answerClass } = difference;
    if (answerClass.startsWith('error_')) {
      const { sourceError, mirrorError } = request;
      return OF_THE_MOMENT.test(sourceError) || OF_THE_MOMENT.test(mirrorError) ? 'ambiguous' : undefined;
    }
    if (answerClass === 'schema') return undefined;
    if (facts.isVolatile || readsCatalogs(facts)) return 'generated';
    if (facts.dependsOnLocks) return 'ambiguous';
    if (answerClass === 'row_content') {
      if (this.#isGenerated(request, difference, facts)) return 'generated';
      if (facts.dependsOnOrder) return 'ambiguous';
    }
    return undefined;
  }

  /** Every column that differs gets its values from the server, or may be computed from such. */
  #isGenerated({ query, origins }: ComparedRequest, { columns }: Difference, facts: StatementFacts): boolean {
    const catalog = this.#catalog();
    if (catalog === undefined) return false;
    for (const name of facts.functions) if (catalog.functions.get(name)?.generates !== false) return true;
    if (facts.isUnknown) return true;
    if (!intersects(facts.relations, catalog.generating)) return false;
    const known = origins ?? this.#origins.get(query.fingerprint);
    if (columns === undefined || known === undefined) return true;
    return columns.every((column) => {
      const origin = known[column];
      if (origin === undefined || origin.startsWith('0 ') || catalog.generatedColumns.has(origin)) return true;
      return catalog.generatedColumns.has(`${origin.split(' ', 1)[0]} *`);
    });
  }

  #settle({ request, answerClass, facts, relations }: Pending): void {
    const snapshot = facts.readsEarlier ? undefined : relations;
    const order: Order =
      this.#catalog() === undefined
        ? 'unverified'
        : this.writes.order({
            relations: snapshot,
            seesFrom: request.sentAt,
            doneAt: request.doneAt,
            mirrorSeesFrom: request.mirrorSentAt,
            mirrorDoneAt: request.mirrorDoneAt,
            own: request.own,
          });
    if (order !== 'clear') return this.#judge(request, { judged: false, answerClass: order });
    // From here on its relations are known not to be alike: what follows from that is no finding of its own.
    if (this.writesRows(facts)) this.writes.taint(relations, request.sentAt);
    this.#judge(request, { judged: true, answerClass });
  }

  #judge(request: ComparedRequest, verdict: Verdict): void {
    const { answerClass, judged } = verdict;
    if (answerClass === undefined) this.#counts.match++;
    else {
      this.#classes[answerClass] = (this.#classes[answerClass] ?? 0) + 1;
      if (judged && answerClass === 'order_only') this.#counts.match++;
      else if (judged) this.#counts.mismatch++;
      else if (answerClass === 'ambiguous') this.#counts.ambiguous++;
      else this.#counts.unverified++;
    }
    request.judge(verdict);
  }

  #remember(fingerprint: string, origins: readonly string[]): void {
    if (this.#origins.size >= 10_000) this.#origins.clear();
    this.#origins.set(fingerprint, origins);
  }
}

/** The catalogs of each server are its own. */
function readsCatalogs({ relations }: StatementFacts): boolean {
  for (const relation of relations) if (relation.startsWith('pg_')) return true;
  return false;
}

function intersects(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  for (const one of a) if (b.has(one)) return true;
  return false;
}
