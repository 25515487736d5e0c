/** Latencies in milliseconds; undefined where nothing was measured. */
export interface Percentiles {
  readonly p50: number | undefined;
  readonly p95: number | undefined;
  readonly p99: number | undefined;
}

/** A cumulative histogram since the start, as Prometheus wants it. */
export interface DurationHistogram {
  readonly count: number;
  readonly sumSeconds: number;
  /** Requests that took no longer than the bound of the same index in `HISTOGRAM_BOUNDS`. */
  readonly buckets: readonly number[];
}

/** Seconds. */
export const HISTOGRAM_BOUNDS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

/** Sixteen cells for each doubling: a value is known to within 6 %. */
const CELLS_PER_DOUBLING = 16;
const DOUBLINGS = 32;
const CELLS = CELLS_PER_DOUBLING * DOUBLINGS;
const SLICES = 6;
const SLICE_MS = 10_000;

/**
 * Latencies of the last minute, in six slices of ten seconds, and sums since the start. Bounded: about 12 KiB whatever
 * is recorded.
 */
export class LatencyWindow {
  readonly #slices = Array.from({ length: SLICES }, () => new Uint32Array(CELLS));
  readonly #starts = new Float64Array(SLICES);
  readonly #buckets = new Float64Array(HISTOGRAM_BOUNDS.length);
  #count = 0;
  #sum = 0;

  /** `microseconds` of one request; `now` in milliseconds of the monotonic clock. */
  record(microseconds: number, now: number): void {
    const number = Math.floor(now / SLICE_MS);
    const index = number % SLICES;
    const slice = this.#slices[index];
    if (slice === undefined) return;
    if (this.#starts[index] !== number) {
      slice.fill(0);
      this.#starts[index] = number;
    }
    const cell = cellOf(microseconds);
    slice[cell] = (slice[cell] ?? 0) + 1;
    this.#count++;
    this.#sum += microseconds;
    const seconds = microseconds / 1e6;
    const buckets = this.#buckets;
    let bound = 0;
    while (bound < buckets.length && seconds > (HISTOGRAM_BOUNDS[bound] ?? 0)) bound++;
    if (bound < buckets.length) buckets[bound] = (buckets[bound] ?? 0) + 1;
  }

  percentiles(now: number): Percentiles {
    const cells = new Uint32Array(CELLS);
    const oldest = Math.floor(now / SLICE_MS) - SLICES;
    let total = 0;
    this.#slices.forEach((slice, index) => {
      if ((this.#starts[index] ?? 0) <= oldest) return;
      slice.forEach((count, cell) => {
        cells[cell] = (cells[cell] ?? 0) + count;
        total += count;
      });
    });
    return {
      p50: percentile(cells, total, 0.5),
      p95: percentile(cells, total, 0.95),
      p99: percentile(cells, total, 0.99),
    };
  }

  histogram(): DurationHistogram {
    let below = 0;
    const buckets = Array.from(this.#buckets, (count) => (below += count));
    return { count: this.#count, sumSeconds: this.#sum / 1e6, buckets };
  }
}

function cellOf(microseconds: number): number {
  const value = Math.max(1, Math.min(microseconds, 2 ** 31));
  const doubling = 31 - Math.clz32(value);
  const within = Math.floor((value / 2 ** doubling - 1) * CELLS_PER_DOUBLING);
  return Math.min(doubling * CELLS_PER_DOUBLING + within, CELLS - 1);
}

/** The upper edge of the cell that holds it. */
function percentile(cells: Uint32Array, total: number, share: number): number | undefined {
  if (total === 0) return undefined;
  const wanted = Math.ceil(total * share);
  let seen = 0;
  for (let cell = 0; cell < cells.length; cell++) {
    seen += cells[cell] ?? 0;
    if (seen < wanted) continue;
    const doubling = Math.floor(cell / CELLS_PER_DOUBLING);
    const within = (cell % CELLS_PER_DOUBLING) + 1;
    return (2 ** doubling * (1 + within / CELLS_PER_DOUBLING)) / 1000;
  }
  return undefined;
}
