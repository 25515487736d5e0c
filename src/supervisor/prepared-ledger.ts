import type { PreparedNews } from '../mirror/record/prepared-book.ts';
import type { PreparedOnMirror } from '../mirror/replay/mirror-process-messages.ts';

/** So many are kept; the oldest are forgotten. */
const REMEMBERED = 10_000;

/**
 * The transactions that are perhaps prepared on mirrors: what a mirror process that is started anew must know, for
 * nothing on a mirror tells whose they are.
 */
export class PreparedLedger {
  readonly #entries = new Map<string, PreparedOnMirror>();

  /** A thread handed over the first half of a two-phase commit. */
  note({ gid, user, mirrors }: PreparedNews): void {
    for (const target of mirrors ?? []) {
      this.#entries.set(`${target} ${gid}`, { target, gid, user });
      const [oldest] = this.#entries.keys();
      if (this.#entries.size > REMEMBERED && oldest !== undefined) this.#entries.delete(oldest);
    }
  }

  /** Nothing of it is left on the mirror. */
  settled(target: number, gid: string): void {
    this.#entries.delete(`${target} ${gid}`);
  }

  list(): readonly PreparedOnMirror[] {
    return [...this.#entries.values()];
  }
}
