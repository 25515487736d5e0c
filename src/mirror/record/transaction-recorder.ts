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
import { isCommitTag, isPrepareTag } from './commit-tag.ts';
import { ClientTraits } from './client-traits.ts';
import { dropReasonIndex } from './drop-reason-names.ts';
import { REQUEST_HEADER_LENGTH, RequestFlag } from './record-stream.ts';
import type { MirrorRoute, RecordingDesk } from './recording-desk.ts';
import { RequestRecording } from './request-recording.ts';
import { RequestsInFlight } from './requests-in-flight.ts';
import { RouteDecisions } from './route-decisions.ts';
import { TransactionStart } from './transaction-start.ts';
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
  readonly notes: ChangeNotes;
  /** Each mirror's part in the current transaction. */
  readonly #decisions: RouteDecisions;
  #inTransaction = false;
  readonly start: TransactionStart;
  /** Why what is in flight is not recorded any more: index of the reason. */
  #givenUp: number | undefined;
  #statusBefore: number = TransactionStatus.Idle;
  #lastReadyAt = 0;
  /** Requests of the current transaction that have been answered. */
  readonly #answered: AnsweredRequests;
  #requestCount = 0;
  readonly #inFlight = new RequestsInFlight();
  /** Bytes of messages ever recorded: where one ends, as `erred` is told. It is the recorder's to set. */
  offset = 1;
  /** Statements prepared earlier that requests refer to. */
  readonly #statements = new UsedStatements();
  #digest: AnswerDigest | undefined;
  /** The last transaction has ended, and waits for `concluded`. */
  #deferredSince: number | undefined;
  /** The event counter when the request that was answered last was sent. */
  #lastSequence = 0;
  /** The client keeps its server connection. */
  #pinned = false;
  /** What a transaction did to the client's settings is not known yet. */
  #settingsOpen = false;

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
    this.#answered = new AnsweredRequests(desk.shelf, desk.registry);
    this.notes = new ChangeNotes(this.#answered, this.#statements);
    this.settings = options.settings;
    this.start = new TransactionStart(options.settings);
  }

  /** The first message of a request is about to be sent. `now`: of the machine's monotonic clock, as everywhere. */
  requestStarts(now = monotonicNow()): void {
    this.#conclude();
    const ahead = this.#inFlight.count > 0;
    if (!this.#inTransaction) this.#begin(now, this.#desk.routes(this.database));
    // Sent ahead of an answer it may belong to a transaction that has not been decided on.
    const useful = ahead ? this.#desk.anyRoute(this.database) : this.#decisions.isWanted && this.#givenUp === undefined;
    const request = new RequestRecording(this.#desk.shelf, {
      recorded: useful && this.#take(REQUEST_HEADER_LENGTH),
      digested: useful && this.#desk.compared.digests(this.database),
      startOffset: this.offset,
      now,
      thinkTime: ahead || this.#requestCount === 0 ? 0 : now - this.#lastReadyAt,
    });
    this.#inFlight.begin(request);
  }

  /** Bytes of the current request as the source receives them. */
  append(bytes: Buffer, start: number, end: number): void {
    const { current } = this.#inFlight;
    if (current === undefined) return;
    const twoPhase = twoPhaseOf(bytes, start, end);
    if (twoPhase !== undefined) this.#meet(current, twoPhase);
    if (!current.recorded) this.notes.message(bytes, start, end);
    this.#append(current, bytes, start, end);
  }

  /** CopyData, CopyDone or CopyFail behind a request that has been sent. */
  appendCopy(bytes: Buffer, start: number, end: number): void {
    const { newest } = this.#inFlight;
    if (newest === undefined) return;
    newest.takesCopyData();
    this.#append(newest, bytes, start, end);
  }

  /** The message that owes the ReadyForQuery has been sent. `simple`: the request is one Query; `now`: where it is known. */
  requestSent(simple: boolean, now?: number): void {
    const request = this.#inFlight.current;
    this.#inFlight.current = undefined;
    if (request === undefined) return;
    request.sent = true;
    if (simple) request.flags |= RequestFlag.Simple;
    if (request.recorded) this.notes.unread();
    if (!request.recorded && !this.notes.isWatched) return;
    request.sentAt = now ?? monotonicNow();
    request.sentSequence = this.#desk.nextSequence();
  }

  /** What digests the answer to the oldest unanswered request, where it is wanted. */
  get digest(): AnswerDigest | undefined {
    return this.#inFlight.oldest?.wantsDigest === true ? (this.#digest ??= new AnswerDigest()) : undefined;
  }

  /** The current request refers to a statement prepared earlier. */
  usesStatement(text: PreparedText): void {
    if (this.#inFlight.current?.recorded === true) this.#statements.add(text);
    else this.notes.statement(text);
  }

  /** The transaction names, in SQL, statements that have other names on mirrors: it is not mirrored. */
  namesStatements(): void {
    this.#giveUp(dropReasonIndex.denied);
  }

  /** The current request needs the unnamed statement of an earlier one. */
  usesUnnamed(bytes: Buffer, start: number, end: number): void {
    const request = this.#inFlight.current;
    this.notes.unread();
    if (request?.recorded !== true || request.unnamed !== undefined) return;
    request.unnamed = this.#desk.registry.acquire(bytes.subarray(start, end));
  }

  /**
   * The oldest unanswered request erred. `offset`: where the message that erred ends; 0: the request is one message;
   * -1: a message of pgmirror's own erred, and nothing more of the client's was run.
   */
  erred(sqlstate: string, offset: number): void {
    this.#inFlight.oldest?.erred(sqlstate, offset, this.offset);
  }

  /** After an error the server skips requests that were taken for sent: they are part of the one that erred. */
  requestsSkipped(count: number): void {
    this.bytes.giveBack(this.#inFlight.join(count, this.#desk.registry) * REQUEST_HEADER_LENGTH);
  }

  /** The event counter when the oldest request was sent of whose end the mirror process was not told. */
  get untoldSince(): number {
    if (this.#deferredSince !== undefined) return this.#lastSequence;
    return this.#inFlight.oldest?.sent === true ? this.#inFlight.oldest.sentSequence : Infinity;
  }

  /** A CommandComplete. `offset`: where the message that it answers ends; 0: the request is one message. */
  completed(bytes: Buffer, at: number, end: number, offset: number): void {
    const { oldest } = this.#inFlight;
    if (isCommitTag(bytes, at, end)) oldest?.committed(offset, isPrepareTag(at, end));
    else oldest?.completed();
    this.notes.tag(bytes, at, end);
  }

  /** A CommandComplete with the tag ROLLBACK. */
  rolledBack(): void {
    this.#inFlight.oldest?.rolledBack();
  }

  /** The server takes COPY data and ignores `swallowed` Syncs that were sent before: the request goes on. */
  copyInStarted(swallowed: number): void {
    this.#inFlight.oldest?.takesCopyData();
    this.requestsSkipped(swallowed);
  }

  /** A CancelRequest was sent for what runs. */
  cancelled(): void {
    this.#inFlight.oldest?.cancelled();
  }

  /**
   * ReadyForQuery of the oldest unanswered request. `defer`: whether the client keeps its server connection is not known
   * yet, and the transaction is handed over when `concluded` tells. `settingsOpen`: nor are its settings.
   */
  answered(status: number, defer = false, settingsOpen = false, now = monotonicNow()): void {
    this.#conclude();
    const request = this.#inFlight.oldest;
    if (request === undefined) return;
    // Its client went without asking for an answer: pgmirror did it in its stead.
    if (!request.sent) this.#append(request, SYNC, 0, SYNC.length);
    this.#inFlight.shift();
    if (request.recorded) {
      this.#complete(request, status, now);
      // Nothing is given up for want of room for a digest: without it the answer is not compared.
      if (request.wantsDigest && this.bytes.take(DIGEST_LENGTH))
        request.addDigest((this.#digest ??= new AnswerDigest()));
    }
    this.#digest?.reset();
    this.#answered.add(request, status === TransactionStatus.Idle);
    if (status === TransactionStatus.Idle) this.notes.ended(!request.hasFailed);
    this.#requestCount++;
    this.#statusBefore = status;
    this.#lastReadyAt = now;
    this.#lastSequence = request.sentSequence;
    if (status !== TransactionStatus.Idle) return;
    if (defer && this.#inFlight.count === 0) {
      this.#deferredSince = now;
      // Its client is about to be told: whoever ends what it prepared is not to come before the news of that.
      return this.#decisions.tellTwoPhase(this.#answered.twoPhase);
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
    if (this.#inFlight.count > 0) this.notes.unknown();
    else this.notes.ended(false);
    const isOffered = this.#offerCommitted();
    // Requests that were sent ahead in status idle are transactions of their own.
    const ahead = this.#statusBefore === TransactionStatus.Idle ? this.#inFlight.count : 0;
    const dropped = isOffered ? ahead : Math.max(ahead, 1);
    this.#decisions.abort(this.#givenUp ?? dropReasonIndex.aborted, dropped, this.start.pinned, this.#pinned);
    this.#inFlight.forget(this.#desk.registry);
    this.#statusBefore = TransactionStatus.Idle;
    this.#inTransaction = false;
    this.#forget();
  }

  /** The client is gone. */
  closed(): void {
    this.aborted();
    this.#desk.clientClosed(this);
  }

  #begin(now: number, routes: readonly MirrorRoute[]): void {
    this.#inTransaction = true;
    this.#requestCount = 0;
    this.start.begins(now, this.settings, this.#pinned, this.#settingsOpen);
    this.#decisions.decide(routes, this.#pinned);
    this.notes.begin(this.#desk.compared.watches(this.database));
  }

  /** What the source was seen to commit arrives, whatever became of what stands behind it. False: there is none. */
  #offerCommitted(): boolean {
    if (!this.#decisions.isWanted || !this.#answered.isWhole) return false;
    const now = monotonicNow();
    const taken = this.bytes.take(SYNC.length) ? this.#inFlight.takeCommitted(SYNC) : undefined;
    if (taken !== undefined) {
      this.#complete(taken.request, TransactionStatus.Idle, now);
      this.#answered.add(taken.request, true);
      this.#statusBefore = TransactionStatus.Idle;
    } else if (!this.#answered.cutBehindCommit()) return false;
    const targets = this.#offer(now);
    const misses = this.#inFlight.count > 0 || (taken !== undefined && taken.leftOut > 0);
    if (misses) for (const route of targets) this.#desk.compared.missed(route, this.notes.change);
    return true;
  }

  #complete(request: RequestRecording, statusAfter: number, answeredAt: number): void {
    const doneSequence = this.#desk.nextSequence();
    request.complete({ statusBefore: this.#statusBefore, statusAfter, answeredAt, doneSequence });
  }

  #conclude(): void {
    if (this.#deferredSince !== undefined) this.#end(this.#deferredSince);
  }

  #end(now: number): void {
    this.#deferredSince = undefined;
    if (this.#decisions.isWanted && this.#answered.isWhole) this.#offer(now);
    else this.#settle(() => this.#givenUp ?? dropReasonIndex.bytes_full);
    this.#inTransaction = false;
    const next = this.#inFlight.oldest;
    if (next === undefined) return this.#forget();
    this.#discardAnswered();
    // The next transaction began when its first request was sent: a mirror that is new since has no part in it.
    if (next.recorded) this.#givenUp = undefined;
    this.#begin(next.startedAt, this.#decisions.known(this.#desk.routes(this.database)));
    if (!this.start.pinned) this.#decisions.followFirstHalf(next.twoPhase);
    this.notes.unread();
  }

  /** The mirrors that it was handed over to. */
  #offer(now: number): readonly MirrorRoute[] {
    const { length } = this.#answered;
    const targets = this.#settle((route) =>
      length > route.maxTransactionSize ? dropReasonIndex.too_large : this.#desk.admit(this, route),
    );
    if (targets.length === 0) return targets;
    this.bytes.handOver(length);
    this.#desk.handOver(this, targets, {
      startedAt: this.start.at,
      endedAt: now,
      flags: this.start.flags(this.#answered.hasCommitted, this.#pinned),
      settings: this.start.settings,
      statements: this.#statements,
      unnamed: this.#answered.unnamed,
      requestCount: this.#answered.count,
      recording: this.#answered.recording(),
      bytes: length,
    });
    this.#answered.clear();
    return targets;
  }

  #settle(judge: (route: MirrorRoute) => number): readonly MirrorRoute[] {
    const targets = this.#decisions.settle(this.#pinned, judge);
    this.#decisions.tellTwoPhase(this.#answered.twoPhase, targets);
    return targets;
  }

  /** Whoever ends a prepared transaction; one that was sent ahead is looked at when its transaction begins. */
  #meet(request: RequestRecording, twoPhase: TwoPhase): void {
    request.twoPhase = twoPhase;
    if (this.#requestCount > 0 || this.#inFlight.oldest !== request || this.start.pinned) return;
    this.#decisions.followFirstHalf(twoPhase);
    const startsRecording = this.#decisions.isWanted && !request.recorded && this.#givenUp === undefined;
    if (startsRecording && this.#take(REQUEST_HEADER_LENGTH)) request.record();
  }

  #append(request: RequestRecording, bytes: Buffer, start: number, end: number): void {
    if (!request.recorded || !this.#take(end - start)) return;
    request.append(bytes, start, end);
    this.offset += end - start;
  }

  /** Takes bytes from the budget. False: the recording is given up. */
  #take(more: number): boolean {
    const transaction = this.#answered.length + (this.#inFlight.newest?.length ?? 0) + more;
    if (transaction > this.#desk.largestTransaction) return this.#giveUp(dropReasonIndex.too_large);
    return this.bytes.take(more) || this.#giveUp(dropReasonIndex.bytes_full);
  }

  #giveUp(reason: number): false {
    this.#givenUp = reason;
    this.notes.lost();
    for (const request of this.#inFlight.all) request.forget(this.#desk.registry);
    this.#discardAnswered();
    return false;
  }

  #discardAnswered(): void {
    this.#answered.clear();
    this.bytes.keep(this.#inFlight.length);
  }

  /** Nothing is unfinished: the next request begins anew. */
  #forget(): void {
    this.#discardAnswered();
    this.#givenUp = undefined;
    this.#statements.clear();
  }
}
