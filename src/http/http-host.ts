import type { MirrorDurations, MirrorSummary } from '../mirror/report/mirror-summary.ts';
import type { QueryReport } from '../mirror/report/query-report.ts';

/** A mirror, and what only `/metrics` shows of it. */
export interface MirrorFigures {
  readonly summary: MirrorSummary;
  readonly durations: MirrorDurations | undefined;
}

/** All pools of all threads together. */
export interface PoolFigures {
  readonly clientConnections: number;
  readonly clientsWaiting: number;
  readonly serversActive: number;
  readonly serversIdle: number;
  readonly serversLogin: number;
  /** How long the client that waits the longest has waited. */
  readonly checkoutWaitSeconds: number;
}

/** Whether clients can be served. */
export interface Readiness {
  readonly state: 'starting' | 'running' | 'draining';
  /** Sources, and whether they accept connections. */
  readonly sources: Readonly<Record<string, boolean>>;
  /** Mirrors that are refused, and why. They have no say in whether clients are served. */
  readonly refused: Readonly<Record<string, string>>;
}

/** What the HTTP server shows. Nothing of it waits for a mirror: what does not answer is shown as it was last known. */
export interface HttpHost {
  readonly version: string;
  /** `mirror_queue_bytes`. */
  readonly queueBytesLimit: number;
  mirrors(): Promise<readonly MirrorFigures[]>;
  queries(): Promise<readonly QueryReport[]>;
  pools(): Promise<PoolFigures>;
  readiness(): Promise<Readiness>;
}
