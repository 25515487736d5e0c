import { performance } from 'node:perf_hooks';

/**
 * Milliseconds that this thread's event loop has spent waiting for something to happen, since its start. What a span of
 * time has more than that, the loop was busy: whatever came meanwhile had to wait until it was looked at.
 */
export function loopIdle(): number {
  return performance.nodeTiming.idleTime;
}
