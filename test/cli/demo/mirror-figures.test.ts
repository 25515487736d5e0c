import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { figuresOf } from '../../../src/cli/demo/mirror-figures.ts';

const row = {
  database: 'shop',
  user: 'shop',
  total_count: '10',
  mirrored_count: '6',
  dropped_count: '3',
  error_count: '2',
  queue_length: '1',
  destination: 'shop_mirror',
  state: 'up',
  reason: '',
  exposure: '1',
  lag_ms: '7',
  queued_bytes: '100',
  refused: '0',
  queue_full: '3',
  source_p50_ms: '0.5',
  source_p95_ms: '2',
  mirror_p50_ms: null,
  mirror_p95_ms: null,
};

describe('figuresOf', () => {
  it('reads one row, with the drop reasons that were met', () => {
    assert.deepEqual(figuresOf([row]), {
      state: 'up',
      reason: '',
      total: 10,
      mirrored: 6,
      errors: 2,
      dropped: 3,
      dropReasons: new Map([['queue_full', 3]]),
      queue: 1,
      lagMs: 7,
      source: { p50: 0.5, p95: 2 },
      mirror: undefined,
    });
  });

  it('sums the rows of several users, and takes the greater lag', () => {
    const figures = figuresOf([row, { ...row, user: 'other', lag_ms: '3', queue_full: '1' }]);
    assert.equal(figures.total, 20);
    assert.equal(figures.lagMs, 7);
    assert.deepEqual(figures.dropReasons, new Map([['queue_full', 4]]));
  });

  it('knows nothing before the first row', () => {
    const { state, total, lagMs, source } = figuresOf([]);
    assert.deepEqual({ state, total, lagMs, source }, { state: '', total: 0, lagMs: 0, source: undefined });
  });
});
