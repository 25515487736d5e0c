/** As many slices are kept; then two neighbours become one, and each new one lasts twice as long. */
const MAX_SLICES = 8;
const FIRST_LASTS_MS = 100;
/** A slice with fewer samples says nothing. */
const MIN_IN_SLICE = 8;
/** What did not last has to be seen in so many slices, and in this share of them, to be taken for lasting. */
const MIN_SLICES = 3;
const MIN_SHARE = 0.75;

/** Latencies from 16 µs to more than an hour, eight cells for each doubling: beyond them both sides would look alike. */
const PER_DOUBLING = 8;
const LOWEST = 4;
const CELLS = 28 * PER_DOUBLING;
const MAX_IN_SLICE = 65_535;

/** Latencies of both sides within some time. */
interface Slice {
  readonly begunAt: number;
  count: number;
  readonly source: Uint16Array;
  readonly mirror: Uint16Array;
}

/**
 * What was measured, cut into slices of time. Samples that follow each other are not independent: while a machine is busy
 * with something else, all that is asked then is slow. How many samples there are says nothing of that; whether the same is
 * seen at one time and at another does.
 */
export class TimeSlices {
  #slices: Slice[] = [];
  #lastMs = FIRST_LASTS_MS;

  /** `at` in milliseconds of the monotonic clock, the latencies in microseconds. */
  record(at: number, sourceTime: number, mirrorTime: number): void {
    let slice = this.#slices.at(-1);
    if (slice === undefined || (at - slice.begunAt >= this.#lastMs && slice.count >= MIN_IN_SLICE)) {
      if (this.#slices.length === MAX_SLICES) this.#merge();
      slice = { begunAt: at, count: 0, source: new Uint16Array(CELLS), mirror: new Uint16Array(CELLS) };
      this.#slices.push(slice);
    }
    // Enough is known of it.
    if (slice.count === MAX_IN_SLICE) return;
    slice.count++;
    increase(slice.source, sourceTime);
    increase(slice.mirror, mirrorTime);
  }

  /** Whether what `holds` says of a percentile on both sides, in milliseconds, is so at most times. */
  lasts(share: number, holds: (mirrorMs: number, sourceMs: number) => boolean): boolean {
    const telling = this.#slices.filter(({ count }) => count >= MIN_IN_SLICE);
    if (telling.length < MIN_SLICES) return false;
    const held = telling.filter(({ count, source, mirror }) =>
      holds(percentileOf(mirror, count, share), percentileOf(source, count, share)),
    );
    return held.length >= telling.length * MIN_SHARE;
  }

  #merge(): void {
    const merged: Slice[] = [];
    for (let index = 0; index + 1 < this.#slices.length; index += 2) {
      const [one, other] = [this.#slices[index], this.#slices[index + 1]];
      if (one !== undefined && other !== undefined) merged.push(together(one, other));
    }
    this.#slices = merged;
    this.#lastMs *= 2;
  }
}

/** Where both have more than fits, half of each is as good. */
function together(one: Slice, other: Slice): Slice {
  const halved = one.count + other.count > MAX_IN_SLICE ? 1 : 0;
  const sum = (a: Uint16Array, b: Uint16Array): Uint16Array =>
    a.map((count, cell) => (count + (b[cell] ?? 0)) >> halved);
  const source = sum(one.source, other.source);
  const mirror = sum(one.mirror, other.mirror);
  return { begunAt: one.begunAt, count: source.reduce((total, count) => total + count, 0), source, mirror };
}

function increase(cells: Uint16Array, microseconds: number): void {
  const cell = Math.floor((Math.log2(Math.max(1, microseconds)) - LOWEST) * PER_DOUBLING);
  const bounded = Math.min(Math.max(0, cell), CELLS - 1);
  cells[bounded] = (cells[bounded] ?? 0) + 1;
}

/** In milliseconds; within a cell, as if its samples were spread over it. */
function percentileOf(cells: Uint16Array, count: number, share: number): number {
  let left = share * count;
  for (let cell = 0; cell < CELLS; cell++) {
    const here = cells[cell] ?? 0;
    if (left <= here && here > 0) return 2 ** (LOWEST + (cell + left / here) / PER_DOUBLING) / 1000;
    left -= here;
  }
  return 2 ** (LOWEST + CELLS / PER_DOUBLING) / 1000;
}
