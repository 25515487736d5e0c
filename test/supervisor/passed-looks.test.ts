import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { PassedLooks } from '../../src/supervisor/passed-looks.ts';

describe('Looks of other pgmirrors', () => {
  it('are passed on, with what comes of it', async () => {
    const looks = new PassedLooks(async (source, trail) => Promise.resolve(source === 'app' && trail.includes('a')));
    assert.equal(await looks.isCircle('app', ['a']), true);
    assert.equal(await looks.isCircle('other', ['a']), false);
  });

  it('are not passed on without end', async () => {
    let passed = 0;
    const looks = new PassedLooks(async () => Promise.resolve(++passed > 0));
    const answers = await Promise.all(Array.from({ length: 100 }, async () => looks.isCircle('app', ['a'])));
    assert.ok(passed >= 1 && passed < 50, `${passed} were passed on`);
    assert.equal(answers.filter((isCircle) => isCircle).length, passed);
  });

  it('at one source do not wait for those at others', async () => {
    const looks = new PassedLooks(async () => Promise.resolve(true));
    const answers = await Promise.all(Array.from({ length: 50 }, async (_, n) => looks.isCircle(`app ${n}`, ['a'])));
    assert.equal(answers.filter((isCircle) => isCircle).length, 50);
  });

  it('find nothing where they cannot be passed on', async () => {
    const looks = new PassedLooks(async () => Promise.reject(new Error('no mirror process')));
    assert.equal(await looks.isCircle('app', ['a']), false);
  });
});
