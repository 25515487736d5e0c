import { monotonicNow } from '../../util/clock.ts';
import { LatencyWindow } from './latency-window.ts';
import type { DurationHistogram, Percentiles } from './latency-window.ts';

/** How long requests took on the source and on a mirror. */
export class MirrorLatency {
  readonly #source = new LatencyWindow();
  readonly #mirror = new LatencyWindow();

  /** One request, answered on both; times in microseconds. */
  record(sourceTime: number, mirrorTime: number): void {
    const now = monotonicNow();
    this.#source.record(sourceTime, now);
    this.#mirror.record(mirrorTime, now);
  }

  /** The percentiles of the last time, and the histograms of all. */
  read(now: number): {
    readonly latencyMs: { readonly source: Percentiles; readonly mirror: Percentiles };
    readonly duration: { readonly source: DurationHistogram; readonly mirror: DurationHistogram };
  } {
    return {
      latencyMs: { source: this.#source.percentiles(now), mirror: this.#mirror.percentiles(now) },
      duration: { source: this.#source.histogram(), mirror: this.#mirror.histogram() },
    };
  }
}
