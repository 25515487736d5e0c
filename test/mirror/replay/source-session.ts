import { monotonicNow } from '../../../src/util/clock.ts';
import { RequestFlag } from '../../../src/mirror/record/record-stream.ts';
import { errorFields, firstText, query, splitMessages } from '../../support/bytes.ts';
import type { Message } from '../../support/bytes.ts';
import type { WireClient } from '../../support/wire-client.ts';
import { recording } from '../recordings.ts';
import type { RequestSketch } from '../recordings.ts';

/** A whole transaction that a source ran. */
export interface SourceTransaction {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly requestCount: number;
  readonly recording: Buffer;
}

/**
 * Runs requests on a real PostgreSQL and records them as a pooler would: whole transactions by ReadyForQuery's status,
 * think times, SQLSTATEs, and what the server skipped after an error.
 */
export class SourceSession {
  readonly transactions: SourceTransaction[] = [];
  readonly #client: WireClient;
  #requests: RequestSketch[] = [];
  #status = 'I';
  #startedAt = 0;
  #readyAt = 0;

  constructor(client: WireClient) {
    this.#client = client;
  }

  /** Runs simple queries, each a request; the messages of the last one's answer. */
  async queries(...texts: readonly string[]): Promise<Message[]> {
    let answer: Message[] = [];
    for (const text of texts) answer = await this.request(query(text));
    return answer;
  }

  /** Runs one request up to its ReadyForQuery. */
  async request(...messages: readonly Buffer[]): Promise<Message[]> {
    const sentAt = monotonicNow();
    this.#client.send(...messages);
    const answer = await this.#client.readUntil('Z');
    this.#note(Buffer.concat(messages), answer, sentAt);
    return answer;
  }

  #note(bytes: Buffer, answer: readonly Message[], sentAt: number): void {
    const now = monotonicNow();
    const first = this.#requests.length === 0;
    if (first) this.#startedAt = sentAt;
    const after = firstText(answer.at(-1) as Message);
    const error = answer.find(({ type }) => type === 'E');
    const tagged = (tag: string): boolean =>
      answer.some((message) => message.type === 'C' && firstText(message) === tag);
    const skip = error ? skipped(bytes, answer) : { from: 0, to: 0 };
    this.#requests.push({
      messages: [bytes],
      statuses: this.#status + after,
      flags: (tagged('ROLLBACK') ? RequestFlag.RollbackTag : 0) | (tagged('COMMIT') ? RequestFlag.CommitTag : 0),
      sqlstate: error ? (errorFields(error).C ?? '') : '',
      thinkTime: first ? 0 : (sentAt - this.#readyAt) * 1000,
      sourceTime: (now - sentAt) * 1000,
      skipFrom: skip.from,
      skipTo: skip.to,
    });
    this.#readyAt = now;
    this.#status = after;
    if (after !== 'I') return;
    this.transactions.push({
      startedAt: this.#startedAt,
      endedAt: now,
      requestCount: this.#requests.length,
      recording: recording(...this.#requests),
    });
    this.#requests = [];
  }
}

const DONE: Readonly<Record<string, RegExp>> = { P: /1/, B: /2/, C: /3/, D: /[Tn]/, E: /[CsI]/ };

/** From behind the message that failed to the last Sync (extended protocol only). */
function skipped(bytes: Buffer, answer: readonly Message[]): { from: number; to: number } {
  const { messages } = splitMessages(bytes);
  if (messages[0]?.type === 'Q') return { from: 0, to: 0 };
  let done = 0;
  for (const { type } of answer) {
    if (type === 'E') break;
    if (DONE[messages[done]?.type ?? '']?.test(type)) done++;
  }
  const offsets: number[] = [];
  let at = 0;
  for (const message of messages) {
    at += message.bytes.length;
    offsets.push(at);
  }
  const from = offsets[done] ?? 0;
  const to = at - (messages.at(-1)?.bytes.length ?? 0);
  return from < to ? { from, to } : { from: 0, to: 0 };
}
