/** A transaction that the source committed and that changed rows, or may have. Numbers are those of the event counters. */
export interface LoggedWrite {
  /** Undefined: any of them. */
  readonly relations: ReadonlySet<string> | undefined;
  readonly insertsOnly: boolean;
  /** On the source: of its first request, and of the last, with which it was committed. */
  readonly begunAt: number;
  readonly sentAt: number;
  readonly doneAt: number;
  /** The same on the mirror; Infinity: not yet. */
  mirrorBegunAt: number;
  mirrorSentAt: number;
  mirrorDoneAt: number;
  /** It did not take effect on the mirror. */
  isLost: boolean;
}

/** When and where a request was answered. */
export interface ReadMoment {
  readonly relations: ReadonlySet<string> | undefined;
  /** From when on it saw what others had committed, and when it was answered. */
  readonly seesFrom: number;
  readonly doneAt: number;
  readonly mirrorSeesFrom: number;
  readonly mirrorDoneAt: number;
  /** The write that its own transaction is, if it is one. */
  readonly own: LoggedWrite | undefined;
}

/** `clear`: in the same order to every write on its relations on both sides. */
export type Order = 'clear' | 'ambiguous' | 'unverified';

const MAX_WRITES = 10_000;
/** Writes looked at for one that may have been overtaken: those before are long over on both sides. */
const MAX_NEIGHBOURS = 300;
const ALL = '*';

/**
 * The order of committed writes on the source and on one mirror. An answer that is another on the mirror is the mirror's doing
 * only if the request stood in the same order to every write on its relations on both sides, and if those writes took effect
 * in one order on both. Where two that may concern the same rows did not, or one is missing, what is read of their
 * relations from then on is not known to be alike: they are tainted, until the mirror is freshly synced.
 */
export class WriteLog {
  #writes: LoggedWrite[] = [];
  /** What lies before was forgotten. */
  #horizon = -Infinity;
  /** By relation: from which moment of the source's counter on. */
  readonly #tainted = new Map<string, number>();

  add(write: LoggedWrite): void {
    this.#writes.push(write);
    if (this.#writes.length <= MAX_WRITES) return;
    for (const old of this.#writes.splice(0, MAX_WRITES / 10)) {
      this.#horizon = Math.max(this.#horizon, old.doneAt);
      if (old.mirrorDoneAt === Infinity) this.taint(old.relations, old.begunAt);
    }
  }

  /** The mirror has committed it. */
  done(write: LoggedWrite): void {
    const last = this.#writes.length - 1;
    for (let index = last; index >= 0 && index > last - MAX_NEIGHBOURS; index--) {
      const other = this.#writes[index];
      if (other === undefined || other === write || other.isLost || !overlap(other.relations, write.relations))
        continue;
      if (other.insertsOnly && write.insertsOnly) continue;
      const before = other.doneAt < write.begunAt && other.mirrorDoneAt < write.mirrorBegunAt;
      const after = other.begunAt > write.doneAt && other.mirrorBegunAt > write.mirrorDoneAt;
      if (!before && !after)
        this.taint(sharedRelations(other.relations, write.relations), Math.min(other.begunAt, write.begunAt));
    }
  }

  /** It will not take effect on the mirror. */
  lost(write: LoggedWrite): void {
    write.isLost = true;
    this.taint(write.relations, write.begunAt);
  }

  taint(relations: ReadonlySet<string> | undefined, from: number): void {
    for (const relation of relations ?? [ALL]) {
      this.#tainted.set(relation, Math.min(from, this.#tainted.get(relation) ?? Infinity));
    }
  }

  /** RESET MIRROR: it is freshly synced. */
  reset(): void {
    this.#writes = [];
    this.#tainted.clear();
    this.#horizon = -Infinity;
  }

  /** How a request stood to the writes. To be asked when those that were under way have been told of. */
  order(read: ReadMoment): Order {
    let result: Order = read.seesFrom < this.#horizon || this.#isTainted(read) ? 'unverified' : 'clear';
    for (let index = this.#writes.length - 1; index >= 0; index--) {
      const write = this.#writes[index];
      if (write === undefined || write === read.own || !overlap(write.relations, read.relations)) continue;
      const before = write.doneAt < read.seesFrom;
      if (!before && write.sentAt <= read.doneAt) return 'ambiguous';
      const same = before ? write.mirrorDoneAt < read.mirrorSeesFrom : write.mirrorSentAt > read.mirrorDoneAt;
      if (!same) result = 'unverified';
    }
    return result;
  }

  #isTainted({ relations, doneAt }: ReadMoment): boolean {
    if (relations === undefined) return [...this.#tainted.values()].some((from) => from <= doneAt);
    if (relations.size > 0 && (this.#tainted.get(ALL) ?? Infinity) <= doneAt) return true;
    for (const relation of relations) if ((this.#tainted.get(relation) ?? Infinity) <= doneAt) return true;
    return false;
  }
}

function overlap(a: ReadonlySet<string> | undefined, b: ReadonlySet<string> | undefined): boolean {
  if (a === undefined || b === undefined) return a?.size !== 0 && b?.size !== 0;
  for (const relation of a) if (b.has(relation)) return true;
  return false;
}

function sharedRelations(
  a: ReadonlySet<string> | undefined,
  b: ReadonlySet<string> | undefined,
): ReadonlySet<string> | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : new Set([...a].filter((relation) => b.has(relation)));
}
