import type { ErrorFields } from '../protocol/backend-messages.ts';
import { TransactionStatus } from '../protocol/message-types.ts';
import type { ClientInput } from './client-input.ts';
import { owesBeforeLast } from './half-closed.ts';
import { timeoutError } from './session-errors.ts';
import type { Server } from './session-link.ts';

/** What a session waits for: a server's answer, its client's next request, or that within a transaction. */
export type WaitsFor = 'answer' | 'request' | 'transaction' | undefined;

/** Limits in milliseconds; 0 is off. */
export interface SessionTimeoutLimits {
  readonly queryTimeoutMs: number;
  readonly clientIdleTimeoutMs: number;
  readonly clientIdleInTransactionTimeoutMs: number;
}

/**
 * How long a session has waited for the same thing. One sweep over all sessions counts, not a timer or a look at the
 * clock for each request; limits are exact to a sweep.
 */
export class SessionTimeouts {
  readonly #limits: SessionTimeoutLimits;
  #active = false;
  #waitsFor: WaitsFor;
  #waitedMs = 0;

  constructor(limits: SessionTimeoutLimits) {
    this.#limits = limits;
  }

  /** What was waited for came: a whole message, or an answer. */
  activity(): void {
    this.#active = true;
  }

  /** `elapsedMs` have passed since the last call. The error of the limit that is over, if one is. */
  sweep(waitsFor: WaitsFor, elapsedMs: number): ErrorFields | undefined {
    this.#waitedMs = waitsFor === this.#waitsFor && !this.#active ? this.#waitedMs + elapsedMs : 0;
    this.#waitsFor = waitsFor;
    this.#active = false;
    const { queryTimeoutMs, clientIdleTimeoutMs, clientIdleInTransactionTimeoutMs } = this.#limits;
    if (waitsFor === 'answer' && this.#over(queryTimeoutMs)) return timeoutError('57014', 'query_timeout');
    if (waitsFor === 'request' && this.#over(clientIdleTimeoutMs)) return timeoutError('57P05', 'client_idle_timeout');
    if (waitsFor === 'transaction' && this.#over(clientIdleInTransactionTimeoutMs)) {
      return timeoutError('25P03', 'client_idle_in_transaction_timeout');
    }
    return undefined;
  }

  #over(limitMs: number): boolean {
    return limitMs > 0 && this.#waitedMs >= limitMs;
  }
}

/** What a client waits for that has a server connection. */
export function whatIsWaitedFor(server: Server, input: ClientInput): WaitsFor {
  const { answers } = server.state;
  // The server cannot answer what it has not got whole.
  if (input.streaming && !answers.copyIn) return owesBeforeLast(answers) ? 'answer' : 'transaction';
  if (answers.requests > 0 || answers.answerDue) return 'answer';
  if (input.blocked) return undefined;
  return server.status === TransactionStatus.Idle && answers.quiet ? 'request' : 'transaction';
}
