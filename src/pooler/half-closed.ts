import { Owed } from '../session/answer-queue.ts';
import type { AnswerQueue } from '../session/answer-queue.ts';
import type { ClientInput } from './client-input.ts';
import { staysInBlock } from './departure.ts';
import type { Server, SessionLink } from './session-link.ts';
import { WithheldOutput } from './withheld-output.ts';

/**
 * A client that sends no more while it is in a transaction block may be waiting for answers, or be gone: nothing tells.
 * It is served for so long; then what it left is cancelled and rolled back. The same holds for what it did not ask an
 * answer for.
 */
const PATIENCE_MS = 1_000;

/** Serves a client that sends no more to the end of what it has sent, as far as that has one. */
export class HalfClosed {
  readonly #link: SessionLink;
  readonly #input: ClientInput;
  readonly #gone: () => void;
  #patience: NodeJS.Timeout | undefined;

  /** `gone` is called when the client is not to be served any more. */
  constructor(link: SessionLink, input: ClientInput, gone: () => void) {
    this.#link = link;
    this.#input = input;
    this.#gone = gone;
  }

  /** The client sends no more, or was answered since. `unread`: it has not taken all of the answers yet. */
  progress(server: Server, unread: boolean): void {
    if (unread || owesAnswers(server, this.#input)) {
      if (staysInBlock(server)) this.#waitAWhile(server);
    } else if (this.#link.withheld === undefined && runsUnasked(server, this.#input)) {
      this.#link.withheld = new WithheldOutput(this.#link.client);
      this.#waitAWhile(server);
      this.#input.hurry(server);
    } else {
      this.#letGo(server);
    }
  }

  end(): void {
    clearTimeout(this.#patience);
  }

  #waitAWhile(server: Server): void {
    this.#patience ??= setTimeout(() => this.#patienceOver(server), PATIENCE_MS);
  }

  #patienceOver(server: Server): void {
    this.#patience = undefined;
    if (staysInBlock(server) || this.#link.withheld !== undefined) this.#letGo(server);
  }

  #letGo(server: Server): void {
    if (server.state.answers.skipping) this.#link.withheld?.letGo();
    this.#gone();
  }
}

/** Whether a server owes answers to requests that came before a message whose end it has not got. */
export function owesBeforeLast(answers: AnswerQueue): boolean {
  const isCounted = answers.last === Owed.Query || answers.last === Owed.FunctionCall;
  return answers.requests > (isCounted ? 1 : 0);
}

/** Whether answers are to come without anything more from the client. */
function owesAnswers(server: Server, input: ClientInput): boolean {
  const { answers } = server.state;
  if (answers.copyIn) return answers.strayed;
  if (input.streaming) return owesBeforeLast(answers);
  return input.blocked || answers.answerDue || answers.doubt !== undefined;
}

/** Whether the server was given something to do that it does without being asked for an answer: it may fail. */
function runsUnasked(server: Server, input: ClientInput): boolean {
  const { answers } = server.state;
  return !answers.copyIn && !input.streaming && answers.segmentOpen && answers.length > 0;
}
