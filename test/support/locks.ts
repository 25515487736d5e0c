import type { Cleanup } from './cleanup.ts';
import { eventually } from './eventually.ts';
import { query, withClient } from './postgres.ts';

/** Makes everybody wait who wants anything of a table, until the function that it resolves to is called or the test is over. */
export async function lockTable(cleanup: Cleanup, url: string, table: string): Promise<() => Promise<void>> {
  const locked = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const holding = withClient(url, async (client) => {
    await client.query(`BEGIN; LOCK TABLE ${table}`);
    locked.resolve();
    await released.promise;
    await client.query('ROLLBACK');
  });
  holding.catch(locked.reject);
  const unlock = async (): Promise<void> => {
    released.resolve();
    await holding;
  };
  cleanup.after(unlock);
  await locked.promise;
  return unlock;
}

/** Waits until so many sessions of a database wait for a lock. */
export async function lockAwaited(url: string, sessions = 1): Promise<void> {
  const waiting = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
    AND backend_type = 'client backend'`;
  await eventually(async () => (await query(url, waiting)).length === sessions, {
    what: `${sessions} to wait for locks`,
  });
}
