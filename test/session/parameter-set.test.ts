import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ParameterSet } from '../../src/session/parameter-set.ts';

function setOf(...entries: readonly (readonly [string, string])[]): ParameterSet {
  return new ParameterSet(new Map(entries));
}

describe('a set of parameters', () => {
  it('is the same whatever order it was made in', () => {
    const one = setOf(['a', '1'], ['b', '2']);
    const other = setOf(['b', '2'], ['a', '1']);
    assert.equal(one.key, other.key);
    assert.ok(one.equals(other));
    assert.deepEqual([...one.entries], [...other.entries]);
  });

  it('differs where a name or a value does, however they are written together', () => {
    const sets = [
      ParameterSet.empty,
      setOf(['a', '1']),
      setOf(['a', '']),
      setOf(['a', '1,b'], ['b', '']),
      setOf(['a', '1'], ['b', '']),
      setOf(['a', '"1"']),
      setOf(['a"', '1"']),
    ];
    assert.equal(new Set(sets.map(({ key }) => key)).size, sets.length);
    assert.ok(sets.every((set, index) => sets.every((other, at) => set.equals(other) === (index === at))));
  });

  it('has an empty key when it is empty', () => assert.equal(ParameterSet.empty.key, ''));

  it('stays as it is when another is made from it', () => {
    const set = setOf(['a', '1']);
    const more = set.with('b', '2');
    assert.deepEqual([...set.entries], [['a', '1']]);
    assert.deepEqual(
      [...more.entries],
      [
        ['a', '1'],
        ['b', '2'],
      ],
    );
    assert.deepEqual([...more.with('a', '3').entries.values()], ['3', '2']);
    assert.equal(more.without('b').key, set.key);
  });

  it('is the same object where nothing changes', () => {
    const set = setOf(['a', '1']);
    assert.equal(set.with('a', '1'), set);
    assert.equal(set.without('b'), set);
  });

  it('takes of another one what it lacks', () => {
    const set = setOf(['a', '1']);
    assert.deepEqual(
      [...set.orElse(setOf(['a', '2'], ['b', '3'])).entries],
      [
        ['a', '1'],
        ['b', '3'],
      ],
    );
    assert.equal(set.orElse(setOf(['a', '2'])), set);
  });

  it('does not change with the map it was made from', () => {
    const map = new Map([['a', '1']]);
    const set = new ParameterSet(map);
    map.set('b', '2');
    assert.equal(set.entries.size, 1);
  });
});
