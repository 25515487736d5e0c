import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';

import { Backend, Frontend, TransactionStatus } from '../../../src/protocol/message-types.ts';
import { commandComplete, readyForQuery } from '../../../src/protocol/backend-messages.ts';

const message = (type: number): Buffer => Buffer.from([type, 0, 0, 0, 4]);
const parseComplete = message(Backend.ParseComplete);
const bindComplete = message(Backend.BindComplete);
const closeComplete = message(Backend.CloseComplete);
const noData = message(Backend.NoData);
const copyIn = Buffer.from([Backend.CopyInResponse, 0, 0, 0, 7, 0, 0, 0]);
const copyOut = Buffer.from([Backend.CopyOutResponse, 0, 0, 0, 7, 0, 0, 0, Backend.CopyDone, 0, 0, 0, 4]);

/** What pgmirror itself asks a mirror for is none of the loads': it is passed on. */
const replayed = /^(BEGIN|END|COMMIT|ROLLBACK|TRUNCATE|COPY|(SELECT|UPDATE|INSERT|DELETE)[^]*(pgbench_|repeat\())/;
const InTransaction = TransactionStatus.InTransaction;

/** Where answers go. */
export interface SinkClient {
  write(bytes: Buffer): boolean;
  end(): void;
  on(event: 'drain', listener: () => void): void;
  off(event: 'drain', listener: () => void): void;
}

/** How what is replayed is answered. */
export type SinkMode = 'answer' | 'garbage' | 'huge';

const HUGE_BYTES = 2 ** 30;
/** A DataRow of 1 MB with one column. */
const hugeRow = Buffer.concat([
  Buffer.from([Backend.DataRow, 0, 0x10, 0, 0x0a, 0, 1, 0, 0x10, 0, 0]),
  Buffer.alloc(2 ** 20),
]);

/** One connection to the sink. Before the first ReadyForQuery everything is passed on, and so is what is not replayed. */
export class Sink {
  readonly #client: SinkClient;
  readonly #server: Socket;
  readonly #mode: SinkMode;
  #rest: Buffer = Buffer.alloc(0);
  /** Requests of pgmirror's own that the server has not answered; what comes behind them waits. */
  #passed = 1;
  #waiting: Buffer[] = [];
  #loggedIn = false;
  #status: number = TransactionStatus.Idle;
  /** The texts of prepared statements by name, and that of the portal. */
  readonly #statements = new Map<string, string>();
  #bound = '';
  /** The request under way goes to the server. */
  #passing = false;

  constructor(client: SinkClient, server: Socket, mode: SinkMode) {
    this.#client = client;
    this.#server = server;
    this.#mode = mode;
  }

  fromClient(chunk: Buffer): void {
    if (!this.#loggedIn) {
      this.#server.write(chunk);
      return;
    }
    if (this.#passed > 0) {
      this.#waiting.push(chunk);
      return;
    }
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#walk(bytes);
  }

  fromServer(chunk: Buffer): void {
    this.#client.write(chunk);
    // It answers one request at a time: the end of an answer is the end of a chunk.
    if (chunk.length < 6 || chunk[chunk.length - 6] !== Backend.ReadyForQuery) return;
    this.#loggedIn = true;
    this.#status = chunk.at(-1) ?? 0;
    this.#passed = 0;
    const waiting = Buffer.concat([this.#rest, ...this.#waiting]);
    this.#rest = Buffer.alloc(0);
    this.#waiting = [];
    if (waiting.length > 0) this.#walk(waiting);
  }

  #walk(bytes: Buffer): void {
    const answers: Buffer[] = [];
    let at = 0;
    while (bytes.length - at >= 5 && this.#passed === 0) {
      const end = at + 1 + bytes.readUInt32BE(at + 1);
      if (end > bytes.length) break;
      this.#message(bytes[at] ?? 0, bytes.subarray(at, end), answers);
      at = end;
    }
    this.#rest = Buffer.from(bytes.subarray(at));
    if (answers.length > 0) this.#client.write(answers.length === 1 ? answers[0]! : Buffer.concat(answers));
  }

  #message(type: number, bytes: Buffer, answers: Buffer[]): void {
    const asksServer = type === Frontend.Query && !replayed.test(bytes.toString('latin1', 5, 200));
    const parsesOther = type === Frontend.Parse && !replayed.test(textOfParse(bytes));
    if (asksServer || parsesOther || this.#passing) {
      this.#passing = type !== Frontend.Query && type !== Frontend.Sync;
      if (!this.#passing) this.#passed = 1;
      this.#server.write(bytes);
      return;
    }
    if (this.#mode === 'garbage') {
      answers.push(randomBytes(64));
      return;
    }
    switch (type) {
      case Frontend.Query:
        if (this.#mode === 'huge') {
          this.#answerAtLength();
          return;
        }
        this.#query(bytes.toString('latin1', 5, 200), answers);
        break;
      case Frontend.CopyDone:
        answers.push(commandComplete('COPY 1'), readyForQuery(this.#status));
        break;
      case Frontend.Sync:
        answers.push(readyForQuery(this.#status));
        break;
      case Frontend.Parse:
        this.#statements.set(nameAt(bytes, 5), textOfParse(bytes));
        answers.push(parseComplete);
        break;
      case Frontend.Bind:
        this.#bound = this.#statements.get(nameAt(bytes, bytes.indexOf(0, 5) + 1)) ?? '';
        answers.push(bindComplete);
        break;
      case Frontend.Describe:
        answers.push(noData);
        break;
      case Frontend.Close:
        answers.push(closeComplete);
        break;
      case Frontend.Execute:
        answers.push(this.#complete(this.#bound));
        break;
      case Frontend.Terminate:
        this.#client.end();
        break;
      default:
    }
  }

  /** What comes meanwhile waits. */
  #answerAtLength(): void {
    this.#passed = 1;
    let left = HUGE_BYTES / hugeRow.length;
    const more = (): void => {
      while (left > 0) {
        left -= 1;
        if (!this.#client.write(hugeRow)) return;
      }
      this.#client.off('drain', more);
      this.fromServer(Buffer.concat([commandComplete('SELECT 1024'), readyForQuery(this.#status)]));
    };
    this.#client.on('drain', more);
    more();
  }

  #query(text: string, answers: Buffer[]): void {
    if (/^COPY.*FROM/.test(text)) {
      answers.push(copyIn);
      return;
    }
    if (text.startsWith('COPY')) answers.push(copyOut);
    answers.push(this.#complete(text), readyForQuery(this.#status));
  }

  /** The command's tag, and the status that it leaves. */
  #complete(text: string): Buffer {
    const [verb = ''] = /^[A-Z]+/.exec(text) ?? [];
    if (verb === 'BEGIN') this.#status = InTransaction;
    if (verb === 'END' || verb === 'COMMIT' || verb === 'ROLLBACK') this.#status = TransactionStatus.Idle;
    return tags.get(verb) ?? tags.get('SELECT')!;
  }
}

const tags = new Map(
  Object.entries({ BEGIN: 'BEGIN', END: 'COMMIT', COMMIT: 'COMMIT', ROLLBACK: 'ROLLBACK', SELECT: 'SELECT 1' })
    .concat(Object.entries({ UPDATE: 'UPDATE 1', INSERT: 'INSERT 0 1', TRUNCATE: 'TRUNCATE TABLE', COPY: 'COPY 1' }))
    .map(([verb, tag]) => [verb, commandComplete(tag)]),
);

function nameAt(bytes: Buffer, start: number): string {
  return bytes.toString('latin1', start, bytes.indexOf(0, start));
}

function textOfParse(bytes: Buffer): string {
  return bytes.toString('latin1', bytes.indexOf(0, 5) + 1, 200);
}
