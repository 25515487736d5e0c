import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { editDistance, nearestName } from '../../src/config/nearest-name.ts';

describe('nearestName', () => {
  const known = ['port', 'pooler_mode', 'default_pool_size', 'min_pool_size', 'log_level', 'mirror_exposure'];

  it('finds a misspelt name', () => {
    for (const [name, expected] of [
      ['prot', 'port'],
      ['loglevel', 'log_level'],
      ['LOG_LEVEL', 'log_level'],
      ['pool_mode', 'pooler_mode'],
      ['mirror_exposition', 'mirror_exposure'],
    ] as const) {
      assert.equal(nearestName(name, known), expected, name);
    }
  });

  it('prefers a name that holds the whole of what was written', () => {
    assert.equal(nearestName('exposure', known), 'mirror_exposure');
    assert.equal(nearestName('pool_size', known), 'min_pool_size');
  });

  it('finds nothing among nothing', () => {
    assert.equal(nearestName('port', []), undefined);
  });
});

describe('editDistance', () => {
  it('counts letters put in, left out, replaced, and neighbours that changed places', () => {
    for (const [from, to, distance] of [
      ['', '', 0],
      ['', 'abc', 3],
      ['abc', '', 3],
      ['abc', 'abc', 0],
      ['abc', 'abd', 1],
      ['abc', 'ac', 1],
      ['abc', 'acb', 1],
      ['kitten', 'sitting', 3],
    ] as const) {
      assert.equal(editDistance(from, to), distance, `${from} to ${to}`);
    }
  });
});
