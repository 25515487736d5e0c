import type { CompareOptions } from '../compare/compare-options.ts';
import type { ServerAddress } from '../../net/server-socket.ts';
import type { ServerTlsOptions } from '../../net/server-tls.ts';
import type { ComparisonCounts } from '../report/mirror-summary.ts';
import type { QueryReport } from '../report/query-report.ts';
import type { ReportOptions } from '../report/report-options.ts';
import type { DurationHistogram, Percentiles } from './latency-window.ts';
import type { Level } from './level.ts';
import type { Timing } from './pacing.ts';

/** A login that the mirror process may use, in plain text: the channel is a pipe between parent and child. */
export interface MirrorLogin {
  readonly user: string;
  readonly password: string | undefined;
}

/** A mirror, as the supervisor made it out from the configuration. */
export interface MirrorTargetConfig {
  /** Names it in the record stream; never used again for another. */
  readonly id: number;
  /** Names of the databases. */
  readonly source: string;
  readonly destination: string;
  readonly address: ServerAddress;
  readonly tls?: ServerTlsOptions | undefined;
  readonly database: string;
  /** As whom the transactions of a client user are replayed. */
  readonly users: readonly (MirrorLogin & { readonly name: string })[];
  /** For the users not named above. */
  readonly fallback: MirrorLogin | undefined;
  /** Connections for each login, and those held by pinned clients besides. */
  readonly poolSize: number;
  readonly pinnedPoolSize: number;
  readonly timing: Timing;
  /** One request on the mirror, beyond what it took on the source. */
  readonly timeoutMs: number;
  readonly maxLagMs: number;
  readonly connectTimeoutMs: number;
  readonly preparedStatementsLimit: number;
  /** Settings sent at startup. */
  readonly parameters: Readonly<Record<string, string>>;
  /** `server_reset = "always"` holds for the source. */
  readonly resetAlways: boolean;
  readonly level: Level;
  /** Regular expressions over the text of each statement. */
  readonly query: string | undefined;
  readonly excludeQuery: string | undefined;
  readonly enabled: boolean;
  readonly allowSideEffects: boolean;
  /** Another mirror's `control`. */
  readonly isControl: boolean;
  /** How answers are compared; undefined: not at all. */
  readonly compare?: CompareOptions | undefined;
}

/** A login to a source, for the safety checks. */
export interface SourceLogin extends MirrorLogin {
  readonly source: string;
  readonly address: ServerAddress;
  readonly tls?: ServerTlsOptions | undefined;
  readonly database: string;
}

/** A transaction that a client's user prepared on a mirror. */
export interface PreparedOnMirror {
  readonly target: number;
  readonly gid: string;
  readonly user: string;
}

/** Supervisor → mirror process. */
export type ToMirrorProcess =
  /** All mirrors there are: one that is missing was removed. */
  | {
      readonly type: 'configure';
      readonly epoch: number;
      readonly targets: readonly MirrorTargetConfig[];
      readonly sourceLogins: readonly SourceLogin[];
      /** Names this pgmirror: a mirror that knows the name is this pgmirror itself. */
      readonly instance: string;
      /** The files were read again: all mirrors are looked at. Those that are new or moved are in any case. */
      readonly look: boolean;
      /** What was perhaps prepared on mirrors before this process began; it counts for mirrors that are new to it. */
      readonly prepared: readonly PreparedOnMirror[];
    }
  | { readonly type: 'configureReport'; readonly report: ReportOptions }
  | { readonly type: 'logLevel'; readonly level: string }
  | { readonly type: 'ping'; readonly n: number }
  | { readonly type: 'status'; readonly id: number }
  /** The mirror was made a fresh copy of its source. */
  | { readonly type: 'resetMirror'; readonly target: number }
  /** Asks for the statistics of queries. */
  | { readonly type: 'queries'; readonly id: number }
  | { readonly type: 'resetStatistics' }
  /** Finish what is queued, at most so long; what is left then is acknowledged as lost. */
  | { readonly type: 'drain'; readonly graceMs: number };

export type MirrorState = 'up' | 'down' | 'refused' | 'disabled';

/** What is known of one mirror. */
export interface MirrorTargetStatus {
  readonly id: number;
  readonly state: MirrorState;
  readonly reason: string;
  /** Age of the oldest unfinished transaction since its end on the source. */
  readonly lagMs: number;
  /** Transactions waiting or running. */
  readonly queued: number;
  readonly connections: number;
  /** Transactions that were left prepared with nobody to end them, and rolled back. */
  readonly orphans: number;
  readonly latencyMs: { readonly source: Percentiles; readonly mirror: Percentiles };
  readonly duration: { readonly source: DurationHistogram; readonly mirror: DurationHistogram };
  /** What came of comparing answers. */
  readonly comparison?: ComparisonCounts;
}

/** Mirror process → supervisor. */
export type FromMirrorProcess =
  /** It listens for pooler threads at this path. */
  | { readonly type: 'ready'; readonly socketPath: string }
  | { readonly type: 'configured'; readonly epoch: number }
  | { readonly type: 'pong'; readonly n: number }
  | { readonly type: 'status'; readonly id: number; readonly targets: readonly MirrorTargetStatus[] }
  | { readonly type: 'queries'; readonly id: number; readonly queries: readonly QueryReport[] }
  | { readonly type: 'targetState'; readonly id: number; readonly state: MirrorState; readonly reason: string }
  /** Nothing is left on the mirror of a transaction that was prepared there. */
  | { readonly type: 'preparedSettled'; readonly target: number; readonly gid: string }
  | { readonly type: 'drained' };
