import type { PostgresOptions, RunningPostgres } from '../../src/cli/embedded-postgres.ts';
import type { Cleanup } from './cleanup.ts';
import { LeakWatch } from './leaks.ts';
import { startTestPostgres } from './postgres.ts';

/** Starts a PostgreSQL for the tests of a suite. When they are over, nothing may be left behind: not by it, nor by what was started since. */
export async function startWatchedPostgres(cleanup: Cleanup, options: PostgresOptions = {}): Promise<RunningPostgres> {
  const leaks = new LeakWatch();
  cleanup.after(async () => leaks.assertNone());
  return startTestPostgres(cleanup, options);
}
