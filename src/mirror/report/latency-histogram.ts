// Not the whole package, which compiles a WebAssembly of which this has no use, and unpacks what it is in.
import { constructorFromBucketSize } from 'hdr-histogram-js/dist/JsHistogramFactory.js';

/** Upper bound of a cell in milliseconds, and how many values lie in it; cells with none are left out. */
export type HistogramCells = readonly (readonly [upperMs: number, count: number])[];

/** A percentile in milliseconds, and where it lies with a confidence of 95 % given how many values there are. */
export interface Percentile {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const SIGNIFICANT_DIGITS = 2;
const Histogram = constructorFromBucketSize(32);
/** Longer ones count as this long: an hour. */
const MAX_MICROSECONDS = 3_600_000_000;
/** Cells for each doubling in what is shown: enough for a picture. */
const SHOWN_PER_DOUBLING = 2;
const SHOWN_CELLS = 32 * SHOWN_PER_DOUBLING + 1;
/** Two-sided 95 % of the normal distribution. */
const Z = 1.96;

/** Latencies to two significant digits, in a few kilobytes. */
export class LatencyHistogram {
  readonly #shown = new Uint32Array(SHOWN_CELLS);
  readonly #histogram = newHistogram();

  get count(): number {
    return this.#histogram.totalCount;
  }

  record(microseconds: number): void {
    const value = Math.min(Math.max(1, Math.round(microseconds)), MAX_MICROSECONDS);
    this.#histogram.recordValue(value);
    const cell = Math.ceil(Math.log2(value) * SHOWN_PER_DOUBLING);
    this.#shown[cell] = (this.#shown[cell] ?? 0) + 1;
  }

  add(other: LatencyHistogram): void {
    if (other.count === 0) return;
    this.#histogram.add(other.#histogram);
    for (let cell = 0; cell < SHOWN_CELLS; cell++) {
      this.#shown[cell] = (this.#shown[cell] ?? 0) + (other.#shown[cell] ?? 0);
    }
  }

  /** Undefined where nothing was recorded. `share`: 0.5 for the median. */
  percentile(share: number): Percentile | undefined {
    const { count } = this;
    if (count === 0) return undefined;
    // The rank of a percentile is distributed as a binomial variable.
    const spread = Z * Math.sqrt((share * (1 - share)) / count);
    return {
      value: this.#at(share),
      low: this.#at(Math.max(0, share - spread)),
      high: this.#at(Math.min(1, share + spread)),
    };
  }

  cells(): HistogramCells {
    const cells: [number, number][] = [];
    this.#shown.forEach((count, cell) => {
      if (count > 0) cells.push([rounded(2 ** (cell / SHOWN_PER_DOUBLING) / 1000), count]);
    });
    return cells;
  }

  #at(share: number): number {
    return rounded(this.#histogram.getValueAtPercentile(share * 100) / 1000);
  }
}

function newHistogram() {
  const histogram = new Histogram(1, 2, SIGNIFICANT_DIGITS);
  histogram.autoResize = true;
  return histogram;
}

/** To a microsecond. */
function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
