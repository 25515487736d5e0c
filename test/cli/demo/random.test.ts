import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Random } from '../../../src/cli/demo/random.ts';

describe('Random', () => {
  it('gives the same numbers for the same seed, and others for another', () => {
    const numbers = (seed: number): number[] => {
      const random = new Random(seed);
      return Array.from({ length: 10 }, () => random.between(1, 1_000_000));
    };
    assert.deepEqual(numbers(1), numbers(1));
    assert.notDeepEqual(numbers(1), numbers(2));
  });

  it('reaches both ends and nothing beyond', () => {
    const random = new Random(3);
    const seen = new Set(Array.from({ length: 1_000 }, () => random.between(2, 4)));
    assert.deepEqual(
      [...seen].toSorted((a, b) => a - b),
      [2, 3, 4],
    );
  });

  it('chooses about as often as the weights say', () => {
    const random = new Random(4);
    const choices = Array.from({ length: 4_000 }, () =>
      random.weighted([
        [3, 'often'],
        [1, 'seldom'],
        [0, 'never'],
      ]),
    );
    const often = choices.filter((choice) => choice === 'often').length;
    assert.ok(often > 2_850 && often < 3_150, `${often} of 4000`);
    assert.ok(!choices.includes('never'));
  });
});
