import type { ErrorFields } from '../protocol/backend-messages.ts';
import { TransactionStatus } from '../protocol/message-types.ts';
import { giveClientSettings, hasClientSettings, tellReported } from './client-settings.ts';
import { showStatements } from './own-statements.ts';
import { runTask } from './server-task.ts';
import type { TaskResult } from './server-task.ts';
import type { SessionEnding } from './session-ending.ts';
import type { Server, SessionLink } from './session-link.ts';
import type { SlowOutput } from './slow-output.ts';

/** What the preparation of a server connection needs of the session it is for. */
export interface PreparationOwner {
  /** The connection is as the client knows it: what waits is passed on. */
  prepared(server: Server): void;
  /** It cannot be made so, and is gone: the client's request is refused. */
  refuse(error: ErrorFields): void;
  /** It was lost: the client's request is to be had another. */
  tryAgain(): void;
  /** The connection is the client's outside a transaction, too. */
  readonly keepsServer: boolean;
}

type Failure = Exclude<TaskResult, { readonly outcome: 'done' }>;

/**
 * Makes a server connection what its client takes it for, before anything of the client's is sent on it: with its
 * settings, without the numbers that sequences gave others, with its prepared statements where SQL looks at them. The
 * session is `waiting` meanwhile.
 */
export class SessionPreparation {
  readonly #link: SessionLink;
  readonly #output: SlowOutput;
  readonly #ending: SessionEnding;
  readonly #owner: PreparationOwner;
  readonly #timeoutMs: number;
  /** The connection before was lost while it was given the client's settings. */
  #givenAgain = false;

  /** `timeoutMs`: for each thing that is asked of the server. */
  constructor(
    parts: { readonly link: SessionLink; readonly output: SlowOutput; readonly ending: SessionEnding },
    owner: PreparationOwner,
    timeoutMs: number,
  ) {
    this.#link = parts.link;
    this.#output = parts.output;
    this.#ending = parts.ending;
    this.#owner = owner;
    this.#timeoutMs = timeoutMs;
  }

  /** Gives the server the client's settings where it has others. False: that takes a while; input waits. */
  giveSettings(server: Server): boolean {
    if (hasClientSettings(this.#link, server)) {
      this.#givenAgain = false;
      return true;
    }
    this.#link.state = 'waiting';
    giveClientSettings(this.#link, server, this.#timeoutMs, (failure) => {
      if (failure === undefined) {
        this.#givenAgain = false;
        this.#done(server);
      } else if (this.#owner.keepsServer) {
        // With the connection everything is gone that the client has it for.
        if (failure.outcome === 'lost') this.#ending.taskLost(failure);
        else this.#ending.taskFailed(failure.error);
      } else this.#notGiven(failure);
    });
    return false;
  }

  /** Nothing of the client's was sent to a connection that was lost: another may do. */
  #notGiven(failure: Failure): void {
    this.#link.unlink();
    if (failure.outcome === 'error') {
      this.#owner.refuse(failure.error);
    } else if (this.#givenAgain) {
      this.#owner.refuse({ severity: 'ERROR', code: '08006', message: failure.reason });
    } else {
      this.#givenAgain = true;
      this.#owner.tryAgain();
    }
  }

  /** Has the server forget what sequences gave another client. */
  forgetSequences(server: Server): void {
    this.#link.foreignSequences = false;
    // The last answer lies in the server's read buffer: the message is shown again when the client has taken it.
    if (this.#output.paused) return;
    this.#link.state = 'waiting';
    this.#discardSequences(server);
  }

  #discardSequences(server: Server): void {
    // A cancel of the client's must not hit it.
    if (server.cancels > 0) {
      server.onCancelsDone = () => {
        if (this.#link.server === server) this.#discardSequences(server);
      };
      return;
    }
    runTask(server, 'DISCARD SEQUENCES', this.#timeoutMs, (result) => {
      if (result.outcome === 'lost') {
        this.#ending.taskLost(result);
        return;
      }
      server.state.sequencesOf = this.#link.statements;
      // It may be amid a transaction block of the client's, which has gone.
      if (server.status === TransactionStatus.Idle || this.#link.state === 'waiting') this.#done(server);
      else this.#ending.abandon(server);
    });
  }

  /** Has the server hold the client's prepared statements, and no others, under its own names. */
  showStatements(server: Server): void {
    this.#link.statementsAsked = this.#output.paused ? 'no' : 'shown';
    if (this.#output.paused) return;
    this.#link.state = 'waiting';
    showStatements(this.#link, server, this.#timeoutMs, (lost) => {
      if (lost !== undefined) this.#ending.taskLost(lost);
      else if (this.#link.state === 'waiting') this.#done(server);
      // It may be amid a transaction block of the client's, which has gone.
      else this.#ending.abandon(server);
    });
  }

  #done(server: Server): void {
    if (this.#ending.hasLeft(server)) return;
    // Its configuration may have changed, which it reports with whatever it is asked first.
    tellReported(this.#link, server);
    this.#owner.prepared(server);
  }
}
