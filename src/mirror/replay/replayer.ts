import { TransactionStatus } from '../../protocol/message-types.ts';
import { copyFail, query, sync } from '../../protocol/frontend-messages.ts';
import { monotonicNow } from '../../util/clock.ts';
import { Outcome, RequestFlag, TransactionFlag } from '../record/record-stream.ts';
import { answerAllowance } from './answer-allowance.ts';
import { BEGIN, closingRequest, ROLLBACK, ROLLBACK_AND_CHAIN } from './control-request.ts';
import { UNSUPPORTED } from './connection-statements.ts';
import { CopyFeeder } from './copy-feeder.ts';
import { changesSession } from './inspect.ts';
import type { MirrorConnection, ConnectionUser } from './mirror-connection.ts';
import type { MirroredTransaction } from './mirrored-transaction.ts';
import { Pacing } from './pacing.ts';
import type { ReplayObserver, ReplayOptions } from './replay-options.ts';
import { Phase } from './replay-phase.ts';
import { ReplayTimer } from './replay-timer.ts';
import { RequestCursor } from './request-cursor.ts';
import { requestBody } from './request-body.ts';
import { RequestInFlight } from './request-in-flight.ts';
import { rollsBack } from './rolls-back.ts';
import { FRESH_LOGIN } from './session-settings.ts';
import { SettingsRun } from './settings-run.ts';
import type { Treatment } from './treatment.ts';

/** A transaction that begins later than this after its end on the source is late. */
const LATE_MS = 2000;
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
  /** A request of the open block failed on the mirror alone. */
  #tainted = false;
  /** So is the block that follows it: what it began with was left out. */
  #taintsNext = false;
  #late = false;
  #endsSession = false;
  #sqlstates: string[] | undefined;
  readonly #timer = new ReplayTimer();
  readonly #sent: RequestInFlight;
  #copy: CopyFeeder | undefined;
  #settingsRun: SettingsRun | undefined;

  constructor(connection: MirrorConnection, observer: ReplayObserver, options: ReplayOptions) {
    this.connection = connection;
    this.#sent = new RequestInFlight(connection);
    this.#observer = observer;
    this.#options = options;
    this.#pacing = new Pacing(options.timing);
    connection.user = this;
  }

  /** Begins a transaction on an idle connection. `resets`: what is in its session goes before; `endsSession`: behind it. */
  start(transaction: MirroredTransaction, options: ReplayOptions, resets: boolean, endsSession = false): void {
    if (options !== this.#options) {
      this.#options = options;
      this.#pacing = new Pacing(options.timing);
    }
    this.#transaction = transaction;
    this.#endsSession = endsSession;
    this.#timer.reset();
    this.#failed = this.#tainted = this.#taintsNext = false;
    this.#sqlstates = undefined;
    this.#cursor.reset(transaction.recorded.recording);
    const now = monotonicNow();
    this.#pacing.begin(now, transaction.recorded.endedAt);
    this.#late = now - transaction.recorded.endedAt > LATE_MS;
    this.connection.allowance = answerAllowance(transaction.recorded);
    this.connection.begin(transaction);
    const inherits = (transaction.recorded.flags & TransactionFlag.InheritsSettings) !== 0;
    const hasSettings = inherits || this.connection.settings === transaction.settings;
    if (hasSettings && !resets) this.#nextRequest();
    else this.#applySettings(transaction, resets);
  }

  /** Called now and then: cancels what takes too long, and closes the connection where that does not help. */
  checkTimeout(now: number): void {
    const overdue = this.#timer.check(now);
    if (overdue === 'first') this.connection.cancel();
    if (overdue !== 'again') return;
    this.connection.destroy();
    this.#finish();
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
    this.#timer.clear();
    if (this.#timer.timedOut && this.#phase !== Phase.Closing) {
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
        this.#tainted = this.#taintsNext;
        this.#taintsNext = false;
        return this.#compareStatus();
      case Phase.Idle:
      case Phase.Thinking:
        throw new Error('an answer that nothing owed');
      case Phase.Closing:
        // It refuses to end its block, or what was left in its session: it cannot go back.
        if (this.connection.status !== TransactionStatus.Idle || this.#sent.hasErred) this.connection.destroy();
        else if (this.#endsSession) this.connection.settings = FRESH_LOGIN;
        return this.#finish();
    }
  }

  errored(sqlstate: string): void {
    const isFirst = !this.#sent.hasErred;
    this.#sent.failed(sqlstate);
    if (this.#phase !== Phase.Request) return;
    if (isFirst && !this.#cursor.errored) this.#noteError(sqlstate);
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
    const extended = copy ? copy.isExtended : !this.#cursor.isQuery;
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
    if (this.#phase === Phase.Request && !this.#timer.timedOut) this.#tellLost();
    this.#finish();
  }

  // --- session state

  #applySettings({ settings }: MirroredTransaction, resets: boolean): void {
    this.#phase = Phase.Settings;
    this.#settingsRun = new SettingsRun(this.connection.settings, settings, this.#options.fixedSettings, resets);
    this.#nextSetting(this.#settingsRun);
  }

  #nextSetting(run: SettingsRun): void {
    if (run.next === undefined) {
      this.#failed ||= run.isRefused;
      this.connection.settings = run.isRefused ? undefined : this.#running().settings;
      this.connection.begin(this.#running());
      return run.isDecisivelyRefused ? this.#end() : this.#nextRequest();
    }
    this.#sent.reset();
    // Until it is through, the state is neither the one nor the other.
    this.connection.settings = undefined;
    this.#send(query(run.next), 0);
  }

  #settingAnswered(): void {
    const run = this.#settingsRun;
    if (!run) return;
    run.answered(this.#sent.hasErred);
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
      return this.#timer.think(wait, () => this.#perform(this.#treatment()));
    }
    this.#end();
  }

  #perform(treatment: Treatment | undefined): void {
    this.#timer.clear();
    if (treatment?.kind === 'wrap') {
      this.#phase = Phase.Begin;
      this.#send(BEGIN, 0);
    } else if (treatment?.kind === 'rollback') {
      this.#rollback(treatment.chain);
    } else if (this.#tainted && this.#cursor.kept) {
      const chain = this.#cursor.statusAfter === TransactionStatus.InTransaction;
      this.#taintsNext = chain && !this.#cursor.isOneStatement;
      this.#rollback(chain);
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
    this.#sent.begin(flags, this.#tainted);
    if ((flags & RequestFlag.Cancelled) !== 0)
      this.#timer.cancelLater(cursor.cancelAfter, () => this.connection.cancel());
    const { statements } = this.#running().origin;
    if ((flags & RequestFlag.Simple) !== 0)
      return this.#simple(this.connection.statements.simpleQuery(cursor, statements), treatment);
    const ahead = this.connection.statements.ahead(cursor, statements);
    if (ahead.length > 0) this.#sent.isMeasured = false;
    if ((flags & RequestFlag.CopyIn) !== 0) {
      this.#copy = new CopyFeeder(cursor, treatment);
      this.#expect(cursor.sourceTime);
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
    this.#sent.isMeasured = false;
    this.connection.owed++;
    this.#send(Buffer.concat([...before, sync(), body]), this.#cursor.sourceTime, before.length);
  }

  #requestAnswered(): void {
    const cursor = this.#cursor;
    this.#copy = undefined;
    // How long the client took for the data of a COPY says nothing of the source.
    if (!this.#sent.hasErred && !cursor.errored && (cursor.flags & RequestFlag.CopyIn) === 0) {
      this.#observer.timed(cursor.sourceTime, this.#sent.time);
    }
    this.#tellAnswered();
    const mayHaveEnded = this.#tainted && !this.#sent.hasErred && cursor.hasRolledBack;
    if (mayHaveEnded && rollsBack(this.#running(), cursor.index)) this.#tainted = false;
    const treatment = this.#treatment();
    if (treatment?.kind === 'wrap') return this.#rollback(false);
    if (treatment?.kind === 'cut' && treatment.rollback !== 'none') {
      return this.#rollback(treatment.rollback === 'chain');
    }
    this.#compareStatus();
  }

  /** What ran when the connection ended may be what ended it. */
  #tellLost(): void {
    const { endState } = this.connection;
    if (!this.#sent.hasErred && !this.#cursor.errored) this.#noteError(endState);
    this.#sent.lost(endState);
    this.#tellAnswered();
  }

  #tellAnswered(): void {
    const { timedOut } = this.#timer;
    const is = { isLate: this.#late, timedOut, isForced: this.#treatment() !== undefined };
    this.#observer.requestAnswered(this.#running(), this.#sent.answered(this.#cursor, is));
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
    const { statements } = this.#running().origin;
    if (sqlstate === UNSUPPORTED) this.connection.statements.unsupported(this.#cursor, statements);
    (this.#sqlstates ??= []).push(sqlstate);
    // Outside of a block nothing is left of the request.
    if (this.#cursor.statusBefore !== TransactionStatus.Idle || this.#cursor.statusAfter !== TransactionStatus.Idle) {
      this.#tainted = true;
    }
  }

  // --- COPY

  #feed(copy: CopyFeeder): void {
    for (const { bytes, owes } of copy.steps()) {
      this.#sent.sent();
      this.connection.send(bytes, owes);
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

  /** Sends nothing more of the transaction; a block left open is rolled back, and locks go, or all, where a session is not kept. */
  #end(): void {
    const { locks, recorded } = this.#running();
    const locksLeft = locks && (recorded.flags & TransactionFlag.KeepsSession) === 0;
    const left = this.#endsSession ? 'session' : locksLeft ? 'locks' : 'nothing';
    const closing = closingRequest(this.connection.status, left);
    if (closing === undefined) return this.#finish();
    this.#phase = Phase.Closing;
    this.#sent.reset();
    this.#send(closing, 0);
  }

  #finish(): void {
    const transaction = this.#running();
    // Its time was up, and no answer comes any more.
    if (this.connection.isOver && this.#timer.timedOut && this.#phase === Phase.Request) this.#tellAnswered();
    this.#timer.clear();
    this.#copy = undefined;
    this.#settingsRun = undefined;
    this.#phase = Phase.Idle;
    if (!this.connection.isOver) this.#followSettings(transaction);
    this.#transaction = undefined;
    this.#cursor.clear();
    const outcome = this.#timer.timedOut ? Outcome.TimedOut : this.#failed ? Outcome.Failed : Outcome.Replayed;
    this.#observer.replayed(outcome, this.#sqlstates ?? NONE);
  }

  /** A SET that outlives its transaction, or set_config: what the state is now is found out by putting it back. */
  #followSettings(transaction: MirroredTransaction): void {
    const { recorded, settings, unnamed, origin } = transaction;
    const hasSet = this.connection.sawSet && changesSession(recorded, settings, unnamed, origin.statements);
    if (transaction.configures || this.connection.reportsChange || hasSet) this.connection.settings = undefined;
  }

  #send(bytes: Uint8Array, sourceTime: number, ahead = 0): void {
    this.#sent.sent();
    this.#expect(sourceTime);
    this.connection.send(bytes, 1, ahead);
  }

  /** `sourceTime` in microseconds. */
  #expect(sourceTime: number): void {
    this.#timer.expect(sourceTime / 1000 + this.#options.timeoutMs);
  }

  #treatment(): Treatment | undefined {
    return this.#running().treatments?.get(this.#cursor.index);
  }

  #running(): MirroredTransaction {
    if (!this.#transaction) throw new Error('no transaction is running');
    return this.#transaction;
  }
}
