import type { Config } from '../config/config.ts';
import type { MirroringConfig } from '../config/mirroring-schema.ts';
import type { MirrorFigures } from '../http/http-host.ts';
import { DROP_REASONS } from '../mirror/record/drop-reason-names.ts';
import { NOTHING_COMPARED } from '../mirror/report/mirror-summary.ts';
import type { PercentilesOrNull } from '../mirror/report/mirror-summary.ts';
import type { Percentiles } from '../mirror/replay/latency-window.ts';
import type { MirrorState, MirrorTargetStatus } from '../mirror/replay/mirror-process-messages.ts';
import { addCounts, NO_COUNTS } from './counter-book.ts';
import type { MirrorUserCounts } from './counter-book.ts';

/** What is known of one mirror, from the places where it is known. */
export interface KnownOfMirror {
  readonly mirror: MirroringConfig;
  readonly state: MirrorState;
  readonly reason: string;
  readonly exposure: number;
  /** Of all its users. */
  readonly counts: readonly MirrorUserCounts[];
  readonly errors: ReadonlyMap<string, number>;
  /** As the mirror process told last; `isLive`: it told so just now. */
  readonly status: MirrorTargetStatus | undefined;
  readonly isLive: boolean;
}

/** What HTTP shows of one mirror. */
export function mirrorFigures(known: KnownOfMirror): MirrorFigures {
  const { mirror, status, isLive } = known;
  const counts = known.counts.reduce(addCounts, NO_COUNTS);
  const { total, replayed, failed, timedOut } = counts;
  return {
    durations: status?.duration,
    summary: {
      source: mirror.source_db,
      destination: mirror.destination_db,
      state: known.state,
      reason: known.reason,
      exposure: known.exposure,
      total,
      mirrored: replayed + failed + timedOut,
      replayed,
      failed,
      timed_out: timedOut,
      dropped: Object.fromEntries(DROP_REASONS.map((reason, index) => [reason, counts.dropped[index] ?? 0])),
      errors: Object.fromEntries(known.errors),
      queue_length: counts.queueLength,
      queued_bytes: counts.queuedBytes,
      lag_ms: isLive ? rounded(status?.lagMs ?? 0) : 0,
      orphans: status?.orphans ?? 0,
      latency_ms: { source: percentiles(status?.latencyMs.source), mirror: percentiles(status?.latencyMs.mirror) },
      comparison: status?.comparison ?? NOTHING_COMPARED,
    },
  };
}

/** Databases that clients use: those that are not only the destination of mirrors. */
export function sourceDatabases(config: Config): Config['databases'] {
  const destinations = new Set(config.mirroring.map((mirror) => mirror.destination_db));
  const sources = new Set(config.mirroring.map((mirror) => mirror.source_db));
  return config.databases.filter(({ name }) => sources.has(name) || !destinations.has(name));
}

function percentiles(known: Percentiles | undefined): PercentilesOrNull {
  return { p50: rounded(known?.p50), p95: rounded(known?.p95), p99: rounded(known?.p99) };
}

function rounded(milliseconds: number): number;
function rounded(milliseconds: number | undefined): number | null;
function rounded(milliseconds: number | undefined): number | null {
  return milliseconds === undefined ? null : Math.round(milliseconds * 1000) / 1000;
}
