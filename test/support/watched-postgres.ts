import type { PostgresOptions, RunningPostgres } from '../../src/cli/embedded-postgres.ts';
import type { Cleanup } from './cleanup.ts';
import { LeakWatch } from './leaks.ts';
import { startTestPostgres } from './postgres.ts';

/** Starts a PostgreSQL for the tests of a suite. When they are over, nothing may be left behind: not by it, nor by what was started since. */
export async function startWatchedPostgres(cleanup: Cleanup, options: PostgresOptions = {}): Promise<RunningPostgres> {
  LeakWatch.during(cleanup);
  return startTestPostgres(cleanup, options);
}

/** The same with two servers alike, for a mirror that is to go away without its source, or to have other contents of the whole server. */
export async function startWatchedPair(
  cleanup: Cleanup,
  options: PostgresOptions = {},
): Promise<[source: RunningPostgres, mirror: RunningPostgres]> {
  LeakWatch.during(cleanup);
  return Promise.all([startTestPostgres(cleanup, options), startTestPostgres(cleanup, options)]);
}
