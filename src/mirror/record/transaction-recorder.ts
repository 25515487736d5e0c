import { sync } from '../../protocol/frontend-messages.ts';
import { TransactionStatus } from '../../protocol/message-types.ts';
import { AnswerDigest } from '../compare/answer-digest.ts';
import { DIGEST_LENGTH } from '../compare/digest-format.ts';
import type { ParameterSet } from '../../session/parameter-set.ts';
import type { PreparedText } from '../../session/statement-names.ts';
import { monotonicNow } from '../../util/clock.ts';
import { AnsweredRequests } from './answered-requests.ts';
import { ClientBytes } from './client-bytes.ts';
import { ChangeNotes } from './change-notes.ts';
import type { Change } from './change-notes.ts';
import { ClientTraits } from './client-traits.ts';
import { dropReasonIndex } from './drop-reason-names.ts';
import { REQUEST_HEADER_LENGTH, RequestFlag, TransactionFlag } from './record-stream.ts';
import type { MirrorRoute, RecordingDesk } from './recording-desk.ts';
import { RequestRecording } from './request-recording.ts';
import { RouteDecisions } from './route-decisions.ts';
import { twoPhaseOf } from './two-phase.ts';
import type { TwoPhase } from './two-phase.ts';
import { UsedStatements } from './used-statements.ts';

const SYNC = sync();

/**
 * Records one client's transactions, as the session sends requests and gets them answered.
 *
 * A transaction begins with the first request in status idle, which is when each mirror's part in it is decided, and
 * ends with the ReadyForQuery that returns to idle, which is when it is handed over or counted as dropped. Requests may
 * be sent ahead of the answers to earlier ones, before anybody can say which transaction they belong to: they are
 * recorded if anybody might want them, and decided on when it shows. Recording never waits and never fails: what does
 * not fit is given up, and with it every transaction that any of it belongs to, as a whole.
 */
export class TransactionRecorder {
  readonly #desk: RecordingDesk;
  readonly id: number;
  readonly database: string;
  readonly user: string;
  /** The client's settings, as of now. */
  settings: ParameterSet;
  readonly traits: ClientTraits;
  readonly bytes: ClientBytes;
  /** Handed over and not finished, by mirror id. */
  readonly depths: number[] = [];
  /** Where it is counted, by mirror id; the desk's. */
  readonly rows: number[] = [];
  /** How many of its transactions are in which batch of the record stream. */
  batched = 0;
  batch = 0;
  /** The mirror process (by incarnation) that knows of this client. */
  announced = 0;

  /** What the current transaction may have changed, where a mirror is to be told what it misses. */
  readonly #notes = new ChangeNotes();
  #isWatched = false;
  /** Each mirror's part in the current transaction. */
  readonly #decisions: RouteDecisions;
  #inTransaction = false;
  #startedAt = 0;
  #settingsAtStart: ParameterSet;
  /** Why what is in flight is not recorded any more: index of the reason. */
  #givenUp: number | undefined;
  #statusBefore: number = TransactionStatus.Idle;
  #lastReadyAt = 0;
  #failed = false;

  /** Requests of the current transaction that have been answered, and those in flight, oldest first. */
  readonly #answered: AnsweredRequests;
  #pending: RequestRecording[] = [];
  /** The request whose messages are being sent. */
  #current: RequestRecording | undefined;
  #requestCount = 0;
  /** Bytes of messages ever recorded. */
  #offset = 1;
  /** Statements prepared earlier that requests refer to. */
  readonly #statements = new UsedStatements();
  #digest: AnswerDigest | undefined;

  /** The last transaction has ended, and waits for `concluded`. */
  #deferredSince: number | undefined;
  /** The event counter when the request that was answered last was sent. */
  #lastSequence = 0;
  /** The client keeps its server connection, and kept it when the current transaction began. */
  #pinned = false;
  #pinnedAtStart = false;
  /** What a transaction did to the client's settings is not known yet, and was not when the current one began. */
  #settingsOpen = false;
  #settingsOpenAtStart = false;

  constructor(
    desk: RecordingDesk,
    options: { readonly id: number; readonly database: string; readonly user: string; readonly settings: ParameterSet },
  ) {
    this.#desk = desk;
    this.id = options.id;
    this.database = options.database;
    this.user = options.user;
    this.traits = new ClientTraits(options.user, desk.roll());
    this.bytes = new ClientBytes(desk.bytes);
    this.#decisions = new RouteDecisions(desk, this);
    this.#answered = new AnsweredRequests(desk, desk.registry);
    this.settings = options.settings;
    this.#settingsAtStart = options.settings;
  }

  /** Bytes recorded so far: where a message ends. Only for comparison with what `erred` is told. */
  get offset(): number {
    return this.#offset;
  }

  /** The first message of a request is about to be sent. `now`: of the machine's monotonic clock, as everywhere. */
  requestStarts(now = monotonicNow()): void {
    this.#conclude();
    const ahead = this.#pending.length > 0;
    if (!this.#inTransaction) this.#begin(now, this.#desk.routes(this.database));
    // Sent ahead of an answer it may belong to a transaction that has not been decided on.
    const useful = ahead ? this.#desk.anyRoute(this.database) : this.#decisions.isWanted && this.#givenUp === undefined;
    const request = new RequestRecording(this.#desk, {
      recorded: useful && this.#take(REQUEST_HEADER_LENGTH),
      digested: useful && this.#desk.compared.digests(this.database),
      startOffset: this.#offset,
      now,
      thinkTime: ahead || this.#requestCount === 0 ? 0 : now - this.#lastReadyAt,
    });
    this.#pending.push(request);
    this.#current = request;
  }

  /** Bytes of the current request as the source receives them. */
  append(bytes: Buffer, start: number, end: number): void {
    if (this.#current === undefined) return;
    const twoPhase = twoPhaseOf(bytes, start, end);
    if (twoPhase !== undefined) this.#meet(this.#current, twoPhase);
    if (this.#isWatched && !this.#current.recorded) this.#notes.message(bytes, start, end);
    this.#append(this.#current, bytes, start, end);
  }

  /** CopyData, CopyDone or CopyFail behind a request that has been sent. */
  appendCopy(bytes: Buffer, start: number, end: number): void {
    const last = this.#pending.at(-1);
    if (last === undefined) return;
    last.flags |= RequestFlag.CopyIn;
    last.flags &= ~RequestFlag.Simple;
    this.#append(last, bytes, start, end);
  }

  /** The message that owes the ReadyForQuery has been sent. `simple`: the request is one Query; `now`: where it is known. */
  requestSent(simple: boolean, now?: number): void {
    const request = this.#current;
    this.#current = undefined;
    if (request === undefined) return;
    request.sent = true;
    if (simple) request.flags |= RequestFlag.Simple;
    if (request.recorded) this.#notes.unread();
    if (!request.recorded && !this.#isWatched) return;
    request.sentAt = now ?? monotonicNow();
    request.sentSequence = this.#desk.nextSequence();
  }

  /** What digests the answer to the oldest unanswered request, where it is wanted. */
  get digest(): AnswerDigest | undefined {
    const head = this.#pending[0];
    return head?.digested === true && head.recorded ? (this.#digest ??= new AnswerDigest()) : undefined;
  }

  /** The current request refers to a statement prepared earlier. */
  usesStatement(text: PreparedText): void {
    if (this.#current?.recorded === true) this.#statements.add(text);
    else if (this.#isWatched) this.#notes.statement(text);
  }

  /** The transaction names, in SQL, statements that have other names on mirrors: it is not mirrored. */
  namesStatements(): void {
    this.#giveUp(dropReasonIndex.denied);
  }

  /** The current request needs the unnamed statement of an earlier one. */
  usesUnnamed(bytes: Buffer, start: number, end: number): void {
    const request = this.#current;
    this.#notes.unread();
    if (request?.recorded !== true || request.unnamed !== undefined) return;
    request.unnamed = this.#desk.registry.acquire(bytes.subarray(start, end));
  }

  /**
   * The oldest unanswered request erred. `offset`: where the message that erred ends; 0: the request is one message;
   * -1: a message of pgmirror's own erred, and nothing more of the client's was run.
   */
  erred(sqlstate: string, offset: number): void {
    const request = this.#pending[0];
    if (request === undefined || request.sqlstate !== '') return;
    request.sqlstate = sqlstate;
    request.flags |= RequestFlag.Errored;
    if (offset === 0) return;
    if (offset > 0) request.ranUntil = offset - request.startOffset;
    else request.ranUntil = request.sent ? 0 : this.#offset - request.startOffset;
  }

  /** After an error the server skips requests that were taken for sent: they are part of the one that erred. */
  requestsSkipped(count: number): void {
    for (let skipped = 0; skipped < count; skipped++) this.#joinNext();
  }

  /** What it may have changed. */
  get change(): Change {
    return this.#notes.change;
  }

  /** The event counter when the oldest request was sent of whose end the mirror process was not told. */
  get untoldSince(): number {
    if (this.#deferredSince !== undefined) return this.#lastSequence;
    const [oldest] = this.#pending;
    return oldest?.sent === true ? oldest.sentSequence : Infinity;
  }

  /** A CommandComplete. */
  completed(bytes: Buffer, at: number, end: number): void {
    if (this.#isWatched) this.#notes.tag(bytes, at, end);
  }

  /** A CommandComplete with the tag ROLLBACK. */
  rolledBack(): void {
    const request = this.#pending[0];
    if (request !== undefined) request.flags |= RequestFlag.RollbackTag;
  }

  /** The server takes COPY data and ignores `swallowed` Syncs that were sent before: the request goes on. */
  copyInStarted(swallowed: number): void {
    const request = this.#pending[0];
    if (request === undefined) return;
    request.flags |= RequestFlag.CopyIn;
    request.flags &= ~RequestFlag.Simple;
    for (let count = 0; count < swallowed; count++) this.#joinNext();
  }

  /** A CancelRequest was sent for what runs. */
  cancelled(): void {
    const request = this.#pending[0];
    if (request !== undefined && request.cancelledAt === 0) request.cancelledAt = monotonicNow();
  }

  /**
   * ReadyForQuery of the oldest unanswered request. `defer`: whether the client keeps its server connection is not known
   * yet, and the transaction is handed over when `concluded` tells. `settingsOpen`: nor are its settings.
   */
  answered(status: number, defer = false, settingsOpen = false, now = monotonicNow()): void {
    this.#conclude();
    const request = this.#pending[0];
    if (request === undefined) return;
    // Its client went without asking for an answer: pgmirror did it in its stead.
    if (!request.sent) this.#append(request, SYNC, 0, SYNC.length);
    this.#pending.shift();
    const statusBefore = this.#statusBefore;
    if (request.recorded) {
      const doneSequence = this.#desk.nextSequence();
      request.complete({ statusBefore, statusAfter: status, answeredAt: now, doneSequence });
      // Nothing is given up for want of room for a digest: without it the answer is not compared.
      if (request.digested && this.bytes.take(DIGEST_LENGTH)) request.addDigest((this.#digest ??= new AnswerDigest()));
    }
    this.#digest?.reset();
    this.#answered.add(request, status === TransactionStatus.Idle);
    this.#requestCount++;
    this.#failed = (request.flags & (RequestFlag.RollbackTag | RequestFlag.Errored)) !== 0;
    this.#statusBefore = status;
    this.#lastReadyAt = now;
    this.#lastSequence = request.sentSequence;
    if (status !== TransactionStatus.Idle) return;
    if (defer && this.#pending.length === 0) {
      this.#deferredSince = now;
      return;
    }
    // It will be known when all is answered that was sent ahead; until then those requests may need the session.
    if (defer) this.#pinned = true;
    this.#settingsOpen ||= settingsOpen;
    this.#end(now);
  }

  /** What a deferred transaction was waiting for. `pinned`: the client keeps its server connection. */
  concluded(pinned: boolean): void {
    this.#pinned = pinned;
    this.#settingsOpen = false;
    if (!pinned) this.#decisions.release();
    this.#conclude();
  }

  /** The outcome of what is unfinished will not be seen, or was forced by pgmirror. */
  aborted(): void {
    // Nobody will tell what the last one left in the session: on the mirror it is not to be another client's.
    if (this.#deferredSince !== undefined) this.#pinned = true;
    this.#conclude();
    if (!this.#inTransaction) return;
    if (this.#pending.length > 0) this.#notes.unknown();
    const reason = this.#givenUp ?? dropReasonIndex.aborted;
    this.#decisions.settle(this.#pinned, () => reason);
    // Requests that were sent ahead in status idle are transactions of their own.
    const more = this.#statusBefore === TransactionStatus.Idle ? this.#pending.length - 1 : 0;
    for (let index = 0; index < more; index++) {
      this.#decisions.decide(this.#decisions.routes, this.#pinnedAtStart);
      this.#decisions.settle(this.#pinned, () => reason);
    }
    this.#discard(this.#pending);
    this.#pending = [];
    this.#current = undefined;
    this.#statusBefore = TransactionStatus.Idle;
    this.#inTransaction = false;
    this.#forget();
  }

  /** The client is gone. */
  closed(): void {
    this.aborted();
    this.#desk.clientClosed(this);
  }

  // A transaction

  #begin(now: number, routes: readonly MirrorRoute[]): void {
    this.#inTransaction = true;
    this.#startedAt = now;
    this.#requestCount = 0;
    this.#pinnedAtStart = this.#pinned;
    this.#settingsAtStart = this.settings;
    this.#settingsOpenAtStart = this.#settingsOpen;
    this.#decisions.decide(routes, this.#pinnedAtStart);
    this.#isWatched = this.#desk.compared.watches(this.database);
    this.#notes.reset();
  }

  #conclude(): void {
    if (this.#deferredSince !== undefined) this.#end(this.#deferredSince);
  }

  #end(now: number): void {
    this.#deferredSince = undefined;
    const { isWhole, twoPhase } = this.#answered;
    const whole = this.#decisions.isWanted && isWhole;
    const reason = this.#givenUp ?? dropReasonIndex.bytes_full;
    const targets = whole ? this.#offer(now) : this.#decisions.settle(this.#pinned, () => reason);
    if (twoPhase !== undefined && !this.#failed) this.#decisions.tellTwoPhase(twoPhase, targets);
    this.#inTransaction = false;
    const next = this.#pending[0];
    if (next === undefined) {
      this.#forget();
      return;
    }
    this.#discardAnswered();
    // The next transaction began when its first request was sent: a mirror that is new since has no part in it.
    if (next.recorded) this.#givenUp = undefined;
    const known = new Set(this.#decisions.routes.map(({ id }) => id));
    this.#begin(
      next.startedAt,
      this.#desk.routes(this.database).filter(({ id }) => known.has(id)),
    );
    if (!this.#pinnedAtStart) this.#decisions.followFirstHalf(next.twoPhase);
    this.#notes.unread();
  }

  /** The mirrors that it was handed over to. */
  #offer(now: number): readonly MirrorRoute[] {
    const { length } = this.#answered;
    const targets = this.#decisions.settle(this.#pinned, (route) =>
      length > route.maxTransactionSize ? dropReasonIndex.too_large : this.#desk.admit(this, route),
    );
    if (targets.length === 0) return targets;
    this.bytes.handOver(length);
    this.#desk.handOver(this, targets, {
      startedAt: this.#startedAt,
      endedAt: now,
      flags: this.#transactionFlags(),
      settings: this.#settingsAtStart,
      statements: this.#statements,
      unnamed: this.#answered.unnamed,
      requestCount: this.#requestCount,
      recording: this.#answered.recording(),
      bytes: length,
    });
    this.#answered.clear();
    return targets;
  }

  #transactionFlags(): number {
    let flags = this.#failed ? 0 : TransactionFlag.Committed;
    if (this.#pinnedAtStart) flags |= TransactionFlag.NeedsSession;
    if (this.#pinned) flags |= TransactionFlag.KeepsSession;
    if (this.#settingsOpenAtStart) flags |= TransactionFlag.InheritsSettings;
    return flags;
  }

  /** Whoever ends a prepared transaction; one that was sent ahead is looked at when its transaction begins. */
  #meet(request: RequestRecording, twoPhase: TwoPhase): void {
    request.twoPhase = twoPhase;
    if (this.#requestCount > 0 || this.#pending[0] !== request || this.#pinnedAtStart) return;
    this.#decisions.followFirstHalf(twoPhase);
    const startsRecording = this.#decisions.isWanted && !request.recorded && this.#givenUp === undefined;
    if (startsRecording && this.#take(REQUEST_HEADER_LENGTH)) request.record();
  }

  // The recording

  #append(request: RequestRecording, bytes: Buffer, start: number, end: number): void {
    if (!request.recorded || !this.#take(end - start)) return;
    request.append(bytes, start, end);
    this.#offset += end - start;
  }

  /** Takes bytes from the budget. False: the recording is given up. */
  #take(more: number): boolean {
    const transaction = this.#answered.length + (this.#pending.at(-1)?.length ?? 0) + more;
    if (transaction > this.#desk.largestTransaction) return this.#giveUp(dropReasonIndex.too_large);
    return this.bytes.take(more) || this.#giveUp(dropReasonIndex.bytes_full);
  }

  #giveUp(reason: number): false {
    this.#givenUp = reason;
    this.#discard(this.#pending);
    this.#discardAnswered();
    return false;
  }

  #discard(requests: readonly RequestRecording[]): void {
    for (const request of requests) {
      request.discard();
      if (request.unnamed !== undefined) this.#desk.registry.release(request.unnamed);
      request.unnamed = undefined;
    }
  }

  #discardAnswered(): void {
    this.#answered.clear();
    let kept = 0;
    for (const request of this.#pending) kept += request.length;
    this.bytes.keep(kept);
  }

  /** Nothing is unfinished: the next request begins anew. */
  #forget(): void {
    this.#discardAnswered();
    this.#givenUp = undefined;
    this.#statements.clear();
  }

  /** What was taken for the end of the oldest unanswered request was none: the next is part of it. */
  #joinNext(): void {
    const request = this.#pending[0];
    const next = this.#pending[1];
    if (request === undefined) return;
    if (next === undefined) {
      // Nothing was sent behind it yet: what comes is appended.
      request.sent = false;
      this.#current = request;
      return;
    }
    this.#pending.splice(1, 1);
    if (this.#current === next) this.#current = request;
    request.join(next);
    this.#discard([next]);
    if (request.recorded) this.bytes.giveBack(REQUEST_HEADER_LENGTH);
  }
}
