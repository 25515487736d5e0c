import type { PoolBudgets, PoolOptions } from './pool-options.ts';

/**
 * Takes the right to open one more connection: of its pool, and of its database. False where there is no room: then others
 * have been asked for it, if a client waits for it (`isWaitedFor`). To have some in reserve nobody else's is closed.
 */
export function takeRoom(
  { pool, database }: PoolBudgets,
  { size, databaseSize }: PoolOptions,
  isWaitedFor: boolean,
): boolean {
  if (!pool.tryOpen(size)) {
    if (isWaitedFor) pool.want();
    return false;
  }
  const hasRoom = database.tryOpen(databaseSize === 0 ? Infinity : databaseSize);
  database.wants(isWaitedFor && !hasRoom);
  if (hasRoom) return true;
  // Those who wait in other threads are not told of it: they would try in vain as well, and tell this one.
  pool.unused();
  if (isWaitedFor) database.want();
  return false;
}
