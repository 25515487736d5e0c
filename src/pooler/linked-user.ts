import type { ServerUser } from '../pool/server-connection.ts';
import type { AnswerRelay } from './answer-relay.ts';
import type { SessionEnding } from './session-ending.ts';
import type { SessionLink } from './session-link.ts';

/**
 * A session as the user of the server connection that it has: one for all its transactions, and for each of ten thousand
 * idle clients a small one.
 */
export class LinkedUser implements ServerUser {
  readonly #link: SessionLink;
  readonly #answers: AnswerRelay;
  readonly #ending: SessionEnding;

  constructor(link: SessionLink, answers: AnswerRelay, ending: SessionEnding) {
    this.#link = link;
    this.#answers = answers;
    this.#ending = ending;
  }

  bytes(chunk: Buffer): void {
    const { server } = this.#link;
    if (server !== undefined) this.#answers.bytes(server, chunk);
  }

  lost(reason: string): void {
    this.#ending.serverLost(reason);
  }

  takeRest(): Buffer {
    return this.#answers.takeRest();
  }
}
