import type { Lane } from './lane.ts';
import type { MirroredTransaction } from './mirrored-transaction.ts';

/** A lane waits no longer than this at a time, in milliseconds. */
export const PATIENCE_MS = 250;
/**
 * So many milliseconds it may wait for each that it has run or had nothing to do. Where all that eight clients do has to do with
 * the same relations, the mirror has one lane run and seven wait, each of them less long than if all ran at a time.
 */
export const WAITS_FOR_EACH = 8;

/**
 * Lanes that stand aside: their next transaction is to follow one of another lane. They are called back when that is over, and
 * now and then. None waits for ever, and what one has waited beyond its time, since it was not called back at once, is taken off
 * the next: however slow the others are, a lane gets on at a ninth of its speed at least.
 */
export class Turns {
  readonly #followers = new Map<MirroredTransaction, Set<Lane>>();
  /** Whatever they wait for, it is nothing that is told of here. */
  readonly #aside = new Set<Lane>();
  readonly #ready = new Set<Lane>();

  /** The lane waits for something else; it looks again when all do. */
  standAside(lane: Lane): void {
    this.#aside.add(lane);
  }

  /** Whether the lane, whose turn it is at this moment, is to wait for another transaction, and still may. */
  waits(lane: Lane, predecessor: MirroredTransaction | undefined, now: number): boolean {
    const since = now - lane.lookedAt;
    lane.lookedAt = now;
    const waited = lane.isWaitingForOthers;
    lane.patience = waited ? lane.patience - since : Math.min(PATIENCE_MS, lane.patience + since * WAITS_FOR_EACH);
    lane.isWaitingForOthers = predecessor !== undefined && lane.patience > 0;
    if (predecessor === undefined || !lane.isWaitingForOthers) return false;
    this.follow(lane, predecessor);
    return true;
  }

  /** The lane looks again when this is over. */
  follow(lane: Lane, predecessor: MirroredTransaction): void {
    let followers = this.#followers.get(predecessor);
    if (followers === undefined) this.#followers.set(predecessor, (followers = new Set()));
    followers.add(lane);
  }

  /** Whoever waits for this has waited long enough. */
  over(transaction: MirroredTransaction): void {
    for (const lane of this.#followers.get(transaction) ?? NONE) this.#ready.add(lane);
    this.#followers.delete(transaction);
  }

  /** Lanes that waited for what is over. */
  takeReady(): readonly Lane[] {
    if (this.#ready.size === 0) return NONE;
    const lanes = [...this.#ready];
    this.#ready.clear();
    return lanes;
  }

  /** All that stand aside. */
  takeAll(): readonly Lane[] {
    for (const lanes of [this.#aside, ...this.#followers.values()]) for (const lane of lanes) this.#ready.add(lane);
    this.#aside.clear();
    this.#followers.clear();
    return this.takeReady();
  }
}

const NONE: readonly Lane[] = [];
