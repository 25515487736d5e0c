import type { Outage } from '../replay/outages.ts';
import { TOGETHER_MS } from '../replay/outages.ts';

/** Kinds of query that once ended a connection, or may have. */
const MAX_KINDS = 1_000;

/** A request amid which its connection ended without a word. */
interface LostRequest {
  readonly fingerprint: string;
  readonly outage: Outage;
  /** `isItsDoing`: it is what ended the connection. */
  readonly count: (isItsDoing: boolean) => void;
}

/**
 * Requests amid which the connection to one mirror ended, until it is known whether that was their doing: the crash of one
 * was told to the other connections; or it was the only one, the server is there, and it is not the first time with a query of
 * that kind.
 */
export class LostRequests {
  #held: LostRequest[] = [];
  /** By fingerprint, the last outage that a query of that kind may have made. */
  readonly #suspected = new Map<string, Outage>();

  hold(request: LostRequest): void {
    this.#held.push(request);
  }

  /** Called now and then. */
  sweep(now: number): void {
    if (this.#held.length === 0) return;
    const due = this.#held.filter(({ outage }) => now - outage.at > TOGETHER_MS);
    this.#held = this.#held.filter(({ outage }) => now - outage.at <= TOGETHER_MS);
    for (const { fingerprint, outage, count } of due) count(this.#isItsDoing(fingerprint, outage));
  }

  #isItsDoing(fingerprint: string, outage: Outage): boolean {
    if (!isOfOne(outage)) return false;
    const before = this.#suspected.get(fingerprint);
    this.#suspected.delete(fingerprint);
    this.#suspected.set(fingerprint, outage);
    const [oldest] = this.#suspected.keys();
    if (this.#suspected.size > MAX_KINDS && oldest !== undefined) this.#suspected.delete(oldest);
    return outage.isCrash || (before !== undefined && isOfOne(before));
  }
}

/** It ended one connection alone, as far as is known by now, and no more than that. */
function isOfOne({ silent, isCrash, isUnreachable }: Outage): boolean {
  return silent === 1 && (isCrash || !isUnreachable);
}
