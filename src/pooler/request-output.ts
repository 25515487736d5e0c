import { close, flush, sync } from '../protocol/frontend-messages.ts';
import { Frontend, HEADER_LENGTH, Target } from '../protocol/message-types.ts';
import { INJECTED, Owed, owedByType } from '../session/answer-queue.ts';
import { monotonicNow } from '../util/clock.ts';
import type { OutputAssembly } from './output-assembly.ts';
import type { Executed, Subject } from './request-subject.ts';
import type { Server, SessionLink } from './session-link.ts';

const FLUSH = flush();
const SYNC = sync();
/** To a server that may be skipping to a Sync, or not: the CloseComplete stands behind all it owed before. */
const DOUBT = [sync(), close(Target.Portal, 'pgmirror'), sync()];

/** A message with a statement's name in it: `size` bytes in all, of which there is `start` to `end`. */
export interface NamedMessage {
  readonly start: number;
  readonly end: number;
  readonly size: number;
  readonly nameStart: number;
  /** Behind the name's zero byte. */
  readonly nameEnd: number;
}

/**
 * What goes to the server: puts messages together for one write, notes what each owes, and shows the recorder what the
 * source receives. Counts requests and segments (stretches of messages up to a Sync) as they are sent.
 */
export class RequestOutput {
  readonly #link: SessionLink;
  readonly #assembly: OutputAssembly;
  /** The current request has begun and the message that owes its ReadyForQuery has not been sent. */
  #requestOpen = false;
  #requests = 0;
  /** When the current request began, and in which walk over the client's bytes. */
  #startedAt = 0;
  #startedIn = 0;
  #segment = 0;
  #answeredSegments = 0;

  constructor(link: SessionLink, assembly: OutputAssembly) {
    this.#link = link;
    this.#assembly = assembly;
  }

  /** Requests begun so far: tells whether two messages belong to the same. */
  get requests(): number {
    return this.#requests;
  }

  get requestOpen(): boolean {
    return this.#requestOpen;
  }

  /** The segment being sent, and the oldest that has not been answered. */
  get segment(): number {
    return this.#segment;
  }

  get answeredSegments(): number {
    return this.#answeredSegments;
  }

  segmentAnswered(): void {
    this.#answeredSegments++;
  }

  /** Syncs that were sent are ignored by a COPY. `open`: its request is still being sent. */
  segmentsSwallowed(count: number, open: boolean): void {
    this.#answeredSegments += count;
    if (open) this.#requestOpen = true;
  }

  /** What seemed to end the current request was skipped by the server: a Sync is still to come. */
  requestGoesOn(): void {
    this.#requestOpen = true;
  }

  /** The link is given up: the next request begins anew. */
  reset(): void {
    this.#requestOpen = false;
    this.#segment = this.#answeredSegments;
  }

  beginRequest(): void {
    if (this.#requestOpen) return;
    this.#requestOpen = true;
    this.#requests++;
    const recorder = this.#link.recorder;
    const isFirst = this.#link.answers.length === 0;
    if (recorder === undefined && !isFirst) return;
    // A reading of the clock costs as much as half a dozen messages: one does for both.
    const now = monotonicNow();
    if (isFirst) this.#link.becomesBusy(now);
    if (recorder === undefined) return;
    this.#startedAt = now;
    this.#startedIn = this.#link.walks;
    recorder.requestStarts(now);
  }

  /** The message that owes the ReadyForQuery has been sent. `simple`: the request is one Query. */
  requestSent(simple: boolean): void {
    this.#requestOpen = false;
    const recorder = this.#link.recorder;
    if (recorder === undefined) return;
    recorder.requestSent(simple, this.#startedIn === this.#link.walks ? this.#startedAt : undefined);
  }

  /** The message as it is. `rest`: bytes of it that are still to come. */
  pass(
    server: Server,
    type: number,
    bytes: Buffer,
    start: number,
    end: number,
    subject?: Subject | Executed,
    rest = 0,
  ): void {
    this.#assembly.append(bytes, start, end);
    const recorder = this.#link.recorder;
    recorder?.append(bytes, start, end);
    const owed = owedByType(type);
    if (owed !== 0) server.state.answers.push(owed, subject, recorder === undefined ? 0 : recorder.offset + rest);
  }

  /** A message in place of the client's, of which mirrors get another. */
  passAs(server: Server, owed: number, message: Buffer, recorded: Buffer, subject?: Subject): void {
    this.#assembly.appendAll(message);
    this.#link.recorder?.append(recorded, 0, recorded.length);
    server.state.answers.push(owed, subject, this.#link.recorder?.offset ?? 0);
  }

  /** The message with a statement's name replaced; `recorded` is the name on mirrors. */
  rename(
    server: Server,
    owed: number,
    bytes: Buffer,
    message: NamedMessage,
    name: Buffer,
    subject: Subject | undefined,
    recorded = name,
  ): void {
    const assembly = this.#assembly;
    const { start, end, size, nameStart, nameEnd } = message;
    assembly.appendRenamed(bytes, start, end, size, nameStart, nameEnd, name);
    const recorder = this.#link.recorder;
    if (recorded === name) {
      recorder?.append(assembly.scratch, assembly.lastStart, assembly.used);
    } else {
      const renamed = Buffer.concat([bytes.subarray(start, nameStart), recorded, bytes.subarray(nameEnd, end)]);
      renamed.writeUInt32BE(size - 1 - (nameEnd - nameStart) + recorded.length, 1);
      recorder?.append(renamed, 0, renamed.length);
    }
    const rest = size - (end - start);
    server.state.answers.push(owed, subject, recorder === undefined ? 0 : recorder.offset + rest);
  }

  /** A message of pgmirror's own: its answer is swallowed, and mirrors never see it. `owed` 0: it has none. */
  inject(server: Server, owed: number, message: Buffer, subject: Subject | undefined): void {
    this.#assembly.appendAll(message);
    if (owed !== 0) server.state.answers.push(owed | INJECTED, subject, this.#link.recorder?.offset ?? 0);
  }

  /** A message of pgmirror's own in place of one of the client's. */
  replace(server: Server, owed: number, message: Buffer, subject: Subject): void {
    this.#assembly.appendAll(message);
    server.state.answers.push(owed, subject, this.#link.recorder?.offset ?? 0);
  }

  /** Has the server answer what it was sent, where the client itself does not ask for that yet. */
  hurry(server: Server): void {
    const { answers } = server.state;
    if (!answers.segmentOpen || answers.allDue || answers.copyIn) return;
    this.#assembly.appendAll(FLUSH);
    answers.flushed();
  }

  sync(server: Server, bytes: Buffer, start: number, end: number): void {
    if (server.state.answers.copyIn) {
      this.amidCopy(bytes, start, end);
      server.state.answers.push(Owed.Sync);
      return;
    }
    this.beginRequest();
    // One with a body is the server's to refuse; what is recorded ends with a Sync all the same.
    if (end - start > HEADER_LENGTH) this.passAs(server, Owed.Sync, bytes.subarray(start, end), SYNC);
    else this.pass(server, Frontend.Sync, bytes, start, end);
    this.#segment++;
    this.requestSent(false);
  }

  /** A message that a server in COPY ignores. */
  amidCopy(bytes: Buffer, start: number, end: number): void {
    this.morePieces(bytes, start, end, !this.#requestOpen);
  }

  /** CopyData, CopyDone or CopyFail, or the beginning of one. */
  copy(server: Server, type: number, bytes: Buffer, start: number, end: number): void {
    this.morePieces(bytes, start, end, !this.#requestOpen);
    if (type !== Frontend.CopyData) server.state.answers.copyEnded();
  }

  /** Shows a server in COPY the type of a message that does not belong there, once. */
  provoke(server: Server, type: number): void {
    const { answers } = server.state;
    if (answers.provoked) return;
    answers.provoked = true;
    this.#assembly.appendAll(Buffer.from([type, 0, 0, 0, HEADER_LENGTH - 1]));
  }

  /** Asks what answers are to come behind a COPY that failed (copy-doubt.ts). */
  askDoubt(server: Server): void {
    const { doubt } = server.state.answers;
    if (doubt === undefined || doubt.asked) return;
    doubt.asked = true;
    for (const message of DOUBT) this.#assembly.appendAll(message);
  }

  /** More of a long message. `copy`: it is CopyData behind a request that has been sent. */
  morePieces(bytes: Buffer, start: number, end: number, copy: boolean): void {
    this.#assembly.append(bytes, start, end);
    if (copy) this.#link.recorder?.appendCopy(bytes, start, end);
    else this.#link.recorder?.append(bytes, start, end);
  }
}
