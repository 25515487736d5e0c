import type { Lane } from './lane.ts';
import type { MirroredTransaction } from './mirrored-transaction.ts';
import { Readiness } from './prepared-transactions.ts';
import type { PreparedTransactions } from './prepared-transactions.ts';
import { PATIENCE_MS } from './turns.ts';

/** It waits for the first half of the two-phase commit that it ends. */
export const LACKS_HALF = 'lacks half';

/**
 * What a half of a two-phase commit at the head of a lane is to follow on the mirror; undefined: nothing.
 *
 * The second half follows the first. The first, PREPARE TRANSACTION, takes locks and keeps them until it is ended: what another
 * client did before it on the source may come to need them on the mirror, and where that client is who ends it, each would wait
 * for the other. So it follows all that stands before its second half in that one's lane, as long as that does not wait for a
 * half itself. Where no second half has come yet it follows what was over on the source before it began, unless it is late.
 */
export function halfFollows(
  head: MirroredTransaction,
  lane: Lane,
  mirror: { readonly lanes: ReadonlySet<Lane>; readonly prepared: PreparedTransactions; readonly maxLagMs: number },
  now: number,
): MirroredTransaction | typeof LACKS_HALF | undefined {
  const { twoPhase, recorded } = head;
  if (twoPhase === undefined) return undefined;
  if (twoPhase.ends) {
    return mirror.prepared.readiness(twoPhase.gid, recorded.endedAt, now) === Readiness.Wait ? LACKS_HALF : undefined;
  }
  const age = now - recorded.endedAt;
  if (age > mirror.maxLagMs / 2 || lane.endings.includes(twoPhase.gid)) return undefined;
  let earlier: MirroredTransaction | undefined;
  for (const other of mirror.lanes) {
    const first = other === lane ? undefined : nextOf(other);
    if (other.endings.includes(twoPhase.gid)) return first;
    if (first !== undefined && first.recorded.endedAt < recorded.startedAt) earlier ??= first;
  }
  return age > PATIENCE_MS ? undefined : earlier;
}

/** What a lane runs, or is to run next where that is no half of a two-phase commit. */
function nextOf({ running, queue }: Lane): MirroredTransaction | undefined {
  const head = queue.peek();
  return running ?? (head?.twoPhase === undefined ? head : undefined);
}
