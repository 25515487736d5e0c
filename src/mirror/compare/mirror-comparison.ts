import { Change } from '../record/change-notes.ts';
import { Outcome, TransactionFlag } from '../record/record-stream.ts';
import type { MirroredTransaction } from '../replay/mirrored-transaction.ts';
import type { AnsweredRequest } from '../replay/replay-options.ts';
import { RequestCursor } from '../replay/request-cursor.ts';
import type { RequestQueries, RequestQuery } from '../report/request-queries.ts';
import { Comparison, differenceBetween } from './comparison.ts';
import type { Verdict } from './comparison.ts';
import { ControlNotes } from './control-notes.ts';
import { wordsOf } from './defined-names.ts';
import type { DefinedNames } from './defined-names.ts';
import { MirrorCatalog } from './mirror-catalog.ts';
import type { AskCatalog } from './mirror-catalog.ts';
import { MirrorKnowledge } from './mirror-knowledge.ts';
import { namesOwnTypes } from './own-types.ts';
import { SourceOrder } from './source-order.ts';
import type { Underway } from './source-order.ts';
import { factsOf } from './statement-facts.ts';
import type { StatementFacts } from './statement-facts.ts';
import type { LoggedWrite, WriteScope } from './write-log.ts';

const NO_RELATIONS: ReadonlySet<string> = new Set();
/** So many characters of a text are searched for names, and of a transaction's texts together. */
const MAX_TEXT = 4_096;
const MAX_TEXTS = 8_192;
const cursor = new RequestCursor();

/** A transaction of this mirror that has not ended there. */
interface Open {
  readonly write: LoggedWrite | undefined;
  readonly underway: Underway<MirroredTransaction>;
  /** Its requests all see what was committed when the first was sent. */
  readonly oneSnapshot: boolean;
  readonly sentAt: number;
  mirrorSentAt: number;
}

/**
 * Compares one mirror's answers with the source's: follows its transactions, notes which of them write what, and hands
 * each request's answers to the comparison.
 */
export class MirrorComparison {
  readonly comparison: Comparison;
  readonly #knowledge: MirrorKnowledge;
  readonly #catalog: MirrorCatalog;
  readonly #queries: RequestQueries;
  readonly #order = new SourceOrder<MirroredTransaction>();
  readonly #open = new Map<MirroredTransaction, Open>();
  /** What the control mirror answered, which may come later than the mirror's own answers. */
  readonly #controls = new WeakMap<MirroredTransaction, ControlNotes>();

  constructor(queries: RequestQueries, ask: AskCatalog) {
    this.#queries = queries;
    this.#catalog = new MirrorCatalog(ask);
    this.#knowledge = new MirrorKnowledge(this.#catalog);
    this.comparison = new Comparison(this.#knowledge);
  }

  /**
   * The mirror process has it; what becomes of it will be told. `hasControl`: the control mirror gets it, too; undefined:
   * there is none.
   */
  arrived(transaction: MirroredTransaction, hasControl: boolean | undefined): void {
    if (hasControl !== undefined) this.#controls.set(transaction, new ControlNotes());
    if (hasControl === false) this.control(transaction, undefined);
    const open = this.#lookAt(transaction);
    if (open.write !== undefined) this.#knowledge.writes.add(open.write);
    this.#order.add(open.underway);
    this.#open.set(transaction, open);
  }

  /** A request was answered. `judge` is called once where it is compared, perhaps later; false: it is not. */
  answered(
    transaction: MirroredTransaction,
    asked: RequestQuery,
    request: AnsweredRequest,
    judge: (verdict: Verdict) => void,
    now: number,
  ): boolean {
    const open = this.#open.get(transaction);
    if (open === undefined) return false;
    open.mirrorSentAt = Math.min(open.mirrorSentAt, request.mirrorSentAt);
    const { write } = open;
    if (write !== undefined) {
      write.mirrorBegunAt = Math.min(write.mirrorBegunAt, request.mirrorSentAt);
      write.mirrorSentAt = request.mirrorSentAt;
    }
    const { digests, timedOut, endedConnection, isTainted, isForced, isInBlock, isCancelled } = request;
    // A server that ends its connection did so itself, whatever else was other there.
    if (digests === undefined || timedOut || endedConnection || isTainted) return false;
    if (isCancelled || (isForced && isInBlock)) {
      if (request.sourceError === request.mirrorError) return false;
      this.comparison.leave(isCancelled ? 'ambiguous' : 'unverified', judge);
      return true;
    }
    const readsOn = asked.isResumed || factsOf(asked.query).readsEarlier;
    const seesTransaction = open.oneSnapshot || readsOn;
    const onlyMirrorErred = request.sourceError === '' && request.mirrorError !== '';
    const needsSession = (transaction.recorded.flags & TransactionFlag.NeedsSession) !== 0;
    this.comparison.compare(
      {
        query: asked.query,
        ...digests,
        sourceError: request.sourceError,
        mirrorError: request.mirrorError,
        namesOwnTypes: onlyMirrorErred && namesOwnTypes(transaction, request.index),
        seesUnknown: readsOn && (!isInBlock || needsSession),
        sentAt: seesTransaction ? open.sentAt : request.sourceSentAt,
        doneAt: request.sourceDoneAt,
        mirrorSentAt: seesTransaction ? open.mirrorSentAt : request.mirrorSentAt,
        mirrorDoneAt: request.mirrorDoneAt,
        own: write,
        control: this.#controls.get(transaction),
        index: request.index,
        judge,
      },
      now,
    );
    return true;
  }

  /** Nothing more will happen to it. */
  ended(transaction: MirroredTransaction, outcome: Outcome, event: number): void {
    const open = this.#open.get(transaction);
    const write = open?.write;
    this.#open.delete(transaction);
    if (open !== undefined) this.#order.over(open.underway);
    if (write === undefined) return;
    if (outcome === Outcome.Replayed) this.#knowledge.writes.done(write, event);
    else if (outcome === Outcome.Dropped) this.#knowledge.writes.lost(write, event);
    else this.#knowledge.writes.failed(write, event);
  }

  /** One that is to be over on the mirror before this begins. `isLate`: it waits for nothing that it is not known to meet. */
  predecessorOf(transaction: MirroredTransaction, isLate: boolean): MirroredTransaction | undefined {
    const open = this.#open.get(transaction);
    return open && this.#order.predecessorOf(open.underway, isLate);
  }

  /** The control mirror answered a request of a transaction, or has ended it where there is no request. */
  control(transaction: MirroredTransaction, request: AnsweredRequest | undefined): void {
    const notes = this.#controls.get(transaction);
    if (request === undefined) return notes?.over();
    const { digests, sourceError, mirrorError, isTainted, timedOut } = request;
    if (digests === undefined || isTainted || timedOut) return;
    notes?.note(request.index, differenceBetween({ ...digests, sourceError, mirrorError }) !== undefined);
  }

  /** A transaction ended on the source and did not come: whatever it changed, the mirror lacks it. */
  missed(change: Change): void {
    const { taints } = this.#knowledge.writes;
    if (change === Change.Numbers) this.#knowledge.missNumbers();
    if (change >= Change.Rows) taints.add(undefined, -Infinity);
    if (change >= Change.Definitions) taints.addDefinitions(-Infinity);
  }

  /** RESET MIRROR: it is freshly synced. */
  reset(): void {
    this.#knowledge.reset();
  }

  sweep(now: number, toldUntil: number): void {
    this.#catalog.refresh(now);
    this.#knowledge.settle();
    this.comparison.sweep(now, toldUntil);
  }

  /** Of the beginning: what is longer has named most of what it uses by then, or holds data. Kept for all that are under way. */
  #wordsOf(transaction: MirroredTransaction): ReadonlySet<string> {
    const texts = new Set<string>();
    let length = 0;
    for (let index = 0; index < transaction.recorded.requestCount && length < MAX_TEXTS; index++) {
      const text = this.#queries.of(transaction, index)?.text.slice(0, MAX_TEXT) ?? '';
      texts.add(text);
      length += text.length;
    }
    return new Set([...texts].flatMap(wordsOf));
  }

  #lookAt(transaction: MirroredTransaction): Open {
    const { recorded, settings, twoPhase } = transaction;
    const isolation = settings.values.get('default_transaction_isolation') ?? 'read committed';
    let oneSnapshot = isolation.toLowerCase() !== 'read committed' || this.#catalog.facts?.oneSnapshot === true;
    const wrote: StatementFacts[] = [];
    const read: StatementFacts[] = [];
    let [begunAt, sentAt, doneAt] = [0, 0, 0];
    cursor.reset(recorded.recording);
    while (cursor.next()) {
      if (cursor.index === 0) begunAt = cursor.sentSequence;
      sentAt = cursor.sentSequence;
      doneAt = cursor.doneSequence;
      const asked = this.#queries.of(transaction, cursor.index);
      if (asked === undefined) continue;
      const facts = factsOf(asked.query);
      oneSnapshot ||= facts.fixesSnapshot;
      if (this.#knowledge.writesRows(facts)) wrote.push(facts);
      // What a cursor reads was named where it was opened.
      else if (!facts.readsEarlier) read.push(facts);
    }
    cursor.clear();
    const scope = together(wrote.map((facts) => this.#knowledge.scopeOf(facts)));
    const touched = read.map((facts) => this.#knowledge.relationsOf(facts)).reduce(union, scope.touched);
    const isPinned = (recorded.flags & TransactionFlag.NeedsSession) !== 0;
    const underway = {
      transaction,
      begunAt,
      doneAt,
      scope: { written: scope.written, touched },
      defines: definedBy(wrote, isPinned),
      findWords: () => this.#wordsOf(transaction),
      words: undefined,
    };
    const open = { oneSnapshot, sentAt: begunAt, mirrorSentAt: Infinity, underway };
    if (wrote.length === 0) return { ...open, write: undefined };
    const isRolledBack = (recorded.flags & TransactionFlag.Committed) === 0;
    for (const facts of wrote) this.#knowledge.learnColumns(facts);
    if (!isRolledBack) for (const facts of wrote) this.#knowledge.learn(facts, begunAt);
    // What is only prepared takes effect nobody knows when.
    if (twoPhase !== undefined) this.#knowledge.writes.taints.add(scope.written, begunAt);
    const defines = wrote.some((facts) => facts.defines);
    return { ...open, write: { scope, defines, isRolledBack, begunAt, sentAt, doneAt, ...NOT_YET } };
  }
}

/** What a pinned client defines is perhaps temporary, and then used by nobody else: it is told by its name alone. */
function definedBy(wrote: readonly StatementFacts[], isPinned: boolean): DefinedNames | undefined {
  const all = wrote.flatMap(({ names }) => names ?? []);
  if (all.length === 0) return undefined;
  return {
    words: new Set(all.flatMap(({ words }) => [...words])),
    isAll: isPinned || all.every(({ isAll }) => isAll),
    isExtension: all.some(({ isExtension }) => isExtension),
  };
}

const NOT_YET = { mirrorBegunAt: Infinity, mirrorSentAt: Infinity, mirrorDoneAt: Infinity } as const;

function together(scopes: readonly WriteScope[]): WriteScope {
  return {
    written: scopes.map(({ written }) => written).reduce(union, NO_RELATIONS),
    touched: scopes.map(({ touched }) => touched).reduce(union, NO_RELATIONS),
    insertsOnly: scopes.every(({ insertsOnly }) => insertsOnly),
  };
}

function union(
  a: ReadonlySet<string> | undefined,
  b: ReadonlySet<string> | undefined,
): ReadonlySet<string> | undefined {
  if (a === undefined || b === undefined) return undefined;
  if (a.size === 0) return b;
  return b.size === 0 ? a : new Set([...a, ...b]);
}
