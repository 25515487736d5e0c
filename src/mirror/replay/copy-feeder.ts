import { Frontend } from '../../protocol/message-types.ts';
import type { RequestCursor } from './request-cursor.ts';
import { cutOf, without } from './request-body.ts';
import type { Treatment } from './treatment.ts';

/** A run of messages: data of one COPY, or commands. Offsets into the recording. */
interface Segment {
  readonly from: number;
  readonly to: number;
  readonly isData: boolean;
  /** Data: it ends with CopyDone or CopyFail. */
  readonly isComplete: boolean;
  /** Commands: Query, FunctionCall and Sync messages among them. */
  readonly owes: number;
  /** Sync and Flush alone: a COPY ignores them. */
  readonly isIgnored: boolean;
}

/** What is to be sent next. */
export interface CopyStep {
  readonly bytes: Buffer;
  /** ReadyForQuerys that it will be answered with. */
  readonly owes: number;
}

/**
 * Feeds a request with COPY data to a mirror bit by bit: the data goes out once the mirror has asked for it, since a
 * mirror whose COPY failed would take what follows for something else, and answers another number of ReadyForQuerys
 * (manual, "COPY Operations": in copy-in mode Sync and Flush are ignored; after a failure in the extended protocol
 * everything is, up to Sync).
 */
export class CopyFeeder {
  readonly #segments: Segment[] = [];
  readonly #bytes: Buffer;
  readonly #cut: ReturnType<typeof cutOf>;
  /** The request uses the extended protocol: after an error the mirror waits for a Sync. */
  readonly isExtended: boolean;
  #index = 0;
  #inCopy = false;
  #over = false;

  constructor(cursor: RequestCursor, treatment: Treatment | undefined) {
    this.isExtended = !cursor.isQuery;
    this.#bytes = cursor.bytes;
    this.#cut = cutOf(treatment);
    const { bytes, end, skipFrom, skipTo } = cursor;
    for (let at = cursor.start; at < end;) {
      const messageEnd = cursor.messageEnd(at);
      if (at < skipFrom || at >= skipTo) this.#append(bytes[at] ?? 0, at, messageEnd);
      at = messageEnd;
    }
  }

  /** What can be sent now, in order; empty: wait for the mirror, or nothing is left. */
  *steps(): Generator<CopyStep> {
    while (!this.#over) {
      const segment = this.#segments[this.#index];
      if (segment === undefined) return;
      if (segment.isData && !this.#inCopy) return;
      this.#index++;
      // If the COPY has failed on the mirror by then, it would answer them.
      if (this.#inCopy && segment.isIgnored) continue;
      const owes = this.#inCopy ? 0 : segment.owes;
      if (segment.isData && segment.isComplete) this.#inCopy = false;
      yield { bytes: this.#bytesOf(segment), owes };
    }
  }

  /** The mirror asks for data. How many of the Syncs sent it will not answer; -1: the record has no data for it. */
  asked(): number {
    const next = this.#segments[this.#index];
    if (this.#over || next === undefined || !next.isData) return -1;
    this.#inCopy = true;
    const sent = this.#segments[this.#index - 1];
    if (sent === undefined || sent.isData) return 0;
    // In the simple flow, the ReadyForQuery of the Query itself is still to come.
    return this.isExtended ? sent.owes : Math.max(sent.owes - 1, 0);
  }

  /** The record ended within copy-in mode: the source failed on data that the mirror took. */
  get isUnfinished(): boolean {
    return !this.#over && this.#inCopy && this.#index === this.#segments.length;
  }

  /** Sends nothing more: the mirror failed. */
  stop(): void {
    this.#over = true;
    this.#inCopy = false;
  }

  #bytesOf({ from, to }: Segment): Buffer {
    const cut = this.#cut;
    if (cut !== undefined && cut.from >= from && cut.from < to) return without(this.#bytes, from, to, cut);
    return this.#bytes.subarray(from, to);
  }

  #append(type: number, from: number, to: number): void {
    const isData = type === Frontend.CopyData || type === Frontend.CopyDone || type === Frontend.CopyFail;
    const isComplete = isData && type !== Frontend.CopyData;
    const owes = type === Frontend.Query || type === Frontend.Sync || type === Frontend.FunctionCall ? 1 : 0;
    const isIgnored = type === Frontend.Sync || type === Frontend.Flush;
    const last = this.#segments.at(-1);
    if (last && last.to === from && last.isData === isData && !last.isComplete) {
      const both = { owes: last.owes + owes, isIgnored: last.isIgnored && isIgnored };
      this.#segments[this.#segments.length - 1] = { from: last.from, to, isData, isComplete, ...both };
    } else {
      this.#segments.push({ from, to, isData, isComplete, owes, isIgnored });
    }
  }
}
