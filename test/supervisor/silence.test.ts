import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Silence } from '../../src/supervisor/silence.ts';

const EVERY_MS = 1_000;

describe('the silence of somebody who is asked again and again', () => {
  it('is the time since it said something', () => {
    const silence = new Silence(EVERY_MS, 0);
    assert.deepEqual([silence.asked(1_000), silence.asked(2_100)], [1_000, 2_100]);
    silence.heard(2_200);
    assert.deepEqual([silence.asked(3_100), silence.asked(4_000)], [900, 1_800]);
  });

  it('does not count the time for which whoever asks was suspended', () => {
    const silence = new Silence(EVERY_MS, 0);
    silence.asked(1_000);
    silence.heard(1_100);
    assert.equal(silence.asked(3_600_000), 900);
    assert.equal(silence.asked(3_601_000), 1_900);
  });

  it('is never less than none', () => {
    const silence = new Silence(EVERY_MS, 0);
    silence.asked(1_000);
    silence.heard(59_900);
    assert.equal(silence.asked(60_000), 0);
  });
});
