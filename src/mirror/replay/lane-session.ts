import type { Lane } from './lane.ts';
import type { PooledConnection } from './mirror-pool.ts';

/**
 * A transaction of the lane is over. Keeps the connection where its client stays pinned on the source; where it does not any
 * more, what it had left was put away behind it. `isOfUse`: what it has left in the session is needed.
 */
export function followSession(lane: Lane, connection: PooledConnection, keeps: boolean, isOfUse: boolean): void {
  if (keeps) {
    lane.pinned = isOfUse && connection.pool.pin(connection) ? connection : undefined;
    if (lane.pinned === undefined) connection.pool.discard(connection);
  } else if (lane.pinned) {
    lane.pinned = undefined;
    connection.pool.unpin(connection);
  }
}

/** What the client left in the session is not undone but ended with it. */
export function endSession(lane: Lane): void {
  const connection = lane.pinned;
  lane.pinned = undefined;
  if (connection) connection.pool.discard(connection);
}

/** What the transactions so far leave in their session is not needed: a later one does not come. */
export function loseSession(lane: Lane): void {
  lane.lastOfSession = lane.queue.last ?? lane.running;
  if (lane.lastOfSession === undefined) endSession(lane);
}
