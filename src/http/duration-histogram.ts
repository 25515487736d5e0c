import type { Metric, Registry } from 'prom-client';
import { HISTOGRAM_BOUNDS } from '../mirror/replay/latency-window.ts';
import type { DurationHistogram } from '../mirror/replay/latency-window.ts';
import type { MirrorFigures } from './http-host.ts';

const NAME = 'pgmirror_request_duration_seconds';

/**
 * Registers the histogram of both sides' requests. Its counts were made elsewhere, which prom-client's own Histogram cannot
 * take over: what is registered is what a registry asks of a metric.
 */
export function registerDurations(registry: Registry, mirrors: readonly MirrorFigures[]): void {
  const description = {
    name: NAME,
    help: 'From the last byte of a request sent to its ReadyForQuery',
    type: 'histogram',
    aggregator: 'sum',
  };
  const metric = { ...description, get: () => Promise.resolve({ ...description, values: mirrors.flatMap(valuesOf) }) };
  registry.registerMetric(metric as unknown as Metric);
}

interface Value {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

function valuesOf({ summary: { source, destination }, durations }: MirrorFigures): Value[] {
  if (durations === undefined) return [];
  return (['source', 'mirror'] as const).flatMap((side) => samples(durations[side], { source, destination, side }));
}

function samples({ buckets, count, sumSeconds }: DurationHistogram, labels: Record<string, string>): Value[] {
  const bounds = HISTOGRAM_BOUNDS.map((bound, index) => [bound, buckets[index] ?? 0] as const);
  return [
    ...bounds.map(([le, value]) => ({ metricName: `${NAME}_bucket`, labels: { ...labels, le }, value })),
    { metricName: `${NAME}_bucket`, labels: { ...labels, le: '+Inf' }, value: count },
    { metricName: `${NAME}_sum`, labels, value: sumSeconds },
    { metricName: `${NAME}_count`, labels, value: count },
  ];
}
