import { Counter, Gauge, Registry } from 'prom-client';
import type { HttpHost, MirrorFigures, PoolFigures } from './http-host.ts';
import { registerDurations } from './duration-histogram.ts';

/** The content type of the text below. */
export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

const labelNames = ['source', 'destination'] as const;
const results = ['match', 'mismatch', 'unverified', 'ambiguous'] as const;

/** All metrics as Prometheus reads them. The counts live elsewhere: each scrape fills a registry anew. */
export async function metricsText(host: HttpHost): Promise<string> {
  const [mirrors, pools] = await Promise.all([host.mirrors(), host.pools()]);
  const registry = new Registry();
  mirrorCounters(registry, mirrors);
  mirrorGauges(registry, mirrors);
  registerDurations(registry, mirrors);
  poolGauges(registry, pools);
  gauge(registry, 'pgmirror_mirror_queue_bytes_limit', 'Bytes that all queues together may hold').set(
    host.queueBytesLimit,
  );
  gauge(registry, 'pgmirror_info', 'Always 1', ['version']).set({ version: host.version }, 1);
  return registry.metrics();
}

function mirrorCounters(registry: Registry, mirrors: readonly MirrorFigures[]): void {
  const transactions = counter(registry, 'pgmirror_mirror_transactions_total', 'Transactions by what became of them', [
    'outcome',
  ]);
  const dropped = counter(registry, 'pgmirror_mirror_dropped_total', 'Transactions not mirrored, by reason', [
    'reason',
  ]);
  const errors = counter(registry, 'pgmirror_mirror_errors_total', 'Requests that erred on the mirror alone', [
    'sqlstate',
  ]);
  const comparisons = counter(registry, 'pgmirror_mirror_comparisons_total', 'Requests whose answers were compared', [
    'result',
  ]);
  const orphans = counter(registry, 'pgmirror_mirror_orphans_total', 'Transactions left prepared, and rolled back', []);
  for (const { summary } of mirrors) {
    const { source, destination, replayed, failed, timed_out: timedOut } = summary;
    const labels = { source, destination };
    const drops = Object.entries(summary.dropped);
    const all = drops.reduce((sum, [, count]) => sum + count, 0);
    const outcomes = Object.entries({ replayed, failed, timed_out: timedOut, dropped: all });
    for (const [outcome, count] of outcomes) transactions.inc({ ...labels, outcome }, count);
    for (const [reason, count] of drops) dropped.inc({ ...labels, reason }, count);
    for (const [sqlstate, count] of Object.entries(summary.errors)) errors.inc({ ...labels, sqlstate }, count);
    orphans.inc(labels, summary.orphans);
    for (const result of results) comparisons.inc({ ...labels, result }, summary.comparison[result]);
  }
}

function mirrorGauges(registry: Registry, mirrors: readonly MirrorFigures[]): void {
  const up = gauge(registry, 'pgmirror_mirror_up', 'Whether the mirror can be reached and is used', labelNames);
  const queue = gauge(registry, 'pgmirror_mirror_queue_length', 'Transactions queued or running', labelNames);
  const bytes = gauge(registry, 'pgmirror_mirror_queued_bytes', 'Bytes queued or running', labelNames);
  const lag = gauge(registry, 'pgmirror_mirror_lag_seconds', 'Age of the oldest unfinished transaction', labelNames);
  const exposure = gauge(registry, 'pgmirror_mirror_exposure', 'Share of transactions that is mirrored', labelNames);
  for (const { summary } of mirrors) {
    const labels = { source: summary.source, destination: summary.destination };
    up.set(labels, summary.state === 'up' ? 1 : 0);
    queue.set(labels, summary.queue_length);
    bytes.set(labels, summary.queued_bytes);
    lag.set(labels, summary.lag_ms / 1000);
    exposure.set(labels, summary.exposure);
  }
}

function poolGauges(registry: Registry, pools: PoolFigures): void {
  gauge(registry, 'pgmirror_client_connections', 'Clients connected').set(pools.clientConnections);
  gauge(registry, 'pgmirror_clients_waiting', 'Clients waiting for a server connection').set(pools.clientsWaiting);
  const servers = gauge(registry, 'pgmirror_server_connections', 'Server connections by state', ['state']);
  servers.set({ state: 'active' }, pools.serversActive);
  servers.set({ state: 'idle' }, pools.serversIdle);
  servers.set({ state: 'login' }, pools.serversLogin);
  const help = 'How long the client that waits the longest has waited for a server connection';
  gauge(registry, 'pgmirror_checkout_wait_seconds', help).set(pools.checkoutWaitSeconds);
}

function counter(registry: Registry, name: string, help: string, more: readonly string[]): Counter {
  return new Counter({ name, help, labelNames: [...labelNames, ...more], registers: [registry] });
}

function gauge(registry: Registry, name: string, help: string, labels: readonly string[] = []): Gauge {
  return new Gauge({ name, help, labelNames: [...labels], registers: [registry] });
}
