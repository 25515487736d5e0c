import type { Logger } from 'pino';
import { TransactionStatus } from '../../protocol/message-types.ts';
import { Outcome, TransactionFlag } from '../record/record-stream.ts';
import type { MirroredTransaction } from '../replay/mirrored-transaction.ts';
import type { AnsweredRequest } from '../replay/replay-options.ts';
import { RequestCursor } from '../replay/request-cursor.ts';
import type { RequestQueries, RequestQuery } from '../report/request-queries.ts';
import { Comparison } from './comparison.ts';
import type { Verdict } from './comparison.ts';
import { MirrorCatalog } from './mirror-catalog.ts';
import type { AskCatalog } from './mirror-catalog.ts';
import { factsOf } from './statement-facts.ts';
import type { LoggedWrite } from './write-log.ts';

const NO_RELATIONS: ReadonlySet<string> = new Set();
const cursor = new RequestCursor();

/** A transaction of this mirror that has not ended there. */
interface Open {
  readonly write: LoggedWrite | undefined;
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
  readonly #catalog: MirrorCatalog;
  readonly #queries: RequestQueries;
  readonly #open = new Map<MirroredTransaction, Open>();

  constructor(queries: RequestQueries, ask: AskCatalog) {
    this.#queries = queries;
    this.#catalog = new MirrorCatalog(ask);
    this.comparison = new Comparison(() => this.#catalog.facts);
  }

  /** The mirror process has it; what becomes of it will be told. */
  arrived(transaction: MirroredTransaction): void {
    const { recorded, settings } = transaction;
    const isolation = settings.values.get('default_transaction_isolation') ?? 'read committed';
    let oneSnapshot = isolation.toLowerCase() !== 'read committed';
    let relations: ReadonlySet<string> | undefined = NO_RELATIONS;
    let writes = false;
    let insertsOnly = true;
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
      if (!this.comparison.writesRows(facts)) continue;
      writes = true;
      insertsOnly &&= facts.insertsOnly && facts.functions.size === 0;
      relations = union(relations, this.comparison.relationsOf(facts));
    }
    cursor.clear();
    const isWrite = writes && (recorded.flags & TransactionFlag.Committed) !== 0;
    const write: LoggedWrite | undefined = isWrite
      ? { relations, insertsOnly, begunAt, sentAt, doneAt, ...NOT_YET, isLost: false }
      : undefined;
    if (write !== undefined) this.comparison.writes.add(write);
    this.#open.set(transaction, { write, oneSnapshot, sentAt: begunAt, mirrorSentAt: Infinity });
  }

  /** A request was answered. `judged` is called once where it is compared, perhaps later; false: it is not. */
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
    const { digests, timedOut, isTainted, isForced } = request;
    if (digests === undefined || timedOut || isTainted) return false;
    const place = placeOf(transaction, request.index);
    if (place.isCancelled || (isForced && place.before !== TransactionStatus.Idle)) return false;
    this.comparison.compare(
      {
        query: asked.query,
        ...digests,
        sourceError: request.sourceError,
        mirrorError: request.mirrorError,
        sentAt: open.oneSnapshot ? open.sentAt : place.sentAt,
        doneAt: place.doneAt,
        mirrorSentAt: open.oneSnapshot ? open.mirrorSentAt : request.mirrorSentAt,
        mirrorDoneAt: request.mirrorDoneAt,
        own: write,
        judge,
      },
      now,
    );
    return true;
  }

  /** Nothing more will happen to it. `event`: the event counter. */
  ended(transaction: MirroredTransaction, outcome: Outcome, event: number): void {
    const open = this.#open.get(transaction);
    this.#open.delete(transaction);
    if (open?.write === undefined) return;
    if (outcome === Outcome.Replayed) {
      open.write.mirrorDoneAt = event;
      this.comparison.writes.done(open.write);
    } else {
      this.comparison.writes.lost(open.write);
    }
  }

  /** A transaction ended on the source and did not come: whatever it wrote, the mirror lacks it. */
  missed(): void {
    this.comparison.writes.taint(undefined, -Infinity);
  }

  /** RESET MIRROR: it is freshly synced. */
  reset(): void {
    this.comparison.writes.reset();
    this.#catalog.forget();
  }

  sweep(now: number): void {
    this.#catalog.refresh(now);
    this.comparison.sweep(now);
  }
}

/** Whether a mismatch goes into the log, as one line. */
export function logMismatch(
  logger: Logger,
  mirror: { readonly source: string; readonly destination: string },
  mismatch: { readonly fingerprint: string; readonly class: string; readonly digests: AnsweredRequest['digests'] },
): void {
  const { digests, ...what } = mismatch;
  const hex = (digest: Buffer | undefined): string => digest?.toString('hex', 0, 40) ?? '';
  logger.warn(
    { ...mirror, ...what, sourceDigest: hex(digests?.source), mirrorDigest: hex(digests?.mirror) },
    'the mirror answered differently',
  );
}

const NOT_YET = { mirrorBegunAt: Infinity, mirrorSentAt: Infinity, mirrorDoneAt: Infinity } as const;

function placeOf(transaction: MirroredTransaction, index: number) {
  cursor.reset(transaction.recorded.recording);
  while (cursor.index < index && cursor.next());
  const { sentSequence: sentAt, doneSequence: doneAt, statusBefore: before, isCancelled } = cursor;
  cursor.clear();
  return { sentAt, doneAt, before, isCancelled };
}

function union(
  a: ReadonlySet<string> | undefined,
  b: ReadonlySet<string> | undefined,
): ReadonlySet<string> | undefined {
  return a === undefined || b === undefined ? undefined : new Set([...a, ...b]);
}
