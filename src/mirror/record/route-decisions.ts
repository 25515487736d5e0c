import { dropReasonIndex } from './drop-reason-names.ts';
import type { MirrorRoute, RecordingDesk } from './recording-desk.ts';
import type { TransactionRecorder } from './transaction-recorder.ts';
import type { TwoPhase } from './two-phase.ts';

/** A mirror is to get the transaction; any other value is the index of the reason why not. */
const MIRROR = -1;

/**
 * Each mirror's part in one client's current transaction: decided when it begins, settled when it ends.
 *
 * While the client keeps its server connection, what was decided for the transaction from which it does holds for all.
 * A mirror that misses one of those for another reason has not what later ones need: they are `session_lost`, and it is told
 * that it need not keep the session, which may hold locks that others wait for.
 */
export class RouteDecisions {
  readonly #desk: RecordingDesk;
  readonly #recorder: TransactionRecorder;
  #routes: readonly MirrorRoute[] = [];
  /** By position in the routes. */
  readonly #reasons: number[] = [];
  /** The mirror has had all that the client did since it keeps its server connection. */
  readonly #hasSession: boolean[] = [];
  /** By mirror id, while the client keeps its server connection. */
  readonly #held = new Map<number, number>();
  /** Some mirror is to get the transaction. */
  isWanted = false;
  #isSettled = false;

  constructor(desk: RecordingDesk, recorder: TransactionRecorder) {
    this.#desk = desk;
    this.#recorder = recorder;
  }

  /** Those of these mirrors that there were when the current transaction began. */
  known(routes: readonly MirrorRoute[]): readonly MirrorRoute[] {
    const known = new Set(this.#routes.map(({ id }) => id));
    return routes.filter(({ id }) => known.has(id));
  }

  /** A transaction begins. `keepsServer`: the client kept its server connection from an earlier one. */
  decide(routes: readonly MirrorRoute[], keepsServer: boolean): void {
    this.#routes = routes;
    this.#isSettled = false;
    this.isWanted = false;
    if (routes.length === 0) return;
    const fresh = this.#desk.roll();
    for (let index = 0; index < routes.length; index++) {
      const route = routes[index];
      if (route === undefined) continue;
      const held = keepsServer ? (this.#held.get(route.id) ?? dropReasonIndex.session_lost) : undefined;
      this.#hasSession[index] = held === MIRROR;
      this.#note(index, this.#desk.decide(route, held ?? this.#desk.choose(route, this.#recorder, fresh)));
    }
  }

  /**
   * Where it ends a transaction that was prepared, it is for the mirrors that got the first half, and no others. Where nothing
   * is known of that, the mirror process may know more: it gets it for all, and drops it where the first half is not there.
   */
  followFirstHalf(twoPhase: TwoPhase | undefined): void {
    if (twoPhase?.ends !== true) return;
    const mirrors = this.#desk.prepared.mirrorsOf(twoPhase.gid);
    this.isWanted = false;
    for (const [index, route] of this.#routes.entries()) {
      const isFor = mirrors === undefined || mirrors.has(route.id);
      this.#note(index, this.#desk.decide(route, isFor ? MIRROR : dropReasonIndex.session_lost));
    }
  }

  /** Tells which mirrors got the first half of a two-phase commit, or that it was ended; `targets` undefined: as decided. */
  tellTwoPhase(twoPhase: TwoPhase | undefined, targets?: readonly MirrorRoute[]): void {
    if (twoPhase === undefined) return;
    const { ends, gid } = twoPhase;
    const mirrors = ends ? undefined : (targets ?? this.#wanted()).map(({ id }) => id);
    this.#desk.prepared.saw({ gid, user: this.#recorder.user, mirrors });
  }

  /**
   * It has ended: the mirrors that get it; for the others it is counted as dropped. `judge` has the last word on those
   * that are to get it.
   */
  settle(keepsServer: boolean, judge: (route: MirrorRoute) => number): readonly MirrorRoute[] {
    const targets: MirrorRoute[] = [];
    this.#isSettled = true;
    for (let index = 0; index < this.#routes.length; index++) {
      const route = this.#routes[index];
      if (route === undefined) continue;
      const decision = this.#reasons[index] ?? dropReasonIndex.exposure;
      const fate = decision === MIRROR ? judge(route) : decision;
      if (keepsServer) this.#hold(route, fate);
      if (fate === MIRROR) {
        targets.push(route);
        continue;
      }
      this.#desk.dropped(this.#recorder, route, fate);
      if (this.#hasSession[index] === true) this.#desk.sessionLost(this.#recorder, route);
    }
    return targets;
  }

  /** So many are dropped: it, unless it was settled before, and those that were sent behind it. */
  abort(reason: number, count: number, keptServer: boolean, keepsServer: boolean): void {
    for (let left = count; left > 0; left--) {
      if (this.#isSettled) this.decide(this.#routes, keptServer);
      this.settle(keepsServer, () => reason);
    }
  }

  /** The client does not keep its server connection any more. */
  release(): void {
    if (this.#held.size > 0) this.#held.clear();
  }

  #wanted(): readonly MirrorRoute[] {
    return this.#routes.filter((_, index) => this.#reasons[index] === MIRROR);
  }

  #note(index: number, reason: number): void {
    this.#reasons[index] = reason;
    if (reason === MIRROR) this.isWanted = true;
  }

  #hold(route: MirrorRoute, fate: number): void {
    const isChoice = fate === MIRROR || fate === dropReasonIndex.filtered || fate === dropReasonIndex.exposure;
    this.#held.set(route.id, isChoice ? fate : dropReasonIndex.session_lost);
  }
}
