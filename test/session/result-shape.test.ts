import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hasResult, resultShape, toldParameters } from '../../src/session/result-shape.ts';
import { cstr, int16, int32, msg } from '../support/bytes.ts';

interface Column {
  readonly name?: string;
  readonly table?: number;
  readonly attribute?: number;
  readonly type?: number;
  readonly size?: number;
  readonly modifier?: number;
  readonly format?: number;
}

function rows(...columns: readonly Column[]): Buffer {
  const column = (of: Column): Buffer =>
    Buffer.concat([
      cstr(of.name ?? 'a'),
      int32(of.table ?? 0),
      int16(of.attribute ?? 0),
      int32(of.type ?? 25),
      int16(of.size ?? -1),
      int32(of.modifier ?? -1),
      int16(of.format ?? 0),
    ]);
  return msg('T', int16(columns.length), ...columns.map(column));
}

const NONE = msg('t', int16(0));

describe('the shape of a result', () => {
  it('is the same for a table made anew and for another format', () => {
    const shape = resultShape(NONE, rows({ table: 16384, attribute: 1 }, { name: 'b' }));
    assert.equal(resultShape(NONE, rows({ table: 20000, attribute: 7, format: 1 }, { name: 'b', format: 1 })), shape);
  });

  it('differs where a column has another name, type, size or modifier, or another place', () => {
    const shapes = [
      rows({}, { name: 'b' }),
      rows({ name: 'c' }, { name: 'b' }),
      rows({ type: 23 }, { name: 'b' }),
      rows({ size: 4 }, { name: 'b' }),
      rows({ modifier: 14 }, { name: 'b' }),
      rows({ name: 'b' }, {}),
      rows({}),
      rows({}, { name: 'b' }, { name: 'c' }),
      rows(),
    ].map((row) => resultShape(NONE, row));
    assert.equal(new Set(shapes).size, shapes.length);
  });

  it('differs between no rows and rows without columns, and with the parameter types', () => {
    const shapes = [
      resultShape(NONE, undefined),
      resultShape(NONE, rows()),
      resultShape(msg('t', int16(1), int32(23)), undefined),
      resultShape(msg('t', int16(1), int32(25)), undefined),
      resultShape(msg('t', int16(1), int32(25)), rows()),
    ];
    assert.equal(new Set(shapes).size, shapes.length);
  });

  it('takes little room for many columns, and still tells them apart', () => {
    const wide = Array.from({ length: 1_600 }, (_, number) => ({ name: `column_${number}` }));
    const parameters = msg('t', int16(1), int32(25));
    const shape = resultShape(parameters, rows(...wide));
    assert.ok(shape.length < 100);
    assert.equal(resultShape(parameters, rows(...wide)), shape);
    assert.notEqual(resultShape(parameters, rows(...wide.slice(1), { name: 'column_0' })), shape);
    assert.deepEqual([hasResult(shape), toldParameters(shape)], [true, parameters]);
  });

  it('comes to an end with a description that is cut off', () => {
    const whole = rows({}, { name: 'b' });
    for (let length = 7; length < whole.length; length++) {
      assert.equal(typeof resultShape(NONE, whole.subarray(0, length)), 'string');
    }
  });
});
