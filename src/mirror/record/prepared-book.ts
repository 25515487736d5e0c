/** Tells other threads of a half of a two-phase commit. */
export interface PreparedNews {
  readonly gid: string;
  /** The client's user. */
  readonly user: string;
  /** Mirrors that got its PREPARE TRANSACTION; `undefined`: it was ended. */
  readonly mirrors: readonly number[] | undefined;
}

/** So many transactions may be prepared and not ended; the oldest are forgotten. */
const REMEMBERED = 10_000;

/**
 * Which mirrors got the first half of each two-phase commit: its fate holds for the second, whoever sends that. Threads
 * tell each other what they see.
 */
export class PreparedBook {
  readonly #mirrors = new Map<string, ReadonlySet<number>>();
  readonly #tell: (news: PreparedNews) => void;

  constructor(tell: (news: PreparedNews) => void) {
    this.#tell = tell;
  }

  /** Mirrors that got its first half; undefined where that was not seen. */
  mirrorsOf(gid: string): ReadonlySet<number> | undefined {
    return this.#mirrors.get(gid);
  }

  /** A client of this thread did it. */
  saw(news: PreparedNews): void {
    this.heard(news);
    this.#tell(news);
  }

  /** A client of another thread did it. */
  heard({ gid, mirrors }: PreparedNews): void {
    this.#mirrors.delete(gid);
    if (mirrors === undefined) return;
    this.#mirrors.set(gid, new Set(mirrors));
    const [oldest] = this.#mirrors.keys();
    if (this.#mirrors.size > REMEMBERED && oldest !== undefined) this.#mirrors.delete(oldest);
  }
}
