import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { Backoff } from '../../src/util/backoff.ts';

/** A clock that stands still until it is told. */
function clock(t: TestContext): { now: number } {
  const state = { now: 1_000 };
  t.mock.method(performance, 'now', () => state.now);
  return state;
}

describe('waiting between attempts', () => {
  it('doubles from one failure to the next, up to the limit', (t) => {
    clock(t);
    const backoff = new Backoff({ firstMs: 100, lastMs: 450, steadyMs: 10_000 });
    const waits = Array.from({ length: 5 }, () => {
      backoff.started();
      return backoff.ended();
    });
    assert.deepEqual(waits, [100, 200, 400, 450, 450]);
  });

  it('begins anew after an attempt that held for a while', (t) => {
    const time = clock(t);
    const backoff = new Backoff({ firstMs: 100, lastMs: 1_000, steadyMs: 10_000 });
    const attempt = (lastsMs: number): number => {
      backoff.started();
      time.now += lastsMs;
      return backoff.ended();
    };
    assert.deepEqual([attempt(0), attempt(9_999), attempt(10_000), attempt(0)], [100, 200, 100, 200]);
  });
});
