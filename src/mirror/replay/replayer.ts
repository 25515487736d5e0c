import { Frontend, TransactionStatus } from '../../protocol/message-types.ts';
import { copyFail, query, sync } from '../../protocol/frontend-messages.ts';
import { AnswerDigester } from '../compare/answer-digester.ts';
import { monotonicNow } from '../../util/clock.ts';
import { Outcome, RequestFlag } from '../record/record-stream.ts';
import { BEGIN, ROLLBACK, ROLLBACK_AND_CHAIN } from './control-request.ts';
import { CopyFeeder } from './copy-feeder.ts';
import { changesSession, requestCommits } from './inspect.ts';
import type { MirrorConnection, ConnectionUser } from './mirror-connection.ts';
import type { MirroredTransaction } from './mirrored-transaction.ts';
import { Pacing } from './pacing.ts';
import { nextEvent } from './event-counter.ts';
import { loopIdle } from './loop-idle.ts';
import type { AnsweredRequest, ReplayObserver, ReplayOptions } from './replay-options.ts';
import { RequestCursor } from './request-cursor.ts';
import { requestBody } from './request-body.ts';
import { SettingsRun } from './settings-run.ts';
import type { Treatment } from './treatment.ts';

const Phase = {
  Idle: 0,
  /** The session's state is being brought to the client's. */
  Settings: 1,
  /** BEGIN around an autocommit request that failed on the source. */
  Begin: 2,
  Thinking: 3,
  Request: 4,
  /** ROLLBACK in place of, or behind, a request. */
  Rollback: 5,
  /** ROLLBACK so that the connection goes back idle. */
  Closing: 6,
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/** A transaction that begins later than this after its end on the source is late. */
const LATE_MS = 2000;
/** How long a cancelled request may take to end before the connection is closed. */
const CANCEL_GRACE_MS = 2000;
/** A CancelRequest that the source heeded is sent to the mirror again after this long. */
const CANCEL_AGAIN_MS = 1000;
const NONE: readonly string[] = [];

/**
 * Replays one transaction at a time on one mirror connection: the client's session state first, then request by
 * request what the source ran, with the client's think times, each one sent in one write when the one before has been
 * answered. What the source did not commit is not committed here (`inspect.ts` says how), and neither is a block in
 * which a request failed on the mirror alone: its commit is replaced by ROLLBACK. After each request the statuses are
 * compared; nothing more is sent once the source is in a block and the mirror is not. In the end the connection is
 * idle, or closed.
 */
export class Replayer implements ConnectionUser {
  readonly connection: MirrorConnection;
  readonly #observer: ReplayObserver;
  readonly #cursor = new RequestCursor();
  #options: ReplayOptions;
  #pacing: Pacing;
  #transaction: MirroredTransaction | undefined;
  #phase: Phase = Phase.Idle;
  #failed = false;
  #timedOut = false;
  /** A request of the open block failed on the mirror alone. */
  #tainted = false;
  /** The request in flight failed. */
  #erred = false;
  /** With this SQLSTATE. */
  #mirrorError = '';
  /** `#tainted` was set when the request was sent. */
  #wasTainted = false;
  /** Its time is that of the same work as on the source. */
  #measured = false;
  #late = false;
  /** The event counter when the request was sent. */
  #sentEvent = 0;
  #sqlstates: string[] | undefined;
  #sentAt = 0;
  /** What `loopIdle` said then. */
  #idleAtSent = 0;
  #deadline = 0;
  #timer: NodeJS.Timeout | undefined;
  #copy: CopyFeeder | undefined;
  #settingsRun: SettingsRun | undefined;

  constructor(connection: MirrorConnection, observer: ReplayObserver, options: ReplayOptions) {
    this.connection = connection;
    this.#observer = observer;
    this.#options = options;
    this.#pacing = new Pacing(options.timing);
    connection.user = this;
  }

  /** Begins a transaction. The connection must be idle. */
  start(transaction: MirroredTransaction, options: ReplayOptions): void {
    if (options !== this.#options) {
      this.#options = options;
      this.#pacing = new Pacing(options.timing);
    }
    this.#transaction = transaction;
    this.#failed = false;
    this.#timedOut = false;
    this.#tainted = false;
    this.#sqlstates = undefined;
    this.#cursor.reset(transaction.recorded.recording);
    const now = monotonicNow();
    this.#pacing.begin(now, transaction.recorded.endedAt);
    this.#late = now - transaction.recorded.endedAt > LATE_MS;
    this.connection.sawSet = false;
    this.connection.statements.begin(transaction.unnamed);
    if (this.connection.settings === transaction.settings) this.#nextRequest();
    else this.#applySettings(transaction);
  }

  /** Called now and then: cancels what takes too long, and closes the connection where that does not help. */
  checkTimeout(now: number): void {
    if (this.#deadline === 0 || now < this.#deadline) return;
    if (this.#timedOut) {
      this.connection.destroy();
      this.#finish();
      return;
    }
    this.#timedOut = true;
    this.#deadline = now + CANCEL_GRACE_MS;
    this.connection.cancel();
  }

  /** Gives up at once: the connection is closed, the transaction counts as failed. */
  abandon(): void {
    this.connection.destroy();
    if (this.#phase === Phase.Idle) return;
    this.#failed = true;
    this.#finish();
  }

  // --- ConnectionUser

  answered(): void {
    this.#clearTimer();
    this.#deadline = 0;
    if (this.#timedOut && this.#phase !== Phase.Closing) {
      if (this.#phase === Phase.Request) this.#tellAnswered();
      return this.#end();
    }
    switch (this.#phase) {
      case Phase.Settings:
        return this.#settingAnswered();
      case Phase.Begin:
        return this.#begun();
      case Phase.Request:
        return this.#requestAnswered();
      case Phase.Rollback:
        this.#tainted = false;
        return this.#compareStatus();
      case Phase.Idle:
      case Phase.Thinking:
        throw new Error('an answer that nothing owed');
      case Phase.Closing:
        // It refuses to end its block: it cannot go back.
        if (this.connection.status !== TransactionStatus.Idle) this.connection.destroy();
        return this.#finish();
    }
  }

  errored(sqlstate: string): void {
    if (this.#phase === Phase.Settings) {
      this.#erred = true;
      return;
    }
    if (this.#phase !== Phase.Request) return;
    if (!this.#erred && !this.#cursor.errored) this.#noteError(sqlstate);
    if (!this.#erred) this.#mirrorError = sqlstate;
    this.#erred = true;
    if (this.#copy) this.#copyFailed(this.#copy);
  }

  copyIn(): void {
    const copy = this.#copy;
    const ignored = copy?.asked() ?? -1;
    if (copy && ignored >= 0) {
      this.connection.owed -= ignored;
      this.#feed(copy);
      return;
    }
    // The record cannot answer. A Sync sent behind the statement was ignored, and is owed again.
    const extended = copy ? copy.isExtended : !this.#isSimple();
    copy?.stop();
    const refusal = copyFail('not in the recorded transaction');
    this.connection.send(extended ? Buffer.concat([refusal, sync()]) : refusal, 0);
  }

  lost(): void {
    if (this.#phase === Phase.Idle) {
      this.#observer.lostIdle();
      return;
    }
    this.#failed = true;
    this.#finish();
  }

  // --- session state

  #applySettings(transaction: MirroredTransaction): void {
    this.#phase = Phase.Settings;
    this.#settingsRun = new SettingsRun(this.connection.settings, transaction.settings, this.#options.fixedSettings);
    this.#nextSetting(this.#settingsRun);
  }

  #nextSetting(run: SettingsRun): void {
    if (run.next === undefined) {
      this.#failed ||= run.isRefused;
      this.connection.settings = run.isRefused ? undefined : this.#running().settings;
      return run.isDecisivelyRefused ? this.#end() : this.#nextRequest();
    }
    this.#erred = false;
    // Until it is through, the state is neither the one nor the other.
    this.connection.settings = undefined;
    this.#send(query(run.next), 0);
  }

  #settingAnswered(): void {
    const run = this.#settingsRun;
    if (!run) return;
    run.answered(this.#erred);
    this.#nextSetting(run);
  }

  // --- requests

  #nextRequest(): void {
    const cursor = this.#cursor;
    while (cursor.next()) {
      const treatment = this.#treatment();
      if (treatment?.kind === 'omit') continue;
      const wait = cursor.index === 0 ? 0 : this.#pacing.wait(cursor.thinkTime);
      if (wait === 0) return this.#perform(treatment);
      this.#phase = Phase.Thinking;
      this.#timer = setTimeout(() => this.#perform(this.#treatment()), wait);
      return;
    }
    this.#end();
  }

  #perform(treatment: Treatment | undefined): void {
    this.#timer = undefined;
    if (treatment?.kind === 'wrap') {
      this.#phase = Phase.Begin;
      this.#send(BEGIN, 0);
    } else if (treatment?.kind === 'rollback') {
      this.#rollback(treatment.chain);
    } else if (this.#tainted && this.#wouldCommit()) {
      this.#rollback(this.#cursor.statusAfter === TransactionStatus.InTransaction);
    } else {
      this.#request(treatment);
    }
  }

  #begun(): void {
    if (this.connection.status === TransactionStatus.InTransaction) return this.#request(this.#treatment());
    this.#failed = true;
    this.#end();
  }

  #request(treatment: Treatment | undefined): void {
    const cursor = this.#cursor;
    const flags = cursor.flags;
    this.#phase = Phase.Request;
    this.#erred = false;
    this.#mirrorError = '';
    this.#wasTainted = this.#tainted;
    this.#measured = (flags & RequestFlag.CopyIn) === 0;
    this.#sentEvent = nextEvent();
    if ((flags & RequestFlag.Digest) !== 0) (this.connection.digester ??= new AnswerDigester()).begin();
    if ((flags & RequestFlag.Cancelled) !== 0) this.#cancelLater(cursor.cancelAfter);
    const { statements } = this.#running().origin;
    if ((flags & RequestFlag.Simple) !== 0)
      return this.#simple(this.connection.statements.simpleQuery(cursor, statements), treatment);
    const ahead = this.connection.statements.ahead(cursor, statements);
    if (ahead.length > 0) this.#measured = false;
    if ((flags & RequestFlag.CopyIn) !== 0) {
      this.#copy = new CopyFeeder(cursor);
      this.#setDeadline(cursor.sourceTime);
      if (ahead.length > 0) this.connection.send(Buffer.concat(ahead), 0, ahead.length);
      this.#feed(this.#copy);
      return;
    }
    const body = requestBody(cursor, treatment);
    this.#send(ahead.length === 0 ? body : Buffer.concat([...ahead, body]), cursor.sourceTime, ahead.length);
  }

  #simple(before: readonly Buffer[], treatment: Treatment | undefined): void {
    const body = requestBody(this.#cursor, treatment);
    if (before.length === 0) return this.#send(body, this.#cursor.sourceTime);
    this.#measured = false;
    this.connection.owed++;
    this.#send(Buffer.concat([...before, sync(), body]), this.#cursor.sourceTime, before.length);
  }

  #requestAnswered(): void {
    const cursor = this.#cursor;
    this.#copy = undefined;
    // How long the client took for the data of a COPY says nothing of the source.
    if (!this.#erred && !cursor.errored && (cursor.flags & RequestFlag.CopyIn) === 0) {
      this.#observer.timed(cursor.sourceTime, (monotonicNow() - this.#sentAt) * 1000);
    }
    this.#tellAnswered();
    const treatment = this.#treatment();
    if (treatment?.kind === 'wrap') return this.#rollback(false);
    if (treatment?.kind === 'cut' && treatment.rollback !== 'none') {
      return this.#rollback(treatment.rollback === 'chain');
    }
    this.#compareStatus();
  }

  #tellAnswered(): void {
    const cursor = this.#cursor;
    this.#observer.requestAnswered(this.#running(), {
      index: cursor.index,
      sourceTime: cursor.sourceTime,
      mirrorTime: (monotonicNow() - this.#sentAt) * 1000,
      mirrorTimeAtLeast: (loopIdle() - this.#idleAtSent) * 1000,
      connection: this.connection,
      isMeasured: this.#measured,
      isLate: this.#late,
      sourceError: cursor.errored ? cursor.sqlstate : '',
      mirrorError: this.#mirrorError,
      isTainted: this.#wasTainted,
      timedOut: this.#timedOut,
      isForced: this.#treatment() !== undefined,
      mirrorSentAt: this.#sentEvent,
      mirrorDoneAt: nextEvent(),
      digests: this.#digests(),
    });
  }

  #digests(): AnsweredRequest['digests'] {
    const source = this.#cursor.digest;
    const { digester } = this.connection;
    if (source === undefined || digester === undefined) return undefined;
    // The recording goes when the transaction has ended; what is compared may wait longer.
    return { source: Buffer.from(source), mirror: digester.end(), origins: digester.origins };
  }

  #rollback(chain: boolean): void {
    // Not in a block: the mirror has lost it already, and AND CHAIN would be an error.
    if (this.connection.status === TransactionStatus.Idle) return this.#compareStatus();
    this.#phase = Phase.Rollback;
    this.#send(chain ? ROLLBACK_AND_CHAIN : ROLLBACK, 0);
  }

  /** The source is in a block and the mirror is not: what follows would commit by itself. */
  #compareStatus(): void {
    const sourceIdle = this.#cursor.statusAfter === TransactionStatus.Idle;
    if (!sourceIdle && this.connection.status === TransactionStatus.Idle) {
      this.#failed = true;
      return this.#end();
    }
    this.#nextRequest();
  }

  #noteError(sqlstate: string): void {
    this.#failed = true;
    (this.#sqlstates ??= []).push(sqlstate);
    // Outside of a block nothing is left of the request.
    if (this.#cursor.statusBefore !== TransactionStatus.Idle || this.#cursor.statusAfter !== TransactionStatus.Idle) {
      this.#tainted = true;
    }
  }

  // --- COPY

  #feed(copy: CopyFeeder): void {
    for (const { from, to, owes } of copy.steps()) {
      this.#sentAt = monotonicNow();
      this.#idleAtSent = loopIdle();
      this.connection.send(this.#cursor.bytes.subarray(from, to), owes);
    }
    if (!copy.isUnfinished) return;
    copy.stop();
    const refusal = copyFail('the recorded transaction ends here');
    if (copy.isExtended) this.connection.send(Buffer.concat([refusal, sync()]), 1);
    else this.connection.send(refusal, 0);
  }

  /** Extended protocol: nothing more comes until a Sync. */
  #copyFailed(copy: CopyFeeder): void {
    copy.stop();
    if (copy.isExtended && this.connection.owed === 0) this.connection.send(sync(), 1);
  }

  // --- the end

  /** Sends nothing more of the transaction; a block left open is rolled back. */
  #end(): void {
    if (this.connection.status === TransactionStatus.Idle) return this.#finish();
    this.#phase = Phase.Closing;
    this.#send(ROLLBACK, 0);
  }

  #finish(): void {
    const transaction = this.#running();
    this.#clearTimer();
    this.#deadline = 0;
    this.#copy = undefined;
    this.#settingsRun = undefined;
    this.#phase = Phase.Idle;
    if (!this.connection.isOver) this.#followSettings(transaction);
    this.#transaction = undefined;
    this.#cursor.clear();
    const outcome = this.#timedOut ? Outcome.TimedOut : this.#failed ? Outcome.Failed : Outcome.Replayed;
    this.#observer.replayed(outcome, this.#sqlstates ?? NONE);
  }

  /** A SET that outlives its transaction, or set_config: what the state is now is found out by putting it back. */
  #followSettings(transaction: MirroredTransaction): void {
    const { recorded, settings, unnamed, origin } = transaction;
    if (transaction.configures) this.connection.settings = undefined;
    else if (this.connection.sawSet && changesSession(recorded, settings, unnamed, origin.statements)) {
      this.connection.settings = undefined;
    }
  }

  #send(bytes: Uint8Array, sourceTime: number, ahead = 0): void {
    this.#sentAt = monotonicNow();
    this.#idleAtSent = loopIdle();
    this.#setDeadline(sourceTime);
    this.connection.send(bytes, 1, ahead);
  }

  /** `sourceTime` in microseconds. Once timed out, the deadline is that of the end. */
  #setDeadline(sourceTime: number): void {
    const now = monotonicNow();
    this.#deadline = now + (this.#timedOut ? CANCEL_GRACE_MS : sourceTime / 1000 + this.#options.timeoutMs);
  }

  /** Again and again, for what has not begun cannot be cancelled. `after` in microseconds. */
  #cancelLater(after: number): void {
    this.#timer = setTimeout(
      () => {
        this.#cancelLater(CANCEL_AGAIN_MS * 1000);
        this.connection.cancel();
      },
      Math.round(after / 1000),
    );
  }

  #clearTimer(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #treatment(): Treatment | undefined {
    return this.#running().treatments?.get(this.#cursor.index);
  }

  #wouldCommit(): boolean {
    const { recorded, settings, unnamed, origin } = this.#running();
    return requestCommits(recorded, this.#cursor.index, settings, unnamed, origin.statements);
  }

  #isSimple(): boolean {
    return this.#cursor.bytes[this.#cursor.start] === Frontend.Query;
  }

  #running(): MirroredTransaction {
    if (!this.#transaction) throw new Error('no transaction is running');
    return this.#transaction;
  }
}
