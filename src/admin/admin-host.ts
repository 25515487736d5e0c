import type { Config } from '../config/config.ts';
import type { GeneralSetting } from '../config/set-general.ts';
import type { MirrorCounts } from '../mirror/record/mirror-counters.ts';
import type { QueryReport } from '../mirror/report/query-report.ts';
import type { MirrorState } from '../mirror/replay/mirror-process-messages.ts';
import type { Percentiles } from '../mirror/replay/latency-window.ts';
import type { PoolStatistics } from '../pool/pool-statistics.ts';
import type { ThreadSnapshot } from '../pooler/pooler-snapshot.ts';

/** A mirror and a user of its source, as it stands. */
export interface MirrorView extends MirrorCounts {
  readonly source: string;
  readonly destination: string;
  /** Empty for a mirror that nobody has used yet. */
  readonly user: string;
  readonly state: MirrorState;
  readonly reason: string;
  readonly exposure: number;
  readonly lagMs: number;
  /** Of all users together. */
  readonly latencyMs: { readonly source: Percentiles; readonly mirror: Percentiles } | undefined;
}

/** How one database would run a query; or, in one line, why that is not known. */
export interface Plan {
  readonly side: 'source' | 'mirror';
  readonly database: string;
  readonly lines: readonly string[];
}

/** Plans of a query, or the SQLSTATE and the reason why there are none. */
export type Plans = { readonly plans: readonly Plan[] } | { readonly code: string; readonly refusal: string };

/** What a reload has not changed yet. */
export interface Reloaded {
  /** Changed keys that take effect at the next start. */
  readonly atNextStart: readonly string[];
  /** Pooler threads that do not answer, and take the configuration when they do. */
  readonly late: readonly number[];
}

/** What the admin database shows, and what it can do. */
export interface AdminHost {
  readonly config: Config;
  readonly version: string;
  readonly uptimeSeconds: number;
  mirrors(): Promise<readonly MirrorView[]>;
  queries(): Promise<readonly QueryReport[]>;
  /** Plans of the query with this fingerprint. */
  explain(fingerprint: string): Promise<Plans>;
  /** With `connections`, of each client and server connection. */
  threads(options?: { readonly connections: boolean }): Promise<readonly ThreadSnapshot[]>;
  /** What was counted for each database since the start, by threads and pools that are no more as well. */
  statistics(): Promise<ReadonlyMap<string, PoolStatistics>>;
  /** Reads both files again, and applies them. Rejects with the reason why nothing was changed. */
  reload(): Promise<Reloaded>;
  shutdown(): void;
  /** Settings that hold until the next reload; the second goes before `mirror_exposure`. */
  setGeneral(setting: GeneralSetting): Promise<void>;
  setExposure(destination: string, exposure: number): Promise<void>;
  setEnabled(destination: string, enabled: boolean): Promise<void>;
  /** The destination is a fresh copy of its source: what was missed before counts no more. */
  resetMirror(destination: string): Promise<void>;
  resetStats(): Promise<void>;
  /** PAUSE: settles when no client of the database (undefined: of any) is in a transaction. */
  pause(database: string | undefined): Promise<void>;
  tellPools(what: 'resume' | 'reconnect' | 'kill', database: string | undefined): void;
}
