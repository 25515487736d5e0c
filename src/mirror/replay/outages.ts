import { monotonicNow } from '../../util/clock.ts';

/** Connections that end within this time of each other ended for one reason. */
export const TOGETHER_MS = 2000;
/** crash_shutdown: of a backend's crash the server tells all others. */
const CRASH = '57P02';

/** A mirror's connection, as far as its end tells of the others. */
export interface EndedConnection {
  /** When it was opened, and when the server last was heard on it, by the monotonic clock. */
  readonly openedAt: number;
  readonly heardAt: number;
  /** A SQLSTATE: what the server had said of its end, if anything. */
  readonly endState: string;
  /** It ended without a word. */
  readonly isSilent: boolean;
}

/** That one or several connections to a mirror ended for one reason. */
export interface Outage {
  /** When the first of them did. */
  readonly at: number;
  /** So many ended without a word. */
  silent: number;
  /** On others the server said that one had crashed. */
  isCrash: boolean;
  /** Behind that, no server was there. */
  isUnreachable: boolean;
}

/**
 * Whether something that a connection ran may have ended it, or it went with the mirror's machine, or the way to it. A crash
 * ends one connection without a word, and the server tells the others; a machine that vanishes ends several so, at
 * once or when they are next used, or is not there behind that.
 */
export class Outages {
  #last: Outage | undefined;

  /** A connection ended by itself: in which outage, if it was one. */
  ended({ openedAt, heardAt, endState, isSilent }: EndedConnection): Outage | undefined {
    const isCrash = endState === CRASH;
    if (!isSilent && !isCrash) return undefined;
    const now = monotonicNow();
    let outage = this.#last;
    // One on which nothing was heard since may have ended then, and shows it only now.
    const mayBeOfIt = outage !== undefined && (now - outage.at <= TOGETHER_MS || heardAt <= outage.at);
    if (outage === undefined || !mayBeOfIt || openedAt > outage.at) {
      outage = this.#last = { at: now, silent: 0, isCrash: false, isUnreachable: false };
    }
    if (isSilent) outage.silent++;
    outage.isCrash ||= isCrash;
    return outage;
  }

  /** A connection could not be opened, and no server said why. */
  unreachable(): void {
    const outage = this.#last;
    if (outage !== undefined && monotonicNow() - outage.at < TOGETHER_MS) outage.isUnreachable = true;
  }
}
