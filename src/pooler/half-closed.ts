import { Owed } from '../session/answer-queue.ts';
import type { ClientInput } from './client-input.ts';
import { staysInBlock } from './departure.ts';
import type { Server } from './session-link.ts';

/**
 * A client that sends no more while it is in a transaction block may be waiting for answers, or be gone: nothing tells.
 * It is served for so long; then what it left is cancelled and rolled back.
 */
const PATIENCE_MS = 1_000;

/** Serves a client that sends no more to the end of what it has sent, as far as that has one. */
export class HalfClosed {
  readonly #gone: () => void;
  #patience: NodeJS.Timeout | undefined;

  /** `gone` is called when the client is not to be served any more. */
  constructor(gone: () => void) {
    this.#gone = gone;
  }

  /** The client sends no more, or was answered since. `unread`: it has not taken all of the answers yet. */
  progress(server: Server, input: ClientInput, unread: boolean): void {
    if (!unread && !owesAnswers(server, input)) this.#gone();
    else if (staysInBlock(server)) this.#patience ??= setTimeout(() => this.#patienceOver(server), PATIENCE_MS);
  }

  end(): void {
    clearTimeout(this.#patience);
  }

  #patienceOver(server: Server): void {
    this.#patience = undefined;
    if (staysInBlock(server)) this.#gone();
  }
}

/** Whether answers are to come without anything more from the client. */
function owesAnswers(server: Server, input: ClientInput): boolean {
  const { answers } = server.state;
  if (answers.copyIn) return false;
  if (input.streaming) {
    // The message that has no end is never answered; what was sent before it is.
    const isCounted = answers.last === Owed.Query || answers.last === Owed.FunctionCall;
    return answers.requests > (isCounted ? 1 : 0);
  }
  return input.blocked || answers.answerDue || answers.doubt !== undefined;
}
