import assert from 'node:assert/strict';

import { bind, errorFields, execute, firstText, msg, parse, query, sync, type Message } from '../../support/bytes.ts';
import { WireClient, type WireAddress, type WireLogin } from '../../support/wire-client.ts';
import { Generator } from './generator.ts';

/** How many transactions a workload made, and how many of them cannot be mirrored. */
export interface Tally {
  transactions: number;
  /** Failed on the source in a way that cannot be forced. */
  unsafe: number;
  /** Rolled back by pgmirror, whose client had gone. */
  aborted: number;
  /** Nothing was left of them, or they reach beyond the database. */
  denied: number;
}

/**
 * A client whose rows are its own, those of each of its connections apart: what it does is the same whatever goes on
 * beside it, also where what an earlier connection had begun is still being finished.
 */
export class RandomClient {
  readonly number: number;
  readonly random: Generator;
  readonly tally: Tally = { transactions: 0, unsafe: 0, aborted: 0, denied: 0 };
  /** The first number of this connection. */
  firstId = 1;
  readonly #address: WireAddress;
  readonly #login: WireLogin;
  #wire: WireClient | undefined;
  #lastId = 0;

  /** `seed`: of the workload; with the client's number it says all that the client will do. */
  constructor(options: {
    readonly number: number;
    readonly seed: number;
    readonly address: WireAddress;
    readonly login: WireLogin;
  }) {
    this.number = options.number;
    this.random = new Generator(1_000 * options.seed + options.number);
    this.#address = options.address;
    this.#login = options.login;
  }

  /** The schema with its tables. */
  get schema(): string {
    return `c${this.number}`;
  }

  /** A number that was never used. */
  newId(): number {
    return ++this.#lastId;
  }

  /** A number that this connection used, most often of a row that is there. */
  usedId(): number {
    return this.firstId + this.random.below(Math.max(1, this.#lastId - this.firstId + 1));
  }

  async wire(): Promise<WireClient> {
    if (this.#wire === undefined) {
      this.#wire = await WireClient.login(this.#address, this.#login);
    }
    return this.#wire;
  }

  /** Runs a simple query. `error`: the SQLSTATE that it must answer with; by default none. */
  async run(text: string, error = ''): Promise<Message[]> {
    const wire = await this.wire();
    wire.send(query(text));
    return this.#answer(wire, error, text);
  }

  /** Runs statements, each a request of its own. */
  async runAll(...texts: readonly string[]): Promise<void> {
    for (const text of texts) await this.run(text);
  }

  /** Sends a request of the extended protocol, its Sync included. */
  async request(messages: readonly Buffer[], error = ''): Promise<Message[]> {
    const wire = await this.wire();
    wire.send(...messages, sync);
    return this.#answer(wire, error, 'extended request');
  }

  /** The same for one unnamed statement with text parameters. */
  async execute(text: string, ...values: readonly string[]): Promise<Message[]> {
    return this.request([parse('', text), bind('', '', ...values), execute('')]);
  }

  /** COPY … FROM STDIN with these lines, by a simple query; `end` is CopyDone or CopyFail. */
  async copyIn(text: string, lines: string, end = msg('c'), error = ''): Promise<void> {
    const wire = await this.wire();
    wire.send(query(text));
    await wire.expect('G');
    wire.send(msg('d', Buffer.from(lines)), end);
    await this.#answer(wire, error, text);
  }

  /**
   * Sends a query, and CancelRequests until it heeds one: what has not begun cannot be cancelled. `first`: the message
   * of its answer that is waited for before.
   */
  async runCancelled(text: string, first?: string): Promise<void> {
    const wire = await this.wire();
    wire.send(query(text));
    if (first !== undefined) await wire.expect(first);
    const answered = this.#answer(wire, '57014', text);
    do {
      await pause(20);
      await WireClient.cancel(this.#address, wire.processId, wire.secretKey);
    } while (await Promise.race([answered.then(() => false), pause(200).then(() => true)]));
  }

  /** Runs a simple query on another connection, which ends with it. */
  async runBeside(text: string): Promise<Message[]> {
    const wire = await WireClient.login(this.#address, this.#login);
    try {
      wire.send(query(text));
      return await this.#answer(wire, '', text);
    } finally {
      await wire.end();
    }
  }

  /** Waits until pgmirror has closed the connection, and says why. */
  async whenClosed(error: string): Promise<void> {
    const wire = await this.wire();
    this.#forget();
    const [failure] = await wire.expect('E');
    assert.equal(failure && errorFields(failure).C, error);
    await wire.closed;
  }

  /** Sends a query and goes without waiting for its answer, or with no more of it than its first message. */
  async vanish(text?: string, first?: string): Promise<void> {
    const wire = await this.wire();
    this.#forget();
    if (text !== undefined) wire.send(query(text));
    if (first === undefined) await pause(5);
    else await wire.expect(first);
    await wire.destroy();
  }

  /** Sends queries at one stroke, and goes without more of their answers than these first messages. */
  async vanishAhead(texts: readonly string[], ...first: readonly string[]): Promise<void> {
    const wire = await this.wire();
    this.#forget();
    wire.send(Buffer.concat(texts.map(query)));
    await wire.expect(...first);
    await wire.destroy();
  }

  /** Says goodbye, as one does. */
  async leave(): Promise<void> {
    const wire = this.#wire;
    this.#forget();
    await wire?.end();
  }

  #forget(): void {
    this.#wire = undefined;
    // One is left out: a connection that made no row may have looked for the first of its own.
    this.firstId = this.newId() + 1;
  }

  async #answer(wire: WireClient, error: string, what: string): Promise<Message[]> {
    const answer = await wire.readUntil('Z', 30_000);
    const failure = answer.find(({ type }) => type === 'E');
    const said = failure === undefined ? '' : errorFields(failure);
    assert.equal(said === '' ? '' : said.C, error, `${what}: ${JSON.stringify(said)}`);
    return answer;
  }
}

/** The first command tag of an answer. */
export function commandTag(answer: readonly Message[]): string {
  const complete = answer.find(({ type }) => type === 'C');
  return complete === undefined ? '' : firstText(complete);
}

async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}
