import { TransactionStatus } from '../../protocol/message-types.ts';
import type { ParameterSet } from '../../session/parameter-set.ts';
import type { PreparedText } from '../../session/statement-names.ts';
import { monotonicNow } from '../../util/clock.ts';
import { dropReasonIndex } from './drop-reason-names.ts';
import { REQUEST_HEADER_LENGTH, RequestFlag, RequestOffset, TransactionFlag } from './record-stream.ts';
import type { MirrorRoute, RecordingDesk } from './recording-desk.ts';

/** A mirror is to get the transaction; any other value is the index of the reason why not. */
const MIRROR = -1;
/** A request that is not recorded. */
const NOT_RECORDED = -1;
const SYNC_LENGTH = 5;
/** So much at the recording's front is no longer needed before it is taken out. */
const COMPACT_FROM = 65_536;

/** What is known of a request whose ReadyForQuery has not come. */
interface PendingRequest {
  /** Where its header is in the recording, or NOT_RECORDED. */
  start: number;
  firstByteAt: number;
  sentAt: number;
  sent: boolean;
  flags: number;
  /** Milliseconds of the clock, 0: none was. */
  cancelledAt: number;
  sqlstate: string;
  /** Bytes of the recording that the source ran, from the request's messages on; -1: all of them. */
  ranUntil: number;
}

/**
 * Records one client's transactions, as the session sends requests and gets them answered.
 *
 * A transaction begins with the first request in status idle, which is when each mirror's part in it is decided, and
 * ends with the ReadyForQuery that returns to idle, which is when it is handed over or counted as dropped. Requests may
 * be sent ahead of the answers to earlier ones, before anybody can say which transaction they belong to: they are
 * recorded if anybody might want them, and decided on when it shows. Recording never waits and never fails: what does
 * not fit is dropped as a whole.
 */
export class TransactionRecorder {
  readonly #desk: RecordingDesk;
  readonly id: number;
  readonly database: string;
  readonly user: string;
  /** The client's settings, as of now. */
  settings: ParameterSet;
  /** Handed over and not finished, by mirror id. */
  readonly depths: number[] = [];
  /** The mirror process (by incarnation) that knows of this client. */
  announced = 0;
  #routes: readonly MirrorRoute[] = [];
  #decisions: number[] = [];
  #inTransaction = false;
  #wanted = false;
  #startedAt = 0;
  #settingsAtStart: ParameterSet;
  #statusBefore: number = TransactionStatus.Idle;
  #lastReadyAt = 0;

  #pending: PendingRequest[] = [];
  #current: PendingRequest | undefined;
  /** The last transaction has ended, and waits for `concluded`. */
  #deferred: { readonly now: number; readonly request: PendingRequest } | undefined;
  /** The client keeps its server connection, and kept it when the current transaction began. */
  #pinned = false;
  #pinnedAtStart = false;
  #requestCount = 0;
  #lastRolledBack = false;

  #buffer: Buffer | undefined;
  #length = 0;
  /** What `offset` counts besides: bytes that were taken out at the recording's front. */
  #base = 1;
  /** Where the current transaction's first request is in the recording. */
  #transactionStart = 0;
  /** Bytes taken from the budget for what is in the recording. */
  #taken = 0;
  /** The recording was given up in this transaction: index of the reason. */
  #overflow: number | undefined;
  /** Statements prepared earlier that requests refer to. */
  readonly #statements = new Set<PreparedText>();
  #unnamed: PreparedText | undefined;

  constructor(
    desk: RecordingDesk,
    options: { readonly id: number; readonly database: string; readonly user: string; readonly settings: ParameterSet },
  ) {
    this.#desk = desk;
    this.id = options.id;
    this.database = options.database;
    this.user = options.user;
    this.settings = options.settings;
    this.#settingsAtStart = options.settings;
  }

  /** Bytes recorded so far: where a message ends. Only for comparison with what `erred` is told. */
  get offset(): number {
    return this.#base + this.#length;
  }

  /** The first message of a request is about to be sent. */
  requestStarts(): void {
    this.#conclude();
    const ahead = this.#pending.length > 0;
    const now = monotonicNow();
    if (!this.#inTransaction) this.#begin(now);
    // Sent ahead of an answer it may belong to a transaction that has not been decided on.
    const record = this.#overflow === undefined && (ahead ? this.#desk.anyRoute(this.database) : this.#wanted);
    const request: PendingRequest = {
      start: NOT_RECORDED,
      firstByteAt: now,
      sentAt: now,
      sent: false,
      flags: 0,
      cancelledAt: 0,
      sqlstate: '',
      ranUntil: -1,
    };
    if (record && this.#room(REQUEST_HEADER_LENGTH)) {
      request.start = this.#length;
      const buffer = this.#buffer;
      buffer?.fill(0, this.#length, this.#length + REQUEST_HEADER_LENGTH);
      const think = ahead || this.#requestCount === 0 ? 0 : (now - this.#lastReadyAt) * 1000;
      buffer?.writeUInt32LE(
        Math.min(Math.max(0, Math.round(think)), 0xffff_ffff),
        this.#length + RequestOffset.ThinkTime,
      );
      this.#length += REQUEST_HEADER_LENGTH;
    }
    this.#pending.push(request);
    this.#current = request;
  }

  /** Bytes of the current request as the source receives them. */
  append(bytes: Buffer, start: number, end: number): void {
    if (this.#current === undefined || this.#current.start === NOT_RECORDED) return;
    if (!this.#room(end - start)) return;
    bytes.copy(this.#buffer as Buffer, this.#length, start, end);
    this.#length += end - start;
  }

  /** CopyData, CopyDone or CopyFail behind a request that has been sent. */
  appendCopy(bytes: Buffer, start: number, end: number): void {
    const last = this.#pending.at(-1);
    if (last === undefined || last.start === NOT_RECORDED) return;
    last.flags |= RequestFlag.CopyIn;
    last.flags &= ~RequestFlag.Simple;
    this.#current = last;
    this.append(bytes, start, end);
    this.#current = undefined;
    if (last.start !== NOT_RECORDED) this.#writeLength(last, this.#length);
  }

  /** The message that owes the ReadyForQuery has been sent. `simple`: it is a Query. */
  requestSent(simple: boolean): void {
    const request = this.#current;
    this.#current = undefined;
    if (request === undefined) return;
    request.sent = true;
    if (simple) request.flags |= RequestFlag.Simple;
    if (request.start === NOT_RECORDED || this.#buffer === undefined) return;
    request.sentAt = monotonicNow();
    this.#buffer.writeDoubleLE(this.#desk.nextSequence(), request.start + RequestOffset.SentSequence);
    this.#writeLength(request, this.#length);
  }

  /** The current request refers to a statement prepared earlier. */
  usesStatement(text: PreparedText): void {
    if (this.#wanted || this.#pending.length > 1) this.#statements.add(text);
  }

  /** The current request needs the unnamed statement of an earlier one. */
  usesUnnamed(bytes: Buffer, start: number, end: number): void {
    if (!this.#wanted || this.#unnamed !== undefined) return;
    this.#unnamed = this.#desk.registry.acquire(bytes.subarray(start, end));
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
    if (request.start === NOT_RECORDED || offset === 0) return;
    const body = request.start + REQUEST_HEADER_LENGTH;
    if (offset > 0) request.ranUntil = offset - this.#base - body;
    else if (request.sent) request.ranUntil = 0;
    else request.ranUntil = this.#length - body;
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
    for (let count = 0; count < swallowed; count++) this.#joinNext(request);
  }

  /** After an error the server skips requests that were taken for sent: they are part of the one that erred. */
  requestsSkipped(count: number): void {
    const request = this.#pending[0];
    if (request === undefined) return;
    request.flags &= ~RequestFlag.Simple;
    for (let skipped = 0; skipped < count; skipped++) this.#joinNext(request);
  }

  /** A CancelRequest was sent for what runs. */
  cancelled(): void {
    const request = this.#pending[0];
    if (request !== undefined && request.cancelledAt === 0) request.cancelledAt = monotonicNow();
  }

  /**
   * ReadyForQuery of the oldest unanswered request. `defer`: whether the client keeps its server connection is not known
   * yet, and the transaction is handed over when `concluded` tells.
   */
  answered(status: number, defer = false): void {
    this.#conclude();
    const request = this.#pending.shift();
    if (request === undefined) return;
    const now = monotonicNow();
    if (request.start !== NOT_RECORDED) this.#completeHeader(request, status, now);
    this.#requestCount++;
    this.#lastRolledBack = (request.flags & (RequestFlag.RollbackTag | RequestFlag.Errored)) !== 0;
    this.#statusBefore = status;
    this.#lastReadyAt = now;
    if (status !== TransactionStatus.Idle) return;
    if (defer && this.#pending.length === 0) this.#deferred = { now, request };
    else this.#end(now, request);
  }

  /** What a deferred transaction was waiting for. `pinned`: the client keeps its server connection. */
  concluded(pinned: boolean): void {
    this.#pinned = pinned;
    this.#conclude();
  }

  #conclude(): void {
    const deferred = this.#deferred;
    this.#deferred = undefined;
    if (deferred !== undefined) this.#end(deferred.now, deferred.request);
  }

  /** The outcome of what is unfinished will not be seen, or was forced by pgmirror. */
  aborted(): void {
    this.#conclude();
    if (!this.#inTransaction) return;
    this.#count(dropReasonIndex.aborted);
    this.#inTransaction = false;
    // Requests that were sent ahead in status idle are transactions of their own.
    const more = this.#statusBefore === TransactionStatus.Idle ? this.#pending.length - 1 : 0;
    for (let index = 0; index < more; index++) {
      this.#decide();
      this.#count(dropReasonIndex.aborted);
    }
    this.#pending = [];
    this.#current = undefined;
    this.#statusBefore = TransactionStatus.Idle;
    this.#forget();
  }

  /** The client is gone. */
  closed(): void {
    this.aborted();
    this.#desk.clientClosed(this);
  }

  // A transaction

  #begin(now: number): void {
    this.#inTransaction = true;
    this.#startedAt = now;
    this.#requestCount = 0;
    this.#pinnedAtStart = this.#pinned;
    this.#settingsAtStart = this.settings;
    this.#transactionStart = this.#length;
    this.#decide();
  }

  #decide(): void {
    this.#routes = this.#desk.routes(this.database);
    this.#wanted = false;
    const routes = this.#routes;
    for (let index = 0; index < routes.length; index++) {
      const route = routes[index];
      if (route === undefined) continue;
      const reason = this.#desk.decide(route);
      this.#decisions[index] = reason;
      if (reason === MIRROR) this.#wanted = true;
    }
  }

  #end(now: number, last: PendingRequest): void {
    const recorded = this.#wanted && this.#overflow === undefined && last.start !== NOT_RECORDED;
    const end = recorded ? last.start + REQUEST_HEADER_LENGTH + this.#bodyLength(last) : 0;
    if (recorded) this.#offer(now, end);
    else this.#count(this.#overflow ?? dropReasonIndex.bytes_full);
    this.#inTransaction = false;
    if (this.#pending.length === 0) this.#forget();
    else this.#nextBegins();
  }

  /** Requests were sent ahead: the next transaction begins with the oldest of them. */
  #nextBegins(): void {
    const next = this.#pending[0];
    if (next === undefined) return;
    this.#overflow = undefined;
    const start = next.start === NOT_RECORDED ? this.#length : next.start;
    this.#begin(next.firstByteAt);
    this.#transactionStart = start;
    const surplus = this.#taken - (this.#length - start);
    if (surplus > 0) {
      this.#desk.bytes.giveBack(surplus);
      this.#taken -= surplus;
    }
    if (start >= COMPACT_FROM) this.#compact(start);
  }

  /** Takes out what lies before `start`: a client that always sends ahead would have the recording grow for ever. */
  #compact(start: number): void {
    this.#buffer?.copyWithin(0, start, this.#length);
    this.#length -= start;
    this.#base += start;
    this.#transactionStart -= start;
    for (const request of this.#pending) if (request.start !== NOT_RECORDED) request.start -= start;
  }

  #offer(now: number, end: number): void {
    const length = end - this.#transactionStart;
    const targets: MirrorRoute[] = [];
    for (let index = 0; index < this.#routes.length; index++) {
      const route = this.#routes[index];
      if (route === undefined) continue;
      let reason = this.#decisions[index] ?? dropReasonIndex.exposure;
      if (reason === MIRROR) {
        reason = length > route.maxTransactionSize ? dropReasonIndex.too_large : this.#desk.admit(this, route);
      }
      if (reason === MIRROR) targets.push(route);
      else this.#desk.dropped(this, route, reason);
    }
    if (targets.length === 0) return;
    // The bytes are the queue's now, and given back when the last mirror has finished with them.
    this.#taken -= length;
    this.#desk.handOver(this, targets, {
      startedAt: this.#startedAt,
      endedAt: now,
      flags: this.#transactionFlags(),
      settings: this.#settingsAtStart,
      statements: this.#statements,
      unnamed: this.#unnamed,
      requestCount: this.#requestCount,
      recording: (this.#buffer as Buffer).subarray(this.#transactionStart, end),
    });
  }

  #transactionFlags(): number {
    let flags = this.#lastRolledBack ? 0 : TransactionFlag.Committed;
    if (this.#pinnedAtStart) flags |= TransactionFlag.NeedsSession;
    if (this.#pinned) flags |= TransactionFlag.KeepsSession;
    return flags;
  }

  /** Counts the transaction as dropped everywhere: for the reason known at its start, else this one. */
  #count(reason: number): void {
    for (let index = 0; index < this.#routes.length; index++) {
      const route = this.#routes[index];
      const decision = this.#decisions[index] ?? MIRROR;
      if (route !== undefined) this.#desk.dropped(this, route, decision === MIRROR ? reason : decision);
    }
  }

  // The recording

  /** Makes room for more bytes, within the budget. False: the recording is given up. */
  #room(more: number): boolean {
    if (this.#overflow !== undefined) return false;
    const tooLarge = this.#length - this.#transactionStart + more > this.#desk.largestTransaction;
    if (tooLarge || !this.#desk.bytes.take(more)) {
      this.#giveUp(tooLarge ? dropReasonIndex.too_large : dropReasonIndex.bytes_full);
      return false;
    }
    this.#taken += more;
    const buffer = this.#buffer ?? this.#desk.takeBuffer();
    this.#buffer = buffer;
    if (this.#length + more > buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(buffer.length * 2, this.#length + more));
      buffer.copy(grown, 0, 0, this.#length);
      this.#buffer = grown;
    }
    return true;
  }

  #giveUp(reason: number): void {
    this.#overflow = reason;
    for (const request of this.#pending) request.start = NOT_RECORDED;
    this.#release();
  }

  #release(): void {
    if (this.#buffer !== undefined) this.#desk.giveBuffer(this.#buffer);
    this.#buffer = undefined;
    if (this.#taken !== 0) this.#desk.bytes.giveBack(this.#taken);
    this.#taken = 0;
    this.#length = 0;
    this.#transactionStart = 0;
  }

  /** Nothing is unfinished: the next request begins anew. */
  #forget(): void {
    this.#overflow = undefined;
    if (this.#statements.size > 0) this.#statements.clear();
    if (this.#unnamed !== undefined) this.#desk.registry.release(this.#unnamed);
    this.#unnamed = undefined;
    this.#release();
  }

  #bodyLength(request: PendingRequest): number {
    return this.#buffer?.readUInt32LE(request.start + RequestOffset.Bytes) ?? 0;
  }

  #writeLength(request: PendingRequest, end: number): void {
    this.#buffer?.writeUInt32LE(end - request.start - REQUEST_HEADER_LENGTH, request.start + RequestOffset.Bytes);
  }

  #completeHeader(request: PendingRequest, status: number, now: number): void {
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    const at = request.start;
    const cancelled = request.cancelledAt > 0 && request.sqlstate === '57014';
    buffer.writeUInt32LE(microseconds(now - request.sentAt), at + RequestOffset.SourceTime);
    buffer.writeDoubleLE(this.#desk.nextSequence(), at + RequestOffset.DoneSequence);
    buffer[at + RequestOffset.StatusBefore] = this.#statusBefore;
    buffer[at + RequestOffset.StatusAfter] = status;
    buffer.writeUInt16LE(request.flags | (cancelled ? RequestFlag.Cancelled : 0), at + RequestOffset.Flags);
    if (request.sqlstate !== '') buffer.write(request.sqlstate.slice(0, 5), at + RequestOffset.Sqlstate, 'latin1');
    if (cancelled)
      buffer.writeUInt32LE(microseconds(request.cancelledAt - request.sentAt), at + RequestOffset.CancelAfter);
    const skipTo = this.#bodyLength(request) - SYNC_LENGTH;
    if (request.ranUntil >= 0 && request.ranUntil < skipTo) {
      buffer.writeUInt32LE(request.ranUntil, at + RequestOffset.SkipFrom);
      buffer.writeUInt32LE(skipTo, at + RequestOffset.SkipTo);
    }
  }

  /** A Sync that was taken for the request's end was none: what was sent behind it belongs to the request. */
  #joinNext(request: PendingRequest): void {
    const next = this.#pending[1];
    if (next === undefined) {
      // Nothing was sent behind it yet: what comes is appended.
      request.sent = false;
      this.#current = request;
      return;
    }
    this.#pending.splice(1, 1);
    if (this.#current === next) this.#current = request;
    request.sent = next.sent;
    request.sentAt = next.sentAt;
    if (request.start === NOT_RECORDED || next.start === NOT_RECORDED || this.#buffer === undefined) return;
    this.#buffer.copyWithin(next.start, next.start + REQUEST_HEADER_LENGTH, this.#length);
    this.#length -= REQUEST_HEADER_LENGTH;
    for (const later of this.#pending) if (later.start > next.start) later.start -= REQUEST_HEADER_LENGTH;
    const end = this.#pending[1]?.start ?? this.#length;
    this.#writeLength(request, end);
  }
}

function microseconds(milliseconds: number): number {
  return Math.min(Math.max(0, Math.round(milliseconds * 1000)), 0xffff_ffff);
}
