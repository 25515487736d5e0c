import type { Lane } from './lane.ts';
import type { PooledConnection } from './mirror-pool.ts';

/**
 * A transaction of the lane is over. Keeps the connection where its client stays pinned on the source, and ends it otherwise.
 * `isOfUse`: what it has left in the session is needed.
 */
export function followSession(lane: Lane, connection: PooledConnection, keeps: boolean, isOfUse: boolean): void {
  if (keeps) {
    lane.pinned = isOfUse && connection.pool.pin(connection) ? connection : undefined;
    if (lane.pinned === undefined) connection.pool.discard(connection);
  } else if (lane.pinned) {
    endSession(lane);
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
