import { Change } from './change-notes.ts';
import type { MirrorLink } from './mirror-link.ts';

/** How often the mirror process is told up to where it knows everything. */
const TELL_MS = 100;

/** A mirror, as far as comparing concerns the pooler. */
export interface ComparedRoute {
  readonly id: number;
  readonly source: string;
  readonly enabled: boolean;
  /** Share of requests whose answers are digested; undefined: none are compared. */
  readonly compareSample?: number;
}

/** A client's recorder, as far as comparing concerns it. */
export interface WatchedRecorder {
  /** The event counter when the oldest request was sent of whose end nobody has been told; Infinity: there is none. */
  readonly untoldSince: number;
}

/**
 * What a pooler thread does for mirrors whose answers are compared: it says which answers are digested, tells of each
 * transaction that a mirror misses, and how far all has been told, so that no verdict is given too early.
 */
export class ComparedMirrors {
  readonly #link: MirrorLink;
  readonly #random: () => number;
  readonly #sequence: () => number;
  /** Share of digested answers, by source. */
  readonly #shares = new Map<string, number>();
  #ids: readonly number[] = [];
  readonly #recorders = new Set<WatchedRecorder>();
  /** What mirrors missed before there was anybody to tell, by their ids. */
  readonly #untold = new Map<number, Change>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: {
    readonly link: MirrorLink;
    readonly random: () => number;
    /** The event counter. */
    readonly sequence: () => number;
  }) {
    this.#link = options.link;
    this.#random = options.random;
    this.#sequence = options.sequence;
  }

  configure(routes: readonly ComparedRoute[]): void {
    this.#shares.clear();
    for (const { source, enabled, compareSample } of routes) {
      if (compareSample === undefined) continue;
      this.#shares.set(source, Math.max(this.#shares.get(source) ?? 0, enabled ? compareSample : 0));
    }
    this.#ids = routes.filter(({ compareSample }) => compareSample !== undefined).map(({ id }) => id);
    clearInterval(this.#timer);
    this.#timer = this.#ids.length === 0 ? undefined : setInterval(() => this.#tell(), TELL_MS).unref();
  }

  /** Some mirror of the source is compared. */
  watches(source: string): boolean {
    return this.#shares.has(source);
  }

  /** Whether the answer to a request on the source is to be digested. */
  digests(source: string): boolean {
    const share = this.#shares.get(source);
    return share !== undefined && (share >= 1 || this.#random() < share);
  }

  add(recorder: WatchedRecorder): void {
    this.#recorders.add(recorder);
  }

  remove(recorder: WatchedRecorder): void {
    this.#recorders.delete(recorder);
  }

  /** A mirror does not get a transaction. */
  missed({ id, compareSample }: ComparedRoute, change: Change): void {
    if (compareSample === undefined || change === Change.Nothing) return;
    if (!this.#link.connected) {
      if (change > (this.#untold.get(id) ?? Change.Nothing)) this.#untold.set(id, change);
      return;
    }
    this.#link.writer.missed(id, change);
    this.#link.flushSoon();
  }

  /** A mirror process is there. What an earlier one had, and what came since, is missed. */
  connected(): void {
    if (this.#link.incarnation > 1) for (const id of this.#ids) this.#untold.set(id, Change.Definitions);
    for (const [id, change] of this.#untold) this.#link.writer.missed(id, change);
    this.#untold.clear();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tell(): void {
    if (!this.#link.connected) return;
    let until = this.#sequence();
    for (const { untoldSince } of this.#recorders) until = Math.min(until, untoldSince);
    this.#link.writer.toldUntil(until);
    this.#link.flushSoon();
  }
}
