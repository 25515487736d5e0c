import { DROP_REASONS } from '../mirror/record/drop-reason-names.ts';
import type { AdminAnswer, AdminColumn, AdminValue } from './admin-answer.ts';
import type { AdminHost, MirrorView } from './admin-host.ts';

const columns: readonly AdminColumn[] = [
  { name: 'database', type: 'text' },
  { name: 'user', type: 'text' },
  { name: 'total_count', type: 'int8' },
  { name: 'mirrored_count', type: 'int8' },
  { name: 'dropped_count', type: 'int8' },
  { name: 'error_count', type: 'int8' },
  { name: 'queue_length', type: 'int8' },
  { name: 'destination', type: 'text' },
  { name: 'state', type: 'text' },
  { name: 'reason', type: 'text' },
  { name: 'exposure', type: 'float8' },
  { name: 'lag_ms', type: 'float8' },
  { name: 'queued_bytes', type: 'int8' },
  // `exposure` is the share already: a name twice would hide one of them from whoever reads rows by name.
  ...DROP_REASONS.map((name): AdminColumn => ({ name: name === 'exposure' ? 'dropped_exposure' : name, type: 'int8' })),
  { name: 'source_p50_ms', type: 'float8' },
  { name: 'source_p95_ms', type: 'float8' },
  { name: 'mirror_p50_ms', type: 'float8' },
  { name: 'mirror_p95_ms', type: 'float8' },
];

/** SHOW MIRRORS: one row for each source database, user and destination. */
export async function showMirrors(host: AdminHost): Promise<AdminAnswer> {
  const rows = (await host.mirrors()).map(rowOf);
  return { kind: 'rows', tag: 'SHOW', columns, rows };
}

function rowOf(mirror: MirrorView): AdminValue[] {
  const errors = mirror.failed + mirror.timedOut;
  return [
    mirror.source,
    mirror.user,
    mirror.total,
    mirror.replayed + errors,
    mirror.dropped.reduce((sum, count) => sum + count, 0),
    errors,
    mirror.queueLength,
    mirror.destination,
    mirror.state,
    mirror.reason,
    mirror.exposure,
    rounded(mirror.lagMs),
    mirror.queuedBytes,
    ...mirror.dropped,
    rounded(mirror.latencyMs?.source.p50),
    rounded(mirror.latencyMs?.source.p95),
    rounded(mirror.latencyMs?.mirror.p50),
    rounded(mirror.latencyMs?.mirror.p95),
  ];
}

/** To a microsecond: what lies behind is not known. */
function rounded(milliseconds: number | undefined): AdminValue {
  return milliseconds === undefined || Number.isNaN(milliseconds) ? null : Math.round(milliseconds * 1000) / 1000;
}
