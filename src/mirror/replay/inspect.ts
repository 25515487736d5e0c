import { Frontend, TransactionStatus } from '../../protocol/message-types.ts';
import { DropReason, RequestFlag, TransactionFlag } from '../record/record-stream.ts';
import type { RecordedTransaction } from '../record/record-stream-reader.ts';
import { twoPhaseIn } from '../record/two-phase.ts';
import type { TwoPhase } from '../record/two-phase.ts';
import { DENIED_FUNCTION_OIDS } from './denied-functions.ts';
import { judgeText, TextVerdict } from './denied.ts';
import { executedStatements } from './executed-statements.ts';
import type { ExecutedStatement } from './executed-statements.ts';
import { RequestCursor } from './request-cursor.ts';
import type { PreparedStatement } from './prepared-statement.ts';
import type { SessionSettings } from './session-settings.ts';
import { StatementTracker } from './statement-tracker.ts';
import type { StatementLookup } from './statement-tracker.ts';
import { Control, controlOf, refusesBlock } from './transaction-control.ts';
import type { Treatment } from './treatment.ts';

/** What is to be done with a transaction, whatever mirror it is for. */
export interface Inspection {
  /** `unsafe`, `denied` or `session_lost`: it is dropped. */
  readonly reason: DropReason | 0;
  /** What is done with requests that are not simply sent, by index. */
  readonly treatments: ReadonlyMap<number, Treatment> | undefined;
  /** It calls set_config: the session's state is not known after it. */
  readonly configures: boolean;
  /** It may take advisory locks that outlive it: on the mirror perhaps some that the source did not give. */
  readonly locks: boolean;
  /** The half of a two-phase commit that it did on the source. */
  readonly twoPhase: TwoPhase | undefined;
}

const AS_RECORDED: Inspection = {
  reason: 0,
  treatments: undefined,
  configures: false,
  locks: false,
  twoPhase: undefined,
};
const UNSAFE: Inspection = { ...AS_RECORDED, reason: DropReason.Unsafe };
const LOST: Inspection = { ...AS_RECORDED, reason: DropReason.SessionLost };
const DENIED: Inspection = { ...AS_RECORDED, reason: DropReason.Denied };

/** pg_notify, as FunctionCall messages name it (pg_proc.dat). */
const PG_NOTIFY = 3036;

const PREPARE = /\bprepare\b/i;

const cursor = new RequestCursor();
const ERRORED_OR_ROLLED_BACK = RequestFlag.Errored | RequestFlag.RollbackTag;

/**
 * Looks a transaction through before it is replayed: what must not reach a mirror (section "never mirrored"), and what
 * has to be changed so that nothing is committed there that the source did not commit. Nearly every transaction comes
 * out as recorded, and is passed over once for that.
 */
export function inspect(
  recorded: RecordedTransaction,
  settings: SessionSettings,
  unnamed: PreparedStatement | undefined,
  lookup: StatementLookup,
): Inspection {
  cursor.reset(recorded.recording);
  const inspector = new Inspector(new StatementTracker(lookup, unnamed), settings.standardConformingStrings);
  while (cursor.next()) inspector.request();
  cursor.clear();
  return inspector.result(recorded);
}

class Inspector {
  readonly #tracker: StatementTracker;
  readonly #standardConformingStrings: boolean;
  #treatments: Map<number, Treatment> | undefined;
  #unsafe = false;
  #denied = false;
  #notifications = 0;
  #configures = false;
  #locks = false;
  /** It ran a statement that nobody knows. */
  #isUnknown = false;
  #twoPhase: TwoPhase | undefined;

  constructor(tracker: StatementTracker, standardConformingStrings: boolean) {
    this.#tracker = tracker;
    this.#standardConformingStrings = standardConformingStrings;
  }

  request(): void {
    if ((cursor.flags & ERRORED_OR_ROLLED_BACK) !== 0 && this.#force()) return;
    const verdict = cursor.isSimple ? this.#judgeSimple() : this.#judgeMessages();
    if (verdict === TextVerdict.Fine) return;
    this.#noteSession(verdict);
    if (verdict === TextVerdict.Denied) this.#denied = true;
    if (verdict !== TextVerdict.Notification) return;
    this.#notifications++;
    this.#treat({ kind: 'omit' });
  }

  result({ requestCount, flags, recording }: RecordedTransaction): Inspection {
    const twoPhase = this.#twoPhase;
    if (this.#unsafe) return { ...UNSAFE, twoPhase };
    if (this.#denied || (this.#notifications > 0 && this.#notifications === requestCount))
      return { ...DENIED, twoPhase };
    // In a session of its own it may have been made by SQL; in one that lanes share another client's has that name.
    const isOwn = (flags & TransactionFlag.NeedsSession) !== 0;
    if (this.#isUnknown && !isOwn && !PREPARE.test(recording.toString('latin1'))) return { ...LOST, twoPhase };
    const [treatments, configures, locks] = [this.#treatments, this.#configures, this.#locks];
    if (treatments === undefined && !configures && !locks && twoPhase === undefined) return AS_RECORDED;
    return { reason: 0, treatments, configures, locks, twoPhase };
  }

  #noteSession(verdict: TextVerdict | undefined): void {
    if (verdict === TextVerdict.Locks) this.#locks = true;
    if (verdict === TextVerdict.Configures || verdict === TextVerdict.Locks) this.#configures = true;
  }

  #treat(treatment: Treatment): void {
    (this.#treatments ??= new Map()).set(cursor.index, treatment);
  }

  #judgeSimple(): TextVerdict {
    this.#tracker.message(Frontend.Query, cursor.bytes, cursor.start, cursor.end);
    return this.#judgeQuery(cursor.queryText(cursor.start, cursor.end));
  }

  /** Statements are judged where they are bound: a Parse alone runs nothing. */
  #judgeMessages(): TextVerdict {
    const { bytes, end, skipFrom, skipTo } = cursor;
    let statements = 0;
    let notifications = 0;
    for (let at = cursor.start; at < end;) {
      const messageEnd = cursor.messageEnd(at);
      if (at < skipFrom || at >= skipTo) {
        const verdict = this.#judgeMessage(bytes, at, messageEnd);
        if (verdict === TextVerdict.Denied) return verdict;
        if (verdict !== undefined) statements++;
        this.#noteSession(verdict);
        if (verdict === TextVerdict.Notification) notifications++;
      }
      at = messageEnd;
    }
    if (notifications === 0) return TextVerdict.Fine;
    return notifications === statements && statements === 1 ? TextVerdict.Notification : TextVerdict.Denied;
  }

  #judgeMessage(bytes: Buffer, at: number, end: number): TextVerdict | undefined {
    const type = bytes[at] ?? 0;
    if (type === Frontend.Query) {
      this.#tracker.message(type, bytes, at, end);
      return this.#judgeQuery(cursor.queryText(at, end));
    }
    if (type === Frontend.FunctionCall) return judgeCall(end - at < 9 ? 0 : bytes.readUInt32BE(at + 5));
    const statement = this.#tracker.message(type, bytes, at, end);
    if (type !== Frontend.Bind) return undefined;
    if (statement === undefined && !cursor.errored) this.#isUnknown = true;
    this.#noteTwoPhase(statement?.twoPhase);
    return statement?.verdictWith(this.#standardConformingStrings) ?? TextVerdict.Fine;
  }

  #judgeQuery(text: string): TextVerdict {
    this.#noteTwoPhase(twoPhaseIn(text, this.#standardConformingStrings));
    return judgeText(text, this.#standardConformingStrings);
  }

  /** What failed, or was rolled back, was no half of anything. */
  #noteTwoPhase(twoPhase: TwoPhase | undefined): void {
    if (twoPhase === undefined) return;
    if (cursor.committed || (cursor.flags & ERRORED_OR_ROLLED_BACK) === 0) this.#twoPhase = twoPhase;
  }

  /** Outcome forcing. True when the request is not to be judged further. */
  #force(): boolean {
    const wasFailed = cursor.statusBefore === TransactionStatus.Failed;
    if (cursor.errored) {
      // Answered 25P02: the source ran nothing of it.
      if (wasFailed && cursor.sqlstate === '25P02') {
        this.#treat({ kind: 'omit' });
        return true;
      }
      // It needs a block and had none: it fails on the mirror as it did on the source, and in a block it would not.
      if (cursor.sqlstate === '25P01' && this.#isRefusedAlone()) return false;
      return this.#forceErrored();
    }
    // The tag ROLLBACK without an error is that of a client's own ROLLBACK, unless the block had failed before.
    if (!wasFailed) return false;
    const statements = this.#statements();
    if (controlOf(statements[0]?.words ?? []) !== Control.Commit) return false;
    if (statements.length > 1) this.#unsafe = true;
    this.#treat({ kind: 'rollback', chain: this.#chain() });
    return true;
  }

  #forceErrored(): boolean {
    const statements = this.#statements();
    const before = cursor.statusBefore;
    const after = cursor.statusAfter;
    if (before === TransactionStatus.Idle && after === TransactionStatus.Idle) {
      // A COMMIT PREPARED with something behind it that failed, and ran nothing.
      if (cursor.committed && statements.length === 1) return false;
      this.#unsafe ||= statements.some(({ words }) => controlOf(words) !== Control.None || refusesBlock(words));
      this.#treat({ kind: 'wrap' });
      return this.#unsafe;
    }
    if (leavesMore(statements) || (cursor.isQuery && movesSavepoints(statements))) {
      this.#unsafe = true;
      return true;
    }
    const controls = statements.filter(({ words }) => controlOf(words) !== Control.None);
    const closing = statements.at(-1);
    if (closing === undefined) return false;
    const alone = statements.length === 1;
    if (!controls.some(({ words }) => commits(words))) {
      // The source did not come to it; a mirror on which nothing failed would.
      const isMissed = after === TransactionStatus.Failed && controlOf(closing.words) === Control.Rollback;
      if (isMissed && !alone) this.#leaveOut(closing, alone);
      return false;
    }
    if (controls.length > 1 || controls[0] !== closing) {
      this.#unsafe = true;
      return true;
    }
    // What failed stands behind it, and ran nothing: a Parse, a Bind.
    if (cursor.committed) return false;
    this.#leaveOut(closing, alone);
    return alone;
  }

  /** The closing statement of a failed request must not reach the mirror, the rest of it does. */
  #leaveOut(closing: ExecutedStatement, alone: boolean): void {
    const stillFailed = cursor.statusAfter === TransactionStatus.Failed;
    if (alone) {
      this.#treat(stillFailed ? { kind: 'omit' } : { kind: 'rollback', chain: this.#chain() });
      return;
    }
    const rollback = stillFailed ? 'none' : this.#chain() ? 'chain' : 'plain';
    this.#treat({ kind: 'cut', from: closing.from, to: closing.to, rollback });
  }

  /** The source's block went on after its COMMIT … AND CHAIN. */
  #chain(): boolean {
    return cursor.statusAfter === TransactionStatus.InTransaction;
  }

  /** Not CALL and kin; nor several statements by the extended protocol: some versions of PostgreSQL make a block of them. */
  #isRefusedAlone(): boolean {
    const statements = this.#statements();
    if (statements.some(({ words }) => refusesBlock(words))) return false;
    if (cursor.isQuery || statements.length < 2) return true;
    return statements.some(({ words }) => controlOf(words) !== Control.None);
  }

  #statements(): ExecutedStatement[] {
    return executedStatements(cursor, this.#tracker, this.#standardConformingStrings);
  }
}

/** Of a FunctionCall, which is a request by itself. */
function judgeCall(oid: number): TextVerdict {
  if (oid === PG_NOTIFY) return TextVerdict.Notification;
  return DENIED_FUNCTION_OIDS.has(oid) ? TextVerdict.Denied : TextVerdict.Fine;
}

/** What follows a ROLLBACK in a failed request is a transaction of its own: on the mirror it would perhaps commit. */
function leavesMore(statements: readonly ExecutedStatement[]): boolean {
  const rollback = statements.findIndex(({ words }) => controlOf(words) === Control.Rollback);
  return rollback >= 0 && rollback < statements.length - 1;
}

/**
 * A savepoint that stands behind what perhaps failed in one query: the source may not have come to it, and a later
 * ROLLBACK TO would lead the mirror to another one than the source.
 */
function movesSavepoints(statements: readonly ExecutedStatement[]): boolean {
  const first = statements.findIndex(({ words }) => controlOf(words) === Control.None);
  return first >= 0 && statements.slice(first).some(({ words }) => controlOf(words) === Control.Savepoint);
}

function commits(words: readonly string[]): boolean {
  const control = controlOf(words);
  return control === Control.Commit || control === Control.Prepared;
}

/** Whether a transaction whose answers told of SET, RESET or DO perhaps changes its session, and not only its transaction. */
export function changesSession(
  recorded: RecordedTransaction,
  settings: SessionSettings,
  unnamed: PreparedStatement | undefined,
  lookup: StatementLookup,
): boolean {
  const tracker = new StatementTracker(lookup, unnamed);
  cursor.reset(recorded.recording);
  let changes = false;
  while (!changes && cursor.next()) {
    changes = executedStatements(cursor, tracker, settings.standardConformingStrings).some(
      ({ words }) =>
        words[0] === 'reset' ||
        words[0] === 'do' ||
        words[0] === 'discard' ||
        (words[0] === 'set' && words[1] !== 'local' && words[1] !== 'transaction' && words[1] !== 'constraints'),
    );
  }
  cursor.clear();
  return changes;
}
