import { freePort } from '../../../src/cli/embedded/free-port.ts';
import type { QueryReport } from '../../../src/mirror/report/query-report.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { eventually } from '../../support/eventually.ts';
import { askQueries } from '../../support/http.ts';
import { Mirrored, type MirroredOptions } from '../../support/mirrored.ts';
import type { RunningPostgres } from '../../support/postgres.ts';

/** A source and a mirror whose answers are compared, and where HTTP answers. */
export interface Compared {
  readonly mirrored: Mirrored;
  readonly port: number;
}

/** Starts them, with nothing counted. */
export async function startCompared(
  cleanup: Cleanup,
  server: RunningPostgres,
  { general, mirroring, ...options }: MirroredOptions = {},
): Promise<Compared> {
  const port = await freePort();
  const mirrored = await Mirrored.start(
    cleanup,
    { source: server },
    {
      ...options,
      general: { http_port: port, mirror_queue: 100_000, ...general },
      mirroring: { compare: true, log_mismatches: true, timing: 'none', ...mirroring },
    },
  );
  return { mirrored, port };
}

/** What no two servers answer alike: it is judged when everything that was answered before it can be. */
const marker = 'SELECT pg_backend_pid()';

/** Waits until all that was compared has been judged, and says what is known of the queries. */
export async function judged({ mirrored, port }: Compared, timeoutMs = 60_000): Promise<readonly QueryReport[]> {
  const before = markersJudged(await askQueries(port));
  let replayed = (await mirrored.drained({ timeoutMs })).mirrored;
  // Not every transaction is mirrored everywhere.
  for (const until = replayed + 1; replayed < until;) {
    await mirrored.query(marker);
    replayed = (await mirrored.drained({ timeoutMs })).mirrored;
  }
  return eventually(
    async () => {
      const queries = await askQueries(port);
      return markersJudged(queries) > before && queries.filter(({ query }) => query !== marker);
    },
    { timeoutMs, what: 'all to be judged' },
  );
}

function markersJudged(queries: readonly QueryReport[]): number {
  const found = queries.find(({ query, destination }) => query === marker && destination === 'shadow');
  return found?.classes.generated ?? 0;
}
