import { quoteLiteral } from '../../util/sql-quote.ts';

/** What asks a server for its prepared transactions, and rolls one of them back on the mirror. */
export interface PreparedTransactionsHost {
  /** gids prepared in the source and in the mirror's database. */
  preparedOnSource(): Promise<readonly string[]>;
  preparedOnMirror(user: string): Promise<readonly string[]>;
  onMirror(user: string, sql: string): Promise<void>;
  /** Nothing of the gid is left on the mirror. */
  settled(gid: string): void;
}

/** What is to be done with the second half of a two-phase commit. */
export const Readiness = { Ready: 0, Wait: 1, Lost: 2 } as const;
export type Readiness = (typeof Readiness)[keyof typeof Readiness];

interface Entry {
  /** `coming`: its PREPARE TRANSACTION waits or runs; `orphan`: nobody is going to end it. */
  state: 'coming' | 'prepared' | 'orphan';
  /** The client's user whose login prepared it: that login may end it. */
  readonly user: string;
  /** So many PREPARE TRANSACTION with this gid wait or run: one that was ended may be used again. */
  coming: number;
  /** Looks at the source, one after the other, that did not find it there. */
  absences: number;
  /** Its second half waits or runs. */
  isEnding: boolean;
}

const UNKNOWN = { state: 'coming', absences: 0, isEnding: false, coming: 0 } as const;

/** The halves may come by two threads' streams: for so long after its end the second waits for the first. */
const OTHER_STREAM_MS = 1000;
/** A transaction that the source has ended without any second half to be seen is looked for twice before it is ended. */
const ABSENCES = 2;
/** So many are remembered that were not prepared here, until their second half comes; the oldest are forgotten. */
const REMEMBERED = 1_000;

/**
 * The two-phase commits of one mirror, by gid. Their second half is run after the first, and only where that was
 * prepared; a transaction that is prepared on the mirror with nobody left to end it (its second half was dropped or
 * failed, or the source ended it unseen) is rolled back there.
 */
export class PreparedTransactions {
  readonly #host: PreparedTransactionsHost;
  readonly #entries = new Map<string, Entry>();
  /** Those of which the first half was dropped: the second need not wait for it. */
  readonly #dropped = new Set<string>();
  #cleaning = false;
  /** Rolled back for want of a second half. */
  orphans = 0;

  constructor(host: PreparedTransactionsHost) {
    this.#host = host;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** PREPARE TRANSACTION is on its way. */
  comes(gid: string, user: string): void {
    this.#dropped.delete(gid);
    const known = this.#entries.get(gid);
    if (known === undefined) this.#entries.set(gid, { ...UNKNOWN, user, coming: 1 });
    else known.coming++;
  }

  /** It was perhaps prepared before this process began. */
  remember(gid: string, user: string): void {
    this.#entries.set(gid, { ...UNKNOWN, user, state: 'prepared' });
  }

  /** PREPARE TRANSACTION was run, and did what it did on the source; or failed, and left nobody knows what. */
  prepared(gid: string, succeeded: boolean, user: string): void {
    const entry = this.#entries.get(gid) ?? { ...UNKNOWN, user };
    this.#entries.set(gid, entry);
    entry.coming = Math.max(0, entry.coming - 1);
    entry.state = succeeded ? 'prepared' : 'orphan';
  }

  /** PREPARE TRANSACTION was dropped. */
  neverPrepared(gid: string): void {
    const entry = this.#entries.get(gid);
    if (entry !== undefined) entry.coming = Math.max(0, entry.coming - 1);
    if (entry === undefined || entry.state === 'coming') this.#settle(gid);
    if (this.#entries.has(gid)) return;
    this.#dropped.add(gid);
    const [oldest] = this.#dropped;
    if (this.#dropped.size > REMEMBERED && oldest !== undefined) this.#dropped.delete(oldest);
  }

  /** COMMIT or ROLLBACK PREPARED is on its way. */
  ends(gid: string): void {
    const entry = this.#entries.get(gid);
    if (entry !== undefined) entry.isEnding = true;
  }

  /** Whether the second half, which ended on the source at this moment, may run. */
  readiness(gid: string, endedAt: number, now: number): Readiness {
    const entry = this.#entries.get(gid);
    if (this.#dropped.has(gid)) return Readiness.Lost;
    if (entry === undefined) return now - endedAt < OTHER_STREAM_MS ? Readiness.Wait : Readiness.Lost;
    entry.isEnding = true;
    if (entry.state === 'coming') return Readiness.Wait;
    return entry.state === 'prepared' ? Readiness.Ready : Readiness.Lost;
  }

  /** COMMIT or ROLLBACK PREPARED was run, or failed, or was dropped. */
  ended(gid: string, succeeded: boolean): void {
    this.#dropped.delete(gid);
    const entry = this.#entries.get(gid);
    if (entry === undefined) return;
    if (succeeded) this.#settle(gid);
    else entry.state = 'orphan';
  }

  /** Everything starts anew: the mirror is a fresh copy. */
  forgetAll(): void {
    this.#dropped.clear();
    for (const gid of [...this.#entries.keys()]) this.#settle(gid, 0);
  }

  /** Rolls orphans back. Called now and then; rejects where a server cannot be asked. */
  async clean(): Promise<void> {
    const due = [...this.#entries].filter(
      ([, { state, isEnding }]) => state === 'orphan' || (state === 'prepared' && !isEnding),
    );
    if (this.#cleaning || due.length === 0) return;
    this.#cleaning = true;
    try {
      const onSource = new Set(await this.#host.preparedOnSource());
      for (const [gid, entry] of due) await this.#cleanOne(gid, entry, onSource.has(gid));
    } finally {
      this.#cleaning = false;
    }
  }

  async #cleanOne(gid: string, entry: Entry, isOnSource: boolean): Promise<void> {
    entry.absences = isOnSource ? 0 : entry.absences + 1;
    if (entry.state === 'prepared' && entry.absences < ABSENCES) return;
    const onMirror = await this.#host.preparedOnMirror(entry.user);
    // Its second half may have come meanwhile.
    if (this.#entries.get(gid) !== entry || (entry.isEnding && entry.state !== 'orphan')) return;
    if (onMirror.includes(gid)) {
      await this.#host.onMirror(entry.user, `ROLLBACK PREPARED ${quoteLiteral(gid)}`);
      this.orphans++;
    }
    this.#settle(gid);
  }

  /** Nothing of the gid is left; but `coming` more may be on their way. */
  #settle(gid: string, coming = this.#entries.get(gid)?.coming ?? 0): void {
    const entry = this.#entries.get(gid);
    if (entry !== undefined && coming > 0) {
      this.#entries.set(gid, { ...UNKNOWN, user: entry.user, coming });
      return;
    }
    this.#entries.delete(gid);
    this.#host.settled(gid);
  }
}
