import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseCondition } from '../../../src/cli/report/condition.ts';
import type { Condition } from '../../../src/cli/report/condition.ts';
import { findings } from '../../../src/cli/report/findings.ts';
import type { QueryReport } from '../../../src/mirror/report/query-report.ts';
import { mirror, query, slower } from './told.ts';

function condition(text: string): Condition {
  const parsed = parseCondition(text);
  assert.ok(parsed, text);
  return parsed;
}

const found = (...queries: readonly QueryReport[]) => findings({ mirrors: [mirror()], queries }, [], undefined);

describe('findings', () => {
  it('say that all is well where it is', () => {
    const { verdict, slower: list } = found(query());
    assert.equal(verdict, 'No query is slower on the mirror, none fails only there, answers are not compared.');
    assert.deepEqual(list, []);
  });

  it('say of how many queries it cannot be told yet', () => {
    const { verdict } = found(query(), query({ change: 'unknown' }), query({ change: 'unknown' }));
    assert.match(
      verdict,
      /^No query is known to be slower on the mirror \(2 of 3 ran too seldom, late or unevenly to tell\), /,
    );
  });

  it('name what is slower, the most time lost first', () => {
    const { verdict, slower: list } = found(
      query(),
      query({ ...slower, fingerprint: '2'.repeat(16), time_lost_ms: 5 }),
      query(slower),
    );
    assert.match(verdict, /^2 queries are slower on the mirror \(the worst 12\.3× at p95\)/);
    assert.deepEqual(
      list.map(({ fingerprint }) => fingerprint),
      ['1'.repeat(16), '2'.repeat(16)],
    );
  });

  it('name what is faster, fails or answers differently', () => {
    const told = found(
      query({ p95_ratio: 0.5, change: 'faster' }),
      query({ error_new: 3, classes: { error_new: 3 } }),
      query({ verified: 0.9, mismatch: 2, classes: { row_content: 2 } }),
    );
    assert.equal(told.verdict, 'No query is slower on the mirror, 1 fails only there, 1 answers differently.');
    assert.deepEqual([told.faster.length, told.failing.length, told.different.length], [1, 1, 1]);
  });

  it('say first which mirror is not used, and what is missing', () => {
    const away = findings({ mirrors: [mirror({ state: 'down', mirrored: 0 })], queries: [] }, [], undefined);
    assert.equal(away.verdict, 'shadow is down; No query has been replayed yet.');
    const rare = findings({ mirrors: [mirror({ mirrored: 7 })], queries: [query({ calls: 3 })] }, [], 100);
    assert.equal(rare.verdict, 'No query ran often enough.');
    assert.equal(findings({ mirrors: [], queries: [] }, [], undefined).verdict, 'No mirror is configured.');
  });

  it('hold conditions against each query that ran often enough', () => {
    const conditions = ['p95_ratio>1.2', 'error_new>0', 'mismatch>=2', 'verified<0.5'].map(condition);
    const queries = [
      query(slower),
      query({ error_new: 1, calls: 5, samples: 4 }),
      query({ mismatch: 1, verified: 0.9 }),
    ];
    const met = (minCalls?: number) =>
      findings({ mirrors: [mirror()], queries }, conditions, minCalls).met.map((one) => one.condition);
    assert.deepEqual(met(), ['p95_ratio>1.2', 'error_new>0']);
    assert.deepEqual(met(100), ['p95_ratio>1.2']);
    assert.deepEqual(met(5_000), []);
  });

  it('hold no ratio against a query that may be chance, or was seen for a time only', () => {
    const conditions = ['p50_ratio>1.2', 'p95_ratio>1.2', 'p99_ratio>1.2'].map(condition);
    const met = (changes: Partial<QueryReport>) =>
      findings({ mirrors: [mirror()], queries: [query({ ...slower, ...changes })] }, conditions, undefined).met.length;
    assert.equal(met({}), 3);
    assert.equal(met({ p50_ratio_low: 1, p95_ratio_low: 0.9, p99_ratio_low: 0.5 }), 0);
    assert.equal(met({ change: 'unknown' }), 0);
    assert.equal(met({ change: 'none' }), 3);
  });

  it('hold no condition of time against a few calls, unless told how many are enough', () => {
    const queries = [query({ ...slower, calls: 5, samples: 5 })];
    const met = (minCalls?: number) =>
      findings({ mirrors: [mirror()], queries }, [condition('p95_ratio>1.2')], minCalls).met.length;
    assert.equal(met(), 0);
    assert.equal(met(5), 1);
  });
});

describe('parseCondition', () => {
  it('takes every measure and operator', () => {
    assert.equal(condition(' p99_ratio >= 1.5 ').operator, '>=');
    assert.equal(condition('time_lost_ms>1000').bound, 1000);
    assert.equal(condition('verified<.8').bound, 0.8);
  });

  it('refuses everything else', () => {
    for (const text of ['', 'p95_ratio', 'p95_ratio=1', 'p95_ratio>', 'p95_ratio>x', 'toString>1', 'p95_ratio>1 2']) {
      assert.equal(parseCondition(text), undefined, text);
    }
  });
});
