import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { resolveReferences, type ReferenceProblem } from '../../src/config/environment-references.ts';

function resolve(text: string, environment: NodeJS.ProcessEnv = { A: '1', B_2: '2' }): unknown {
  const problems: ReferenceProblem[] = [];
  const value = resolveReferences(text, environment, problems);
  assert.deepEqual(problems, []);
  return value;
}

describe('resolveReferences', () => {
  it('puts variables in place, wherever they stand in the string', () => {
    assert.equal(resolve('${A}'), '1');
    assert.equal(resolve('x${A}${B_2}y'), 'x12y');
    assert.equal(resolve('no reference: $A, {A}, $'), 'no reference: $A, {A}, $');
  });

  it('takes $${ for a literal ${', () => {
    assert.equal(resolve('$${A}'), '${A}');
    assert.equal(resolve('$$${A}'), '$${A}');
    assert.equal(resolve('$${${A}'), '${1');
  });

  it('puts a value in as it is: not looked at again, and without the replacement patterns of JavaScript', () => {
    assert.equal(resolve('<${X}>', { X: '${A}$&$1' }), '<${A}$&$1>');
  });

  it('goes into lists and tables, and leaves keys and other values alone', () => {
    const date = new Date(0);
    const value = resolveReferences({ '${A}': ['${A}', 1, date, { b: '${A}' }] }, { A: 'x' }, []);
    assert.deepEqual(structuredClone(value), { '${A}': ['x', 1, date, { b: 'x' }] });
  });

  it('names the path of what cannot be resolved', () => {
    const problems: ReferenceProblem[] = [];
    resolveReferences({ a: [{ b: '${NO}' }] }, {}, problems);
    assert.deepEqual(problems, [
      {
        path: ['a', 0, 'b'],
        found: '${NO}, which is not set',
        accepted: 'the name of an environment variable that is set',
      },
    ]);
  });
});
