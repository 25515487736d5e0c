import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isolationTable, type Noticed } from './stand/isolation-report.ts';

/** One turn; p99 with the mirror and without, and what else differs. */
function turn(p99: number, withoutP99: number, more: Partial<Noticed> = {}): Noticed {
  return {
    ...{ condition: 'slow', perSecond: 900, p50: 2, p99, errors: 0 },
    without: { perSecond: 1_000, p50: 1, p99: withoutP99, errors: 0 },
    ...{
      memory: 100 * 2 ** 20,
      mirrorMemory: 50 * 2 ** 20,
      mirrored: 0.1,
      mirroredAtRate: 0.25,
      state: 'up',
      shares: {},
    },
    ...more,
  };
}

/** The cells of the line of a condition. */
function cells(rounds: readonly (readonly Noticed[])[], name = 'slow'): string[] {
  const printed = isolationTable([{ name, what: 'late' }], rounds, 50);
  const line = printed.split('\n').find((one) => one.startsWith(`| ${name}: late`)) ?? '';
  return line.split('|').map((cell) => cell.trim());
}

describe('The table of a mirror in trouble', () => {
  it('has ratios to no mirror within each turn: medians, and the geometric mean of p99', () => {
    const rounds = [[turn(1, 2)], [turn(8, 2)], [turn(2, 2, { perSecond: 500, p50: 4 })]];
    const [, , perSecond, toNone, p50, p50ToNone, p99, p99ToNone] = cells(rounds);
    assert.deepEqual([perSecond, toNone], ['900', '0.90']);
    assert.deepEqual([p50, p50ToNone], ['2.00', '2.00']);
    assert.deepEqual([p99, p99ToNone], ['2.00', '1.26'], 'the cube root of ½ · 4 · 1');
  });

  it('counts the errors of both sides of a turn', () => {
    const failed = turn(1, 1, { errors: 2, without: { perSecond: 1, p50: 1, p99: 1, errors: 3 } });
    assert.equal(cells([[failed], [turn(1, 1)]])[9], '5');
  });

  it('has a line for a condition that could not be measured', () => {
    assert.equal(cells([[turn(1, 1)]], 'killed')[9], '0');
  });
});
