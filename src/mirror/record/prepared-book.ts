/** Tells other threads of a half of a two-phase commit. */
export interface PreparedNews {
  readonly gid: string;
  /** The client's user. */
  readonly user: string;
  /** Mirrors that got its PREPARE TRANSACTION; `undefined`: it was ended. */
  readonly mirrors: readonly number[] | undefined;
}

/** How threads tell each other. */
export interface PreparedExchange {
  /** Tells the others, before it returns. */
  tell(news: PreparedNews): void;
  /** The oldest news of theirs that was not taken yet. */
  take(): PreparedNews | undefined;
}

/** So many transactions may be prepared and not ended; the oldest are forgotten. */
const REMEMBERED = 10_000;

/**
 * Which mirrors got the first half of each two-phase commit: its fate holds for the second, whoever sends that. Threads
 * tell each other what they see, before the client is told: whoever ends it then knows of it.
 */
export class PreparedBook {
  readonly #mirrors = new Map<string, ReadonlySet<number>>();
  readonly #exchange: PreparedExchange | undefined;

  /** `exchange`: undefined where there is nobody to tell. */
  constructor(exchange?: PreparedExchange) {
    this.#exchange = exchange;
  }

  /** Mirrors that got its first half; undefined where that was not seen. */
  mirrorsOf(gid: string): ReadonlySet<number> | undefined {
    this.#catchUp();
    return this.#mirrors.get(gid);
  }

  /** A client of this thread did it. */
  saw(news: PreparedNews): void {
    this.#catchUp();
    this.heard(news);
    this.#exchange?.tell(news);
  }

  /** A client of another thread did it. */
  heard({ gid, mirrors }: PreparedNews): void {
    this.#mirrors.delete(gid);
    if (mirrors === undefined) return;
    this.#mirrors.set(gid, new Set(mirrors));
    const [oldest] = this.#mirrors.keys();
    if (this.#mirrors.size > REMEMBERED && oldest !== undefined) this.#mirrors.delete(oldest);
  }

  #catchUp(): void {
    const exchange = this.#exchange;
    for (let news = exchange?.take(); news !== undefined; news = exchange?.take()) this.heard(news);
  }
}
