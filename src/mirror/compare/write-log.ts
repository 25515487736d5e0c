import { Taints } from './taints.ts';

/** What a transaction changed, and what that may depend on. Undefined: perhaps anything. */
export interface WriteScope {
  readonly written: ReadonlySet<string> | undefined;
  /** What it changed or read. */
  readonly touched: ReadonlySet<string> | undefined;
  /** INSERT alone: in whatever order, the same rows come of it. */
  readonly insertsOnly: boolean;
}

/** A transaction that the source committed and that changed rows, or may have. Numbers are those of the event counters. */
export interface LoggedWrite {
  readonly scope: WriteScope;
  /** It changed definitions, or may have. */
  readonly defines: boolean;
  /** It was rolled back: all that is left of it are the numbers that it took from sequences. */
  readonly isRolledBack: boolean;
  /** On the source: of its first request, and of the last, with which it was committed. */
  readonly begunAt: number;
  readonly sentAt: number;
  readonly doneAt: number;
  /** The same on the mirror; Infinity: not yet. */
  mirrorBegunAt: number;
  mirrorSentAt: number;
  mirrorDoneAt: number;
}

/** When and where a request was answered. */
export interface ReadMoment {
  /** Undefined: it may have read any. */
  readonly relations: ReadonlySet<string> | undefined;
  /** Only definitions matter for what is asked. */
  readonly ofDefinitions: boolean;
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

const MAX_WRITES = 20_000;
/** Looked at for one question; beyond them nothing is known. */
const MAX_LOOKED_AT = 5_000;

/**
 * The order of committed writes on the source and on one mirror. An answer that is another on the mirror is the mirror's doing
 * only if the request stood in the same order to every write on its relations on both sides, and if those writes took effect
 * in one order on both. Where two that may concern the same rows did not, or one is missing, what is read of their
 * relations from then on is not known to be alike: they are tainted, until the mirror is freshly synced.
 */
export class WriteLog {
  readonly taints = new Taints();
  readonly #hasSequence: (relation: string) => boolean;
  /** In the order in which they came, which is nearly that of their ends on the source. */
  #writes: LoggedWrite[] = [];
  /** Those that the mirror has not done with. */
  readonly #open = new Set<LoggedWrite>();
  /** What lies before was forgotten. */
  #horizon = -Infinity;
  /** So many of the oldest are over on both sides, the last of them at these moments. */
  #over = 0;
  #overAt = -Infinity;
  #mirrorOverAt = -Infinity;

  constructor(hasSequence: (relation: string) => boolean) {
    this.#hasSequence = hasSequence;
  }

  /** One has come, to be done on the mirror. */
  add(write: LoggedWrite): void {
    if (!this.taints.cover(write.scope.written)) this.#overlaps(write);
    this.#writes.push(write);
    this.#open.add(write);
    if (this.#writes.length > MAX_WRITES) this.#forgetOldest();
  }

  /** The mirror has committed it. */
  done(write: LoggedWrite, event: number): void {
    write.mirrorDoneAt = event;
    if (!this.taints.cover(write.scope.written)) this.#compareOrder(write);
    this.#open.delete(write);
    this.#moveOn();
  }

  /** It will not take effect on the mirror, since it was not run there. */
  lost(write: LoggedWrite, event: number): void {
    write.mirrorDoneAt = event;
    this.taints.add(write.scope.written, write.begunAt);
    if (write.defines && !write.isRolledBack) this.taints.addDefinitions(write.begunAt);
    this.#open.delete(write);
    this.#moveOn();
  }

  /**
   * It was run on the mirror, and something failed there. Where it was rolled back on the source the mirror lacks no row for
   * it; the numbers that it took from sequences may be others.
   */
  failed(write: LoggedWrite, event: number): void {
    if (!write.isRolledBack) return this.lost(write, event);
    const { written } = write.scope;
    this.taints.add(written && new Set([...written].filter(this.#hasSequence)), write.begunAt);
    this.done(write, event);
  }

  /** RESET MIRROR: it is freshly synced. What is under way is so still. */
  reset(): void {
    this.taints.clear();
  }

  /** How a request stood to the writes. To be asked when those that were under way have been told of. */
  order(read: ReadMoment): Order {
    let result: Order = read.seesFrom < this.#horizon || this.taints.concern(read) ? 'unverified' : 'clear';
    let left = MAX_LOOKED_AT;
    for (let index = this.#writes.length - 1; index >= 0; index--) {
      const isOver = index < this.#over && this.#overAt < read.seesFrom && this.#mirrorOverAt < read.mirrorSeesFrom;
      if (isOver) break;
      if (--left === 0) return 'unverified';
      const write = this.#writes[index];
      if (write === undefined || write === read.own || !concerns(write, read)) continue;
      const before = write.doneAt < read.seesFrom;
      if (!before && write.sentAt <= read.doneAt) return 'ambiguous';
      const same = before ? write.mirrorDoneAt < read.mirrorSeesFrom : write.mirrorSentAt > read.mirrorDoneAt;
      if (!same) result = 'unverified';
    }
    return result;
  }

  /** Those that ended on the source after it had begun there overlapped it. */
  #overlaps(write: LoggedWrite): void {
    let left = MAX_LOOKED_AT;
    for (let index = this.#writes.length - 1; index >= 0; index--) {
      if (index < this.#over && this.#overAt < write.begunAt) return;
      if (--left === 0) return this.taints.add(write.scope.written, write.begunAt);
      const other = this.#writes[index];
      if (other !== undefined && other.doneAt >= write.begunAt) this.#conflict(other, write);
    }
  }

  /** Those that were over on the source before it began are to have been so on the mirror. */
  #compareOrder(write: LoggedWrite): void {
    let left = MAX_LOOKED_AT;
    for (let index = this.#writes.length - 1; index >= 0; index--) {
      if (index < this.#over && this.#mirrorOverAt < write.mirrorBegunAt) return;
      if (--left === 0) return this.taints.add(write.scope.written, write.begunAt);
      const other = this.#writes[index];
      if (other === undefined || other === write) continue;
      const wasFirst = other.doneAt < write.begunAt;
      const wasLast = other.begunAt > write.doneAt;
      if (wasFirst && other.mirrorDoneAt >= write.mirrorBegunAt) this.#conflict(other, write);
      if (wasLast && other.mirrorBegunAt <= write.mirrorDoneAt) this.#conflict(other, write);
    }
  }

  /** The order of two was not the same on both sides, or is not known. */
  #conflict(one: LoggedWrite, other: LoggedWrite): void {
    const from = Math.min(one.begunAt, other.begunAt);
    const [a, b] = [one.scope, other.scope];
    const shared = common(a.written, b.written);
    const isUndone = one.isRolledBack || other.isRolledBack;
    const onlyNumbers = isUndone || (a.insertsOnly && b.insertsOnly);
    const suffering = shared ?? (isUndone ? (a.written ?? b.written) : undefined);
    if (suffering === undefined) this.taints.add(undefined, from);
    else this.taints.add(new Set([...suffering].filter((name) => !onlyNumbers || this.#hasSequence(name))), from);
    if (isUndone) return;
    // What one stores was taken from what the other changes.
    if (hasMore(common(b.written, a.touched), shared)) this.taints.add(a.written, from);
    if (hasMore(common(a.written, b.touched), shared)) this.taints.add(b.written, from);
  }

  #moveOn(): void {
    for (; this.#over < this.#writes.length; this.#over++) {
      const write = this.#writes[this.#over];
      if (write === undefined || write.mirrorDoneAt === Infinity) return;
      this.#overAt = Math.max(this.#overAt, write.doneAt);
      this.#mirrorOverAt = Math.max(this.#mirrorOverAt, write.mirrorDoneAt);
    }
  }

  #forgetOldest(): void {
    const forgotten = this.#writes.splice(0, MAX_WRITES / 10);
    this.#over = Math.max(0, this.#over - forgotten.length);
    for (const old of forgotten) {
      this.#horizon = Math.max(this.#horizon, old.doneAt);
      if (this.#open.delete(old)) this.taints.add(old.scope.written, old.begunAt);
    }
  }
}

/** Whether a write has to do with what was read. */
function concerns({ scope, defines, isRolledBack }: LoggedWrite, read: ReadMoment): boolean {
  if (isRolledBack) return false;
  if (read.ofDefinitions) return defines;
  return common(scope.written, read.relations)?.size !== 0;
}

/** Undefined: perhaps any of them. */
function common(
  a: ReadonlySet<string> | undefined,
  b: ReadonlySet<string> | undefined,
): ReadonlySet<string> | undefined {
  if (a === undefined) return b?.size === 0 ? b : undefined;
  if (b === undefined) return a.size === 0 ? a : undefined;
  return new Set([...a].filter((name) => b.has(name)));
}

function hasMore(found: ReadonlySet<string> | undefined, than: ReadonlySet<string> | undefined): boolean {
  if (found === undefined) return true;
  for (const name of found) if (than !== undefined && !than.has(name)) return true;
  return false;
}
