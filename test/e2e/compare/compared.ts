import { freePort } from '../../../src/cli/embedded/free-port.ts';
import type { QueryReport } from '../../../src/mirror/report/query-report.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { eventually } from '../../support/eventually.ts';
import { askMirrors, askQueries } from '../../support/http.ts';
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

/** Waits until all that was compared has been judged, and says what is known of the queries. */
export async function judged({ mirrored, port }: Compared, timeoutMs = 60_000): Promise<readonly QueryReport[]> {
  await mirrored.drained({ timeoutMs });
  let last = '';
  await eventually(
    async () => {
      const now = JSON.stringify((await askMirrors(port))[0]?.comparison);
      const same = now === last;
      last = now;
      return same;
    },
    { intervalMs: 900, timeoutMs, what: 'the comparison to come to rest' },
  );
  return askQueries(port);
}
