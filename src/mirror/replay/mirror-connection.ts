import type { ServerSocket, ServerSocketHandler } from '../../net/server-socket.ts';
import type { LoggedInServer } from '../../pool/connect-server.ts';
import { deliverCancel } from '../../pool/deliver-cancel.ts';
import { terminate } from '../../protocol/frontend-messages.ts';
import { TransactionStatus } from '../../protocol/message-types.ts';
import { monotonicNow } from '../../util/clock.ts';
import type { AnswerDigester } from '../compare/answer-digester.ts';
import { AnswerWalker } from './answer-walker.ts';
import type { AnswerHandler } from './answer-walker.ts';
import { ConnectionStatements } from './connection-statements.ts';
import { redefines } from './definitions.ts';
import type { Definitions } from './definitions.ts';
import type { MirroredTransaction } from './mirrored-transaction.ts';
import { endsConnections } from './ends-connections.ts';
import type { Outage, Outages } from './outages.ts';
import { FRESH_LOGIN } from './session-settings.ts';
import type { SessionSettings } from './session-settings.ts';

const TOO_LONG = 'an answer far longer than the source can have given';
/** It ended without a word, and what it sent was no answer: connection_failure and protocol_violation. */
const WITHOUT_A_WORD = '08006';
const NO_ANSWER = '08P01';
/** How long a CancelRequest may take to be delivered. */
const CANCEL_TIMEOUT_MS = 2000;

/** Whoever uses a mirror connection at the moment. */
export interface ConnectionUser {
  /** Every ReadyForQuery owed has come. */
  answered(): void;
  errored(sqlstate: string): void;
  /** The server waits for CopyData. */
  copyIn(): void;
  /** The connection is over; nothing follows. */
  lost(reason: string): void;
}

/** What holds for all connections of a mirror. */
export interface MirrorConnectionOptions {
  readonly preparedStatementsLimit: number;
  readonly definitions: Definitions;
  readonly outages: Outages;
}

/**
 * A logged-in connection to a mirror. Answers are walked and discarded; what is followed is the transaction status, the
 * ReadyForQuerys owed, the prepared statements and the session's state.
 */
export class MirrorConnection implements ServerSocketHandler, AnswerHandler {
  readonly statements: ConnectionStatements;
  /** The session's state; undefined where it is not known. */
  settings: SessionSettings | undefined = FRESH_LOGIN;
  /** An answer told of SET, RESET or DO since this was last put back. */
  sawSet = false;
  /** Status byte of the last ReadyForQuery. */
  status: number = TransactionStatus.Idle;
  /** ReadyForQuerys that what was sent still owes. */
  owed = 0;
  /** Bytes of answers that are still taken. */
  allowance = Infinity;
  user: ConnectionUser | undefined;
  /** Why it is over. */
  endReason = 'connection closed';
  /** The same as a SQLSTATE: the server's, where it had told that it was going to end the connection. */
  endState = WITHOUT_A_WORD;
  /** When it was opened, and when the server last was heard, by the monotonic clock. */
  readonly openedAt = monotonicNow();
  heardAt = this.openedAt;
  /** What it ended in, if it ended without a word. */
  outage: Outage | undefined;
  /** A CancelRequest was taken by the server: that is there, whatever becomes of what it runs. */
  isCancelTaken = false;
  readonly #socket: ServerSocket;
  readonly #processId: number;
  readonly #secretKey: Buffer;
  readonly #definitions: Definitions;
  readonly #outages: Outages;
  /** The transaction has redefined something, which others see when it has ended. */
  #redefined = false;
  /** Digests answers, where they are compared. */
  digester: AnswerDigester | undefined;
  readonly #walker = new AnswerWalker(this);
  /** Answers to messages of pgmirror's own, ahead of the request's: they are nobody's. */
  #ahead = 0;
  /** CancelRequests on their way. */
  #cancelling = 0;
  #answerWaits = false;
  #over = false;
  /** What the server reports (ParameterStatus), and what it reported when the transaction began, where that was another value. */
  readonly #reported: Map<string, string>;
  readonly #reportedBefore = new Map<string, string | undefined>();

  constructor(server: LoggedInServer, options: MirrorConnectionOptions) {
    this.#definitions = options.definitions;
    this.#outages = options.outages;
    this.statements = new ConnectionStatements(options.preparedStatementsLimit, options.definitions);
    this.#reported = new Map(server.parameters);
    this.#processId = server.processId;
    this.#secretKey = server.secretKey;
    this.#socket = server.socket;
    this.#socket.handler = this;
  }

  /** The server ended it, or the way to that, and nobody said why. */
  get isSilent(): boolean {
    return this.endState === WITHOUT_A_WORD;
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** The session's state is that of a client, whose transaction begins. */
  begin({ unnamed, settings }: Pick<MirroredTransaction, 'unnamed' | 'settings'>): void {
    this.sawSet = false;
    this.#reportedBefore.clear();
    this.statements.begin(unnamed, settings.namespace);
  }

  /** Since then the server has reported a parameter, and not taken that back: perhaps a function has set it. */
  get reportsChange(): boolean {
    return this.#reportedBefore.size > 0;
  }

  /** Sends a request; `owes`: how many ReadyForQuerys it will be answered with. `ahead`: answers to swallow before. */
  send(bytes: Uint8Array, owes: number, ahead = 0): void {
    this.owed += owes;
    this.#ahead = ahead;
    this.#socket.write(bytes);
  }

  /** Says goodbye. Calls nobody any more. */
  close(): void {
    if (this.#over) return;
    this.#end();
    this.#socket.end(terminate());
  }

  /** Closes at once. Calls nobody any more. */
  destroy(): void {
    if (this.#over) return;
    this.#end();
    this.#socket.destroy();
  }

  /** Cancels what runs. Its answer is told when the server has taken note of that, lest it hit what comes next. */
  cancel(): void {
    if (this.#processId === 0) return;
    this.#cancelling++;
    const settled = (): void => {
      this.#cancelling--;
      if (this.#cancelling === 0 && this.#answerWaits) this.#answered();
    };
    const target = {
      address: this.#socket.address,
      encryption: this.#socket.encryption,
      processId: this.#processId,
      secretKey: this.#secretKey,
    };
    const delivered = (isTaken: boolean): void => {
      this.isCancelTaken ||= isTaken;
      settled();
    };
    deliverCancel(target, CANCEL_TIMEOUT_MS).then(delivered, settled);
  }

  // --- ServerSocketHandler

  bytes(chunk: Buffer): void {
    this.allowance -= chunk.length;
    if (this.allowance < 0) return this.#giveUp(TOO_LONG);
    this.digester?.push(chunk);
    this.#walker.push(chunk);
    // It says beforehand that it is going to be: nobody waits for that.
    if (this.#walker.missing > this.allowance && !this.#over) this.#giveUp(TOO_LONG);
  }

  closed(error: Error | undefined): void {
    this.#lost(error?.message ?? 'connection closed by the server');
  }

  // --- AnswerHandler

  readyForQuery(status: number): void {
    if (this.owed === 0) return this.garbage();
    this.status = status;
    this.heardAt = monotonicNow();
    this.owed--;
    this.#ahead = 0;
    this.statements.answered();
    if (this.#redefined && status === TransactionStatus.Idle) {
      this.#redefined = false;
      this.#definitions.version++;
    }
    if (this.owed > 0) return;
    if (this.#cancelling > 0) this.#answerWaits = true;
    else this.#answered();
  }

  errorResponse(sqlstate: string): void {
    this.#ahead = 0;
    this.statements.failed();
    this.noticeResponse(sqlstate);
    this.user?.errored(sqlstate);
  }

  /** Of a crash of another backend, and of a shutdown, servers warn before they close. */
  noticeResponse(sqlstate: string): void {
    if (endsConnections(sqlstate)) this.endState = sqlstate;
  }

  copyInResponse(): void {
    this.user?.copyIn();
  }

  statementDone(): void {
    if (this.#ahead > 0) this.#ahead--;
  }

  sessionCommand(tag: string): void {
    if (tag === 'DISCARD ALL') {
      this.statements.forgetAll();
      this.settings = FRESH_LOGIN;
      this.sawSet = false;
    } else if (tag === 'DEALLOCATE ALL') {
      this.statements.forgetAll();
    } else if (tag === 'DEALLOCATE') {
      this.statements.deallocated();
    } else if (tag === 'SET' || tag === 'RESET' || tag === 'DO') {
      this.sawSet = true;
    } else if (redefines(tag)) {
      this.#redefined = true;
      this.#definitions.version++;
    }
  }

  parameterStatus(name: string, value: string): void {
    const before = this.#reported.get(name);
    this.#reported.set(name, value);
    if (!this.#reportedBefore.has(name)) this.#reportedBefore.set(name, before);
    if (this.#reportedBefore.get(name) === value) this.#reportedBefore.delete(name);
  }

  garbage(): void {
    this.#giveUp('the server does not speak the PostgreSQL protocol');
  }

  #answered(): void {
    this.#answerWaits = false;
    if (!this.#over) this.user?.answered();
  }

  #end(): void {
    this.#over = true;
    this.#walker.stop();
  }

  #giveUp(reason: string): void {
    this.endState = NO_ANSWER;
    this.#socket.destroy();
    this.#lost(reason);
  }

  #lost(reason: string): void {
    if (this.#over) return;
    this.endReason = reason;
    this.#end();
    this.outage = this.#outages.ended(this);
    this.user?.lost(reason);
  }
}
