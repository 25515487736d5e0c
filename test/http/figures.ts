import type { HttpHost } from '../../src/http/http-host.ts';
import { HISTOGRAM_BOUNDS } from '../../src/mirror/replay/latency-window.ts';
import { mirror } from '../cli/report/told.ts';

const duration = { count: 3, sumSeconds: 0.5, buckets: HISTOGRAM_BOUNDS.map(() => 3) };

/** A host that tells of one mirror, something for every metric. */
export const figures: HttpHost = {
  version: '0.0.0',
  queueBytesLimit: 1000,
  mirrors: () =>
    Promise.resolve([
      { summary: mirror({ errors: { '42P01': 1 } }), durations: { source: duration, mirror: duration } },
      { summary: mirror({ destination: 'quo"te\\d\nname', state: 'down' }), durations: undefined },
    ]),
  queries: () => Promise.resolve([]),
  pools: () =>
    Promise.resolve({
      clientConnections: 1,
      clientsWaiting: 2,
      serversActive: 3,
      serversIdle: 4,
      serversLogin: 5,
      checkoutWaitSeconds: 0.5,
    }),
  readiness: () => Promise.resolve({ state: 'running', sources: { app: true }, refused: {} }),
};
