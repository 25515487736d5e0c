import type { StatementRegistry } from '../../session/statement-names.ts';
import type { RequestRecording } from './request-recording.ts';

/** One client's requests that were begun and are not answered, oldest first. */
export class RequestsInFlight {
  readonly #requests: RequestRecording[] = [];
  /** The request whose messages are being sent. */
  current: RequestRecording | undefined;

  get count(): number {
    return this.#requests.length;
  }

  get oldest(): RequestRecording | undefined {
    return this.#requests[0];
  }

  get newest(): RequestRecording | undefined {
    return this.#requests.at(-1);
  }

  get all(): readonly RequestRecording[] {
    return this.#requests;
  }

  /** Bytes recorded of them. */
  get length(): number {
    let length = 0;
    for (const request of this.#requests) length += request.length;
    return length;
  }

  /** The first message of one is about to be sent. */
  begin(request: RequestRecording): void {
    this.#requests.push(request);
    this.current = request;
  }

  /** The oldest was answered. */
  shift(): void {
    this.#requests.shift();
  }

  /** The oldest will not be answered to its end: takes out what it committed, if that is known. `leftOut`: bytes behind that. */
  takeCommitted(sync: Buffer): { readonly request: RequestRecording; readonly leftOut: number } | undefined {
    const request = this.oldest;
    const leftOut = request?.cutBehindCommit(sync);
    if (request === undefined || leftOut === undefined) return undefined;
    this.shift();
    return { request, leftOut };
  }

  /**
   * What was taken for the end of the oldest was none, nor were the ends of the next `count - 1`: those requests belong to
   * it, and where nothing was sent behind it yet, so does what comes. How many of them were recorded.
   */
  join(count: number, registry: StatementRegistry): number {
    let recorded = 0;
    for (let left = count; left > 0; left--) {
      const joined = this.#joinNext();
      joined?.forget(registry);
      if (joined !== undefined && this.oldest?.recorded === true) recorded++;
    }
    return recorded;
  }

  #joinNext(): RequestRecording | undefined {
    const [oldest, next] = this.#requests;
    if (oldest === undefined) return undefined;
    if (next === undefined) {
      oldest.sent = false;
      this.current = oldest;
      return undefined;
    }
    this.#requests.splice(1, 1);
    if (this.current === next) this.current = oldest;
    oldest.join(next);
    return next;
  }

  /** None is in flight any more, and nothing of them is needed. */
  forget(registry: StatementRegistry): void {
    for (let request = this.#requests.pop(); request !== undefined; request = this.#requests.pop())
      request.forget(registry);
    this.current = undefined;
  }
}
