import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { QueryStatistics } from '../../../src/mirror/report/query-statistics.ts';
import type { CountedRequest } from '../../../src/mirror/report/query-statistics.ts';

const mirror = { source: 'app', destination: 'shadow', compared: false };

/** Requests follow each other in time. */
let now = 0;

function request(changes: Partial<CountedRequest> & { readonly fingerprint?: string } = {}): CountedRequest {
  const { fingerprint = 'a'.repeat(16), ...more } = changes;
  return {
    query: { fingerprint, text: `text of ${fingerprint}`, isParsed: true },
    isCall: true,
    at: (now += 10),
    sourceTime: 1000,
    mirrorTime: 2000,
    mirrorTimeAtLeast: more.mirrorTime ?? 2000,
    isMeasured: true,
    isLate: false,
    rows: 1,
    sourceError: '',
    mirrorError: '',
    isConsequence: false,
    timedOut: false,
    isLost: false,
    verdict: undefined,
    example: () => ({ at: '', source: 's', mirror: 'm' }),
    ...more,
  };
}

function reportOf(...requests: readonly CountedRequest[]) {
  const statistics = new QueryStatistics(500);
  for (const one of requests) statistics.count(one);
  const [row] = statistics.report(mirror);
  assert.ok(row);
  return row;
}

describe('QueryStatistics', () => {
  it('sets the latencies of both sides against each other', () => {
    const row = reportOf(...Array.from({ length: 200 }, (_, n) => request({ sourceTime: 1000, mirrorTime: 1900 + n })));
    assert.equal(row.calls, 200);
    assert.equal(row.samples, 200);
    assert.ok(Math.abs((row.source_p50_ms ?? 0) - 1) < 0.01, `${row.source_p50_ms}`);
    assert.ok(Math.abs((row.mirror_p95_ms ?? 0) - 2.09) < 0.03, `${row.mirror_p95_ms}`);
    assert.ok(Math.abs((row.p95_ratio ?? 0) - 2.08) < 0.03, `${row.p95_ratio}`);
    assert.ok((row.p95_ratio_low ?? 9) <= (row.p95_ratio ?? 0) && (row.p95_ratio_high ?? 0) >= (row.p95_ratio ?? 9));
    assert.ok(Math.abs(row.time_lost_ms - 199.9) < 0.1, `${row.time_lost_ms}`);
    assert.equal(row.rows, 200);
    assert.equal(row.verified, null);
  });

  it('does not call it an error of the mirror where a sequence gave its number to another session', () => {
    const query = { fingerprint: 'b'.repeat(16), text: 'SELECT lastval()', isParsed: true };
    const row = reportOf(request({ query, mirrorError: '55000' }), request({ query, mirrorError: '42P01' }));
    assert.deepEqual(row.classes, { generated: 1, error_new: 1 });
    assert.deepEqual(row.errors.mirror, { '55000': 1, '42P01': 1 });
  });

  it('is the surer of a ratio the more it has seen', () => {
    const spread = (count: number) => {
      const row = reportOf(...Array.from({ length: count }, (_, n) => request({ mirrorTime: 1000 + (n % 100) * 100 })));
      return (row.p95_ratio_high ?? 0) - (row.p95_ratio_low ?? 0);
    };
    assert.ok(spread(5_000) < spread(100) / 2, `${spread(100)} ${spread(5_000)}`);
  });

  it('calls nothing slower that may as well not be, or has hardly been measured', () => {
    const change = (count: number, mirrorTime: (n: number) => number) =>
      reportOf(...Array.from({ length: count }, (_, n) => request({ mirrorTime: mirrorTime(n) }))).change;
    assert.equal(
      change(20, () => 9_000),
      'unknown',
    );
    assert.equal(
      change(200, () => 9_000),
      'slower',
    );
    assert.equal(
      change(200, () => 1_100),
      'none',
    );
    assert.equal(
      change(200, () => 500),
      'faster',
    );
    assert.equal(
      change(200, (n) => (n % 8 === 0 ? 3_000 : 1_000)),
      'slower',
      'its tail',
    );
    assert.equal(
      change(50, (n) => (n % 17 === 0 ? 3_000 : 1_000)),
      'none',
      'three of fifty',
    );
    assert.equal(
      change(50, (n) => (n % 17 === 0 ? 3_000 : 400)),
      'unknown',
      'mostly faster, and three of fifty are not',
    );
  });

  it('calls slower or faster only what is so at one time and at another', () => {
    const change = (mirrorTime: (n: number) => number) =>
      reportOf(...Array.from({ length: 2_000 }, (_, n) => request({ mirrorTime: mirrorTime(n) }))).change;
    assert.equal(
      change((n) => (n % 3 === 0 ? 4_000 : 1_000)),
      'slower',
      'a third of all, at any time',
    );
    assert.equal(
      change((n) => (n > 500 && n < 1_166 ? 4_000 : 1_000)),
      'unknown',
      'the same share, all at once',
    );
    assert.equal(
      change((n) => (n < 300 ? 1_000 : 4_000)),
      'slower',
      'from some time on',
    );
    assert.equal(
      change((n) => (n > 500 && n < 1_600 ? 500 : 1_000)),
      'none',
      'faster for a time',
    );
  });

  it('knows what is slower by a minute, too', () => {
    const minute = 60_000_000;
    const rows = Array.from({ length: 60 }, () => request({ sourceTime: minute, mirrorTime: 2 * minute }));
    assert.equal(reportOf(...rows).change, 'slower');
    const faster = Array.from({ length: 60 }, () => request({ sourceTime: 2 * minute, mirrorTime: minute }));
    assert.equal(reportOf(...faster).change, 'faster');
  });

  it('does not take for the mirror’s what this process was too busy to look at', () => {
    const busy = Array.from({ length: 200 }, () => request({ mirrorTime: 9_000, mirrorTimeAtLeast: 900 }));
    const row = reportOf(...busy);
    assert.equal(row.change, 'unknown');
    assert.ok((row.p95_ratio_low ?? 9) < 1 && (row.p95_ratio ?? 0) > 8, `${row.p95_ratio_low}`);
  });

  it('does not call slower what all take longer, be it for the way', () => {
    const statistics = new QueryStatistics(500);
    const kinds = [100, 200, 300, 400, 500].map((sourceTime, kind) => ({ sourceTime, fingerprint: `kind ${kind}` }));
    for (const { fingerprint, sourceTime } of kinds) {
      const mirrorTime = fingerprint === 'kind 3' ? 3_000 : sourceTime + 800;
      for (let n = 0; n < 100; n++) statistics.count(request({ fingerprint, sourceTime, mirrorTime }));
    }
    const slower = statistics.report(mirror).filter(({ change }) => change === 'slower');
    assert.deepEqual(
      slower.map(({ fingerprint }) => fingerprint),
      ['kind 3'],
    );
  });

  it('leaves late, failed, timed out and unlike requests out of the latencies, and counts them', () => {
    const row = reportOf(
      request(),
      request({ isLate: true }),
      request({ isMeasured: false }),
      request({ sourceError: '22012', mirrorError: '22012' }),
      request({ timedOut: true, mirrorError: '57014' }),
      request({ isCall: false }),
    );
    assert.equal(row.calls, 5);
    assert.equal(row.samples, 1);
    assert.equal(row.late, 1);
    assert.deepEqual(row.classes, { timeout: 1 });
    assert.deepEqual(row.errors, { source: { '22012': 1 }, mirror: { '22012': 1, '57014': 1 } });
  });

  it('classes errors, and folds what only follows from one', () => {
    const row = reportOf(
      request({ mirrorError: '42P01' }),
      request({ mirrorError: '25P02', isConsequence: true }),
      request({ sourceError: '23505' }),
      request({ sourceError: '23505', mirrorError: '23503' }),
    );
    assert.deepEqual(row.classes, { error_new: 1, error_missing: 1, error_changed: 1 });
    assert.deepEqual(row.errors.mirror, { '42P01': 1, '23503': 1 });
    assert.equal(row.error_new, 1);
    assert.equal(row.mirror_errors, 2);
    assert.equal(row.mismatch, 0, 'nothing was compared');
  });

  it('counts a mismatch only where answers were judged', () => {
    const row = reportOf(
      request({ verdict: { judged: true, answerClass: 'row_content' } }),
      request({ verdict: { judged: true, answerClass: undefined } }),
      request({ verdict: { judged: false, answerClass: 'ambiguous' } }),
    );
    assert.equal(row.mismatch, 1);
    assert.deepEqual(row.classes, { row_content: 1, ambiguous: 1 });
  });

  it('keeps three examples of a class', () => {
    const row = reportOf(...Array.from({ length: 10 }, () => request({ mirrorError: '42P01' })));
    assert.equal(row.classes.error_new, 10);
    assert.equal(row.examples.error_new?.length, 3);
  });

  it('keeps the most costly kinds one by one, and sums the rest', () => {
    const statistics = new QueryStatistics(10);
    const kinds = 200;
    for (let n = 0; n < kinds; n++) {
      statistics.count(request({ fingerprint: `kind ${n}`, mirrorTime: 10 + n, rows: 0, mirrorError: '' }));
    }
    statistics.count(request({ fingerprint: 'costly', mirrorTime: 1_000_000, sourceTime: 1_000_000 }));
    const rows = statistics.report(mirror);
    assert.equal(rows.length, 11);
    assert.equal(rows[0]?.fingerprint, 'costly');
    assert.equal(rows.at(-1)?.fingerprint, 'other');
    assert.equal(
      rows.reduce((sum, { calls }) => sum + calls, 0),
      kinds + 1,
    );
    assert.equal(
      rows.reduce((sum, { samples }) => sum + samples, 0),
      kinds + 1,
    );
  });

  it('bounds the SQLSTATEs that a server makes up', () => {
    const row = reportOf(...Array.from({ length: 200 }, (_, n) => request({ mirrorError: `X${n}` })));
    assert.equal(Object.keys(row.errors.mirror).length, 51);
    assert.equal(row.mirror_errors, 200);
  });

  it('forgets everything when it is reset', () => {
    const statistics = new QueryStatistics(10);
    statistics.count(request());
    statistics.reset();
    assert.deepEqual(statistics.report(mirror), []);
  });
});
