import { Backend, Frontend } from '../protocol/message-types.ts';
import { CopyDoubt } from './copy-doubt.ts';

/** What a frontend message owes its sender. The values are bit patterns: the high bit marks a message of our own. */
export const Owed = {
  Query: 1,
  FunctionCall: 2,
  Sync: 3,
  Parse: 4,
  Bind: 5,
  Describe: 6,
  Execute: 7,
  Close: 8,
  /** A message that owes nothing is malformed: the server refuses it. */
  Refusal: 9,
} as const;

/** Set in a kind when pgmirror itself put the message in: its answer is not the client's. */
export const INJECTED = 0x40;
const KIND = 0x3f;

/** What a message of the frontend type owes, or 0: indexed by the type byte. */
const owedBy = new Uint8Array(256);
owedBy[Frontend.Query] = Owed.Query;
owedBy[Frontend.FunctionCall] = Owed.FunctionCall;
owedBy[Frontend.Sync] = Owed.Sync;
owedBy[Frontend.Parse] = Owed.Parse;
owedBy[Frontend.Bind] = Owed.Bind;
owedBy[Frontend.Describe] = Owed.Describe;
owedBy[Frontend.Execute] = Owed.Execute;
owedBy[Frontend.Close] = Owed.Close;

/** What a frontend message of this type owes (a value of Owed), 0 where it owes nothing. */
export function owedByType(type: number): number {
  return owedBy[type] ?? 0;
}

/**
 * The answers that a server owes, in the order in which it was asked: a ring of small numbers, with one object and one
 * offset beside each. It follows the protocol's two flows (manual, "Message Flow"):
 *
 * - simple: Query and FunctionCall are answered up to their ReadyForQuery, whatever comes before it;
 * - extended: each message is answered by one completion; after an ErrorResponse the server skips everything up to the
 *   next Sync, which alone is answered. `skipping` says that this Sync has not even been sent yet.
 *
 * While a server is in COPY FROM STDIN (`copyIn`) it ignores Sync and Flush. The Syncs that it was sent meanwhile are
 * counted: should the COPY fail, nobody can tell which of them it had read before, and `doubt` is there until that has
 * been found out.
 */
export class AnswerQueue {
  #kinds = new Uint8Array(16);
  #subjects: unknown[] = new Array<unknown>(16).fill(undefined);
  #offsets = new Float64Array(16);
  #transactions = 0;
  #executed = false;
  #mask = 15;
  #first = 0;
  #length = 0;
  /** So many of what is owed are answered without anything more being sent. */
  #due = 0;
  /** Requests (Query, FunctionCall, Sync) whose ReadyForQuery has not come. */
  requests = 0;
  /** Extended-protocol messages were sent and no Sync behind them. */
  segmentOpen = false;
  /** The server ignores everything until a Sync that has not been sent. */
  skipping = false;
  /** The server reads COPY data. */
  copyIn = false;
  /** Syncs that the COPY under way ignores, if it has not failed before it read them. */
  ignoredSyncs = 0;
  /** A server in COPY was shown a message that does not belong there. */
  provoked = false;
  /** A COPY failed, and how many ReadyForQuerys are to come is being found out. */
  doubt: CopyDoubt | undefined;

  /** A ReadyForQuery said that a transaction has ended. */
  transactionEnded(): void {
    this.#transactions++;
  }

  /** Transactions that have ended since the last time. */
  takeTransactions(): number {
    const transactions = this.#transactions;
    this.#transactions = 0;
    return transactions;
  }

  get length(): number {
    return this.#length;
  }

  /** Nothing is owed and nothing half said: the server waits for a request. */
  get quiet(): boolean {
    return this.#length === 0 && !this.segmentOpen && !this.skipping && !this.copyIn && this.doubt === undefined;
  }

  /** An answer will come even if nothing more is sent. */
  get answerDue(): boolean {
    return this.#due > 0;
  }

  /** So will all answers. */
  get allDue(): boolean {
    return this.#due === this.#length;
  }

  /** `offset`: where the message ends in the recording. A Sync that a COPY ignores owes nothing. */
  push(kind: number, subject?: unknown, offset = 0): void {
    const bare = kind & KIND;
    if (bare === Owed.Sync && this.copyIn) {
      this.ignoredSyncs++;
      return;
    }
    if (this.#length > this.#mask) this.#grow();
    const at = (this.#first + this.#length) & this.#mask;
    this.#kinds[at] = kind;
    this.#subjects[at] = subject;
    this.#offsets[at] = offset;
    this.#length++;
    if (bare > Owed.Sync) {
      this.segmentOpen = true;
      if (bare === Owed.Execute) this.#executed = true;
      return;
    }
    this.segmentOpen = false;
    this.#executed = false;
    if (bare === Owed.Sync) this.skipping = false;
    this.requests++;
    this.#due = this.#length;
  }

  /** A Flush was sent: everything before it is answered. */
  flushed(): void {
    if (!this.copyIn && !this.skipping) this.#due = this.#length;
  }

  /** The kind of what is owed next (without INJECTED), 0 when nothing is. */
  get head(): number {
    return this.#length === 0 ? 0 : (this.#kinds[this.#first] ?? 0) & KIND;
  }

  /** Whether what is owed next answers a message of pgmirror's own. */
  get headInjected(): boolean {
    return this.#length > 0 && ((this.#kinds[this.#first] ?? 0) & INJECTED) !== 0;
  }

  get headSubject(): unknown {
    return this.#length === 0 ? undefined : this.#subjects[this.#first];
  }

  get headOffset(): number {
    return this.#length === 0 ? 0 : (this.#offsets[this.#first] ?? 0);
  }

  /** Takes off what is owed next. */
  shift(): void {
    if (this.#length === 0) return;
    const kind = (this.#kinds[this.#first] ?? 0) & KIND;
    this.ignoredSyncs = 0;
    if (kind <= Owed.Sync) this.requests--;
    if (this.#due > 0) this.#due--;
    this.#subjects[this.#first] = undefined;
    this.#first = (this.#first + 1) & this.#mask;
    this.#length--;
  }

  /**
   * A CopyInResponse came: the server ignores Sync from now on, those included that were sent behind the command (libpq
   * in pipeline mode sends one). Returns how many were. Where anything else was sent behind it, that ends the COPY with
   * an error, and the connection with it.
   */
  enterCopyIn(): number {
    this.copyIn = true;
    for (let index = 1; index < this.#length; index++) {
      const kind = this.#kinds[(this.#first + index) & this.#mask] ?? 0;
      if ((kind & KIND) !== Owed.Sync) return 0;
    }
    const swallowed = Math.max(this.#length - 1, 0);
    this.#length -= swallowed;
    this.requests -= swallowed;
    this.ignoredSyncs += swallowed;
    this.#due = 0;
    if (this.head === Owed.Execute) {
      this.segmentOpen = true;
      this.#executed = true;
    }
    return swallowed;
  }

  /** How to go on behind a Sync amid COPY data, or behind what does not belong there, depends on how the COPY ends. */
  get awaitsCopy(): boolean {
    return this.ignoredSyncs > 0 || this.doubt !== undefined || this.strayed;
  }

  /** Something that is no part of it was sent amid a COPY: unless that has failed before, the server ends the connection. */
  get strayed(): boolean {
    return this.copyIn && this.#length > 1;
  }

  /** CopyDone or CopyFail was sent. */
  copyEnded(): void {
    this.copyIn = false;
    this.#due = 0;
    if (this.head === Owed.Query) this.#due = this.#length;
  }

  /** An ErrorResponse came: if it ended a COPY, it may have done so before the COPY had read the Syncs sent to it. */
  copyFailed(): void {
    this.copyIn = false;
    if (this.ignoredSyncs > 0) this.doubt ??= new CopyDoubt();
  }

  /** How many ReadyForQuerys were to come is known: `answered` says whether the skipping is over. */
  doubtSettled(answered: boolean): void {
    this.doubt = undefined;
    this.ignoredSyncs = 0;
    this.provoked = false;
    if (!answered) return;
    this.skipping = false;
    this.segmentOpen = false;
  }

  /**
   * An ErrorResponse came in the extended flow: everything before the next Sync is skipped by the server, even a Query.
   * Where no Sync has been sent, `skipping` holds from now on. Returns how many requests were skipped;
   * `dropped` is told what stood beside each message, the one that erred first.
   */
  failSegment(dropped: (subject: unknown) => void = () => undefined): number {
    let skipped = 0;
    this.#executed = false;
    this.copyFailed();
    while (this.#length > 0) {
      const kind = (this.#kinds[this.#first] ?? 0) & KIND;
      if (kind === Owed.Sync) return skipped;
      if (kind <= Owed.FunctionCall) skipped++;
      dropped(this.#subjects[this.#first]);
      this.shift();
    }
    this.segmentOpen = false;
    this.skipping = true;
    return skipped;
  }

  /** The kind of the last message sent (without INJECTED), 0 when nothing is owed. */
  get last(): number {
    return this.#length === 0 ? 0 : (this.#kinds[(this.#first + this.#length - 1) & this.#mask] ?? 0) & KIND;
  }

  /**
   * Whether an Execute was sent, answered or not, behind which neither Sync nor Query came: only closing the connection
   * keeps it from committing.
   */
  get executeWithoutSync(): boolean {
    return this.#executed;
  }

  #grow(): void {
    const size = (this.#mask + 1) * 2;
    const kinds = new Uint8Array(size);
    const subjects = new Array<unknown>(size).fill(undefined);
    const offsets = new Float64Array(size);
    for (let index = 0; index < this.#length; index++) {
      const from = (this.#first + index) & this.#mask;
      kinds[index] = this.#kinds[from] ?? 0;
      subjects[index] = this.#subjects[from];
      offsets[index] = this.#offsets[from] ?? 0;
    }
    this.#kinds = kinds;
    this.#subjects = subjects;
    this.#offsets = offsets;
    this.#mask = size - 1;
    this.#first = 0;
  }
}

/** Whether a backend message of this type completes one extended-protocol message (or an Execute's row limit). */
export function isCompletion(type: number): boolean {
  return type === Backend.CommandComplete || type === Backend.EmptyQueryResponse || type === Backend.PortalSuspended;
}
