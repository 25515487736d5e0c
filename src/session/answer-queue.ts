import { Backend, Frontend } from '../protocol/message-types.ts';

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
  /** CopyDone or CopyFail: owes nothing, but ends the stretch in which a server in COPY ignores Sync. */
  CopyEnd: 9,
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
 * While a server is in COPY FROM STDIN it ignores Sync and Flush; `copyIn` says so, and a Sync that was sent before the
 * CopyInResponse came is taken out again.
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
  /** Requests (Query, FunctionCall, Sync) whose ReadyForQuery has not come. */
  requests = 0;
  /** Extended-protocol messages were sent and no Sync behind them. */
  segmentOpen = false;
  /** The server ignores everything until a Sync that has not been sent. */
  skipping = false;
  /** The server reads COPY data. */
  copyIn = false;
  /** Syncs that a running COPY is taken to have swallowed. */
  #swallowed = 0;
  /** What is in doubt: how many ReadyForQuerys are to come (a Sync amid failed COPY data). */
  uncertain = false;

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
    this.#dropMarkers();
    return this.#length;
  }

  /** Nothing is owed and nothing half said: the server waits for a request. */
  get quiet(): boolean {
    return this.length === 0 && !this.segmentOpen && !this.skipping && !this.copyIn;
  }

  /** `offset`: where the message ends in the recording. Returns false when the message is swallowed by a COPY. */
  push(kind: number, subject?: unknown, offset = 0): void {
    const bare = kind & KIND;
    if (bare === Owed.Sync) {
      if (this.copyIn) {
        this.#swallowed++;
        return;
      }
      this.segmentOpen = false;
      this.skipping = false;
      this.#executed = false;
      this.requests++;
    } else if (bare <= Owed.FunctionCall) {
      this.segmentOpen = false;
      this.#executed = false;
      this.requests++;
    } else if (bare === Owed.CopyEnd) {
      this.copyIn = false;
    } else {
      this.segmentOpen = true;
      if (bare === Owed.Execute) this.#executed = true;
    }
    if (this.#length > this.#mask) this.#grow();
    const at = (this.#first + this.#length) & this.#mask;
    this.#kinds[at] = kind;
    this.#subjects[at] = subject;
    this.#offsets[at] = offset;
    this.#length++;
  }

  /** The kind of what is owed next (without INJECTED), 0 when nothing is. */
  get head(): number {
    this.#dropMarkers();
    return this.#length === 0 ? 0 : (this.#kinds[this.#first] ?? 0) & KIND;
  }

  /** Whether what is owed next answers a message of pgmirror's own. */
  get headInjected(): boolean {
    this.#dropMarkers();
    return this.#length > 0 && ((this.#kinds[this.#first] ?? 0) & INJECTED) !== 0;
  }

  get headSubject(): unknown {
    this.#dropMarkers();
    return this.#length === 0 ? undefined : this.#subjects[this.#first];
  }

  get headOffset(): number {
    this.#dropMarkers();
    return this.#length === 0 ? 0 : (this.#offsets[this.#first] ?? 0);
  }

  /** Takes off what is owed next. */
  shift(): void {
    if (this.#length === 0) return;
    const kind = (this.#kinds[this.#first] ?? 0) & KIND;
    this.#swallowed = 0;
    if (kind <= Owed.Sync) this.requests--;
    this.#subjects[this.#first] = undefined;
    this.#first = (this.#first + 1) & this.#mask;
    this.#length--;
  }

  /** An ErrorResponse came: perhaps before the COPY had read a Sync that it was taken to ignore, which is answered then. */
  copyFailed(): void {
    if (this.#swallowed > 0) this.uncertain = true;
    this.#swallowed = 0;
    this.copyIn = false;
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
    this.copyIn = false;
    return skipped;
  }

  /**
   * A CopyInResponse came: Syncs sent behind the command and before the end of its data are ignored by the server
   * (libpq in pipeline mode sends one), and so is each that is sent from now until then. Returns how many were.
   */
  enterCopyIn(): number {
    let ended = false;
    let swallowed = 0;
    let kept = 1;
    let closed = this.head !== Owed.Execute;
    for (let index = 1; index < this.#length; index++) {
      const from = (this.#first + index) & this.#mask;
      const kind = (this.#kinds[from] ?? 0) & KIND;
      if (kind === Owed.CopyEnd) ended = true;
      else if (kind <= Owed.Sync && (ended || kind !== Owed.Sync)) closed = true;
      if (kind === Owed.Sync && !ended) {
        swallowed++;
        this.requests--;
        continue;
      }
      const to = (this.#first + kept) & this.#mask;
      this.#kinds[to] = this.#kinds[from] ?? 0;
      this.#subjects[to] = this.#subjects[from];
      this.#offsets[to] = this.#offsets[from] ?? 0;
      kept++;
    }
    if (this.#length > 0) this.#length = Math.min(this.#length, kept);
    this.#swallowed += swallowed;
    if (swallowed > 0) this.segmentOpen = !closed;
    if (!ended) this.copyIn = true;
    return swallowed;
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

  #dropMarkers(): void {
    while (this.#length > 0 && (this.#kinds[this.#first] ?? 0) === Owed.CopyEnd) this.shift();
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
