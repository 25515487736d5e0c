import assert from 'node:assert/strict';
import { it } from 'node:test';
import { HISTOGRAM_BOUNDS, LatencyWindow } from '../../../src/mirror/replay/latency-window.ts';

it('percentiles are known to within six percent', () => {
  const window = new LatencyWindow();
  for (let i = 1; i <= 10_000; i++) window.record(i, 1000);
  const { p50, p95, p99 } = window.percentiles(1000);
  for (const [value, expected] of [
    [p50, 5],
    [p95, 9.5],
    [p99, 9.9],
  ] as const) {
    assert.ok(value !== undefined && value >= expected && value <= expected * 1.07, `${value} for ${expected}`);
  }
});

it('what is older than a minute is forgotten, and was counted all the same', () => {
  const window = new LatencyWindow();
  assert.deepEqual(window.percentiles(0), { p50: undefined, p95: undefined, p99: undefined });
  window.record(1000, 5000);
  window.record(4000, 45_000);
  assert.ok((window.percentiles(45_000).p50 ?? 0) < 1.1);
  assert.ok((window.percentiles(66_000).p50 ?? 0) > 3.9);
  assert.equal(window.percentiles(200_000).p50, undefined);
  assert.equal(window.histogram().count, 2);
  assert.equal(window.histogram().sumSeconds, 0.005);
});

it('the histogram is cumulative, with bounds included', () => {
  const window = new LatencyWindow();
  for (const microseconds of [0, 100, 101, 1e9]) window.record(microseconds, 0);
  const { buckets, count } = window.histogram();
  assert.equal(buckets.length, HISTOGRAM_BOUNDS.length);
  assert.deepEqual([buckets[0], buckets[1], buckets.at(-1), count], [2, 3, 3, 4]);
});
