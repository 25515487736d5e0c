import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LinearPattern } from '../../src/util/linear-pattern.ts';

describe('A pattern', () => {
  it('is found anywhere in a text, in any letters where it says so', () => {
    const health = new LinearPattern('(?i)^\\s*select\\s+1\\s*;?\\s*$');
    assert.equal(health.isIn('SELECT 1;'), true);
    assert.equal(health.isIn('SELECT 1 FROM t'), false);
    assert.equal(new LinearPattern('pg_stat_\\w+').isIn('TABLE pg_stat_activity'), true);
  });

  it('takes no longer than its text is long, however hostile both are', () => {
    const hostile = ['(a+)+$', '(a|a)+$', '(a|aa)+$', '(.*a){12}$', '(?:a?){30}a{30}$', '([a-z]+)*[0-9]$'];
    for (const source of hostile) {
      const began = performance.now();
      assert.equal(new LinearPattern(source).isIn(`${'a'.repeat(100_000)}!`), false);
      const took = performance.now() - began;
      assert.ok(took < 2_000, `${source}: ${took} ms`);
    }
  });

  it('is not understood where no such promise could be kept', () => {
    for (const source of ['(?=a)b', '(a)\\1', '(?<!x)y', '(', '[a', '(((a{1,100}){1,100}){1,100})']) {
      assert.throws(() => new LinearPattern(source), Error, source);
    }
  });

  it('says that it does not know what the far end of a very long text holds', () => {
    const pattern = new LinearPattern('secret');
    assert.equal(pattern.isIn(`secret ${'x'.repeat(1_000_000)}`), true);
    assert.equal(pattern.isIn(`${'x'.repeat(1_000_000)} secret`), undefined);
    assert.equal(pattern.isIn('x'.repeat(200_000)), false);
  });
});
