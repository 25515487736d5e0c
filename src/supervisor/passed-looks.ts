import { setTimeout as delay } from 'node:timers/promises';

/** Looks at a source are passed on with this pause between them at least: each is a connection to every mirror of it. */
const PAUSE_MS = 200;
/** Longer than this nobody waits. */
const LONGEST_WAIT_MS = 1_000;

/**
 * Passes looks of other pgmirrors on to the mirrors, no faster than is good for those: whoever can log in can pretend to be
 * a pgmirror that looks.
 */
export class PassedLooks {
  readonly #pass: (source: string, trail: readonly string[]) => Promise<boolean>;
  /** By source: whoever mirrors many looks at all of them at once. */
  readonly #nextAt = new Map<string, number>();

  /** `pass`: whether the mirrors of the source lead back to a pgmirror of the trail. */
  constructor(pass: (source: string, trail: readonly string[]) => Promise<boolean>) {
    this.#pass = pass;
  }

  /** The same, when its turn has come; false where that would be too late for whoever looks. Never rejects. */
  async isCircle(source: string, trail: readonly string[]): Promise<boolean> {
    const now = performance.now();
    const at = Math.max(now, this.#nextAt.get(source) ?? now);
    if (at - now > LONGEST_WAIT_MS) return false;
    this.#nextAt.set(source, at + PAUSE_MS);
    if (at > now) await delay(at - now);
    return this.#pass(source, trail).catch(() => false);
  }
}
