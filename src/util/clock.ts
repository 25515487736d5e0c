// The global of this name is a getter, which costs as much again as the reading.
import { performance } from 'node:perf_hooks';

/**
 * Milliseconds of the machine's monotonic clock (CLOCK_MONOTONIC), fractions included: comparable between the threads
 * and processes of one machine, unlike `performance.now()`, whose zero differs in each.
 */
export function monotonicNow(): number {
  return performance.now() + offset;
}

const offset = monotonicOffset();

function monotonicOffset(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6 - performance.now();
}
