import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findings } from '../../../src/cli/report/findings.ts';
import { formatReport } from '../../../src/cli/report/format-report.ts';
import type { QueryReport } from '../../../src/mirror/report/query-report.ts';
import { mirror, query, slower } from './told.ts';

const hostile = '\u001b[2J</code><script>alert(1)</script> `|` \u202e "quoted" & \u0007 end';
const failing: Partial<QueryReport> = {
  fingerprint: '3'.repeat(16),
  query: hostile,
  error_new: 1_234_567,
  classes: { error_new: 1_234_567 },
  examples: { error_new: [{ at: '2026-01-01T00:00:00.000Z', source: 'no error', mirror: '42P01' }] },
};
const found = findings(
  {
    mirrors: [mirror({ total: 1_234_567, dropped: { exposure: 0, queue_full: 12 }, errors: { '42P01': 1 } })],
    queries: [query(), query({ ...slower, query: `SELECT ${'column, '.repeat(100)}1` }), query(failing)],
  },
  [],
  undefined,
);

describe('the report', () => {
  it('fits 100 columns as a table, and moves no cursor', () => {
    const text = formatReport(found, 'table');
    for (const line of text.split('\n')) assert.ok(line.length <= 100, `${line.length}: ${line}`);
    // oxlint-disable-next-line no-control-regex -- that is the point
    assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
    assert.match(text, /^1 query is slower on the mirror \(the worst 12\.3× at p95\), 1 fails only there/);
    assert.match(text, /1 234 567 transactions/);
    assert.match(text, /12 dropped \(queue_full 12\)/);
    assert.match(
      text,
      /1111111111111111 +1 000 +1\.00 +2\.00 +3\.00 +10\.0 +24\.7 +123 +12\.3× \(11\.0–14\.0\) +9\.0 s/,
    );
    assert.match(text, /error_new 1 234 567 \(no error → 42P01\)/);
  });

  it('fits them with figures of any size, too', () => {
    const huge = {
      ...slower,
      calls: 2_147_483_647,
      ...{ source_p50_ms: 0.001, source_p95_ms: 3_599_999, source_p99_ms: 99_999.7, mirror_p99_ms: 123_456 },
      ...{ p95_ratio: 1_234_567, p95_ratio_low: 9_951, p95_ratio_high: 3_600_000, time_lost_ms: -3_600_000_000_0 },
    };
    const text = formatReport(findings({ mirrors: [mirror()], queries: [query(huge)] }, [], undefined), 'table');
    for (const line of text.split('\n')) assert.ok(line.length <= 100, `${line.length}: ${line}`);
    assert.match(text, /2 147 M/);
  });

  it('says why answers could not be verified, and times not be counted', () => {
    const comparison = {
      ...{ match: 9_000, mismatch: 500, unverified: 300, ambiguous: 200 },
      classes: { row_content: 500, ambiguous: 200, unverified: 180, generated: 4_000 },
    };
    const told = {
      mirrors: [mirror({ comparison }), mirror({ destination: 'other' })],
      queries: [query({ late: 1 }), query({ late: 20 }), query({ destination: 'other' })],
    };
    const text = formatReport(findings(told, [], undefined), 'table').replaceAll(/\s+/g, ' ');
    const lines = [
      '95.0 % of 10 000 answers verified, 500 not the same',
      'not verified: 200 overlapped a write on the source, were cancelled, or depend on locks or on the order of rows; ' +
        '180 follow from what the mirror missed or did in another order; 120 depend on values that each server makes for itself',
      '21 of 2 000 calls replayed late, so that their times count for nothing',
    ];
    for (const line of lines) assert.equal(text.split(line).length, 2, line);
    const calm = formatReport(findings({ mirrors: [mirror()], queries: [query()] }, [], undefined), 'table');
    assert.doesNotMatch(calm, /verified|late/);
  });

  it('names the ratio that shows that a query is slower or faster', () => {
    const tail = { p95_ratio: 1.05, p95_ratio_low: 0.6, p95_ratio_high: 1.9 };
    const faster = { ...tail, change: 'faster', p50_ratio: 0.5 } as const;
    const queries = [query({ ...slower, ...tail }), query(faster)];
    const text = formatReport(findings({ mirrors: [mirror()], queries }, [], undefined), 'table');
    assert.equal(text.split('1.05× (0.60–1.90)').length, 3);
    assert.match(text, /\n {4}10\.0× at p50, 9\.00× at least\n/);
    assert.match(text, /\n {4}0\.50× at p50\n/);
    assert.doesNotMatch(formatReport(found, 'table').replace(/^.*\n/, ''), /at p50/);
    const chance = { p50_ratio: 15.6, p50_ratio_low: 0.2, p95_ratio: 9.4, p95_ratio_low: 2.6 };
    const inTheTail = findings({ mirrors: [mirror()], queries: [query({ ...slower, ...chance })] }, [], undefined);
    assert.match(formatReport(inTheTail, 'table'), /the worst 9\.4× at p95/);
    assert.doesNotMatch(formatReport(inTheTail, 'table'), /at p50/);
  });

  it('is data as JSON', () => {
    const json = JSON.parse(formatReport(found, 'json')) as Record<string, unknown>;
    assert.equal(json.verdict, found.verdict);
    assert.deepEqual(json.slower, [{ source: 'app', destination: 'shadow', fingerprint: '1'.repeat(16) }]);
    assert.equal((json.queries as unknown[]).length, 3);
  });

  it('is a table in Markdown whose cells hold', () => {
    const text = formatReport(found, 'markdown');
    const rows = text.split('\n').filter((line) => line.startsWith('| `'));
    assert.equal(rows.length, 2);
    for (const row of rows) assert.equal(row.replaceAll(String.raw`\|`, '').split('|').length, 9, row);
    assert.match(text, /`` .*<script>.* ``/);
    assert.match(text, /error\\_new/);
  });

  it('is one HTML file that runs and loads nothing', () => {
    const text = formatReport(found, 'html');
    assert.match(text, /^<!doctype html>/);
    assert.doesNotMatch(text, /<script|<link|<img|src=|url\(|@import/i);
    assert.match(text, /&lt;script&gt;alert\(1\)&lt;\/script&gt;/);
    assert.match(text, /Content-Security-Policy/);
  });
});
