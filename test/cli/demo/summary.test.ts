import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { figuresOf } from '../../../src/cli/demo/mirror-figures.ts';
import { percentiles, sameRows, summaryOf, type DemoResult } from '../../../src/cli/demo/summary.ts';

const result: DemoResult = {
  seconds: 20,
  counts: { committed: 900, rolledBack: 100, latencies: [1, 2, 3] },
  figures: figuresOf([{ total_count: 1000, mirrored_count: 1000, source_p50_ms: 0.25, source_p95_ms: 1 }]),
  tables: [{ table: 'orders', sourceRows: 8100, mirrorRows: 8100, same: true }],
};
const dropped = figuresOf([{ mirrored_count: 990, dropped_count: 8, error_count: 2, queue_full: 8 }]);
const different: DemoResult = {
  ...result,
  figures: dropped,
  tables: [...result.tables, { table: 'order_lines', sourceRows: 10, mirrorRows: 9, same: false }],
};

describe('summaryOf', () => {
  it('tells of a run in which everything arrived', () => {
    const text = summaryOf(result).join('\n');
    assert.match(text, /transactions on the source +1 000 +100 of them rolled back/);
    assert.match(text, /replayed on the mirror +1 000 +100\.0 %/);
    assert.match(text, /dropped +0\n/);
    assert.match(text, /source, seen by pgmirror +0\.25 ms +1\.00 ms/);
    assert.match(text, /mirror, seen by pgmirror +– +–/);
    assert.match(text, /seen by the application +2\.00 ms +3\.00 ms/);
    assert.match(text, /orders +8 100 +8 100 +same/);
    assert.match(text, /Both databases hold the same rows\./);
    assert.match(text, /The application makes its ids itself/);
    assert.doesNotMatch(text, /failed on the mirror/);
  });

  it('tells what was dropped and why the databases differ', () => {
    const text = summaryOf(different).join('\n');
    assert.match(text, /replayed on the mirror +988 +98\.8 %/);
    assert.match(text, /failed on the mirror alone +2/);
    assert.match(text, /dropped +8\n +queue_full +8\n/);
    assert.match(text, /order_lines +10 +9 +DIFFERENT/);
    assert.match(text, /The databases DIFFER: 10 transactions did not take effect on the mirror\./);
  });
});

describe('sameRows', () => {
  it('holds when every table was found the same, and not when there was none', () => {
    assert.deepEqual([result, different, { ...result, tables: [] }].map(sameRows), [true, false, false]);
  });
});

describe('percentiles', () => {
  it('takes the middle and what 95 of 100 did not exceed', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    assert.deepEqual(percentiles(hundred), { p50: 51, p95: 96 });
    assert.deepEqual(percentiles([7]), { p50: 7, p95: 7 });
    assert.equal(percentiles([]), undefined);
  });
});
