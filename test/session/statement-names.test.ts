import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StatementRegistry } from '../../src/session/statement-names.ts';
import type { PreparedText } from '../../src/session/statement-names.ts';
import { cstr, int16, int32, parse } from '../support/bytes.ts';

function definition(text: string, ...types: readonly number[]): Buffer {
  return Buffer.concat([cstr(text), int16(types.length), ...types.map(int32)]);
}

describe('the registry of statement texts', () => {
  it('gives each text one name, whoever asks', () => {
    const registry = new StatementRegistry('pm_7_');
    const one = registry.acquire(definition('select 1'));
    const two = registry.acquire(definition('select 2'));
    assert.deepEqual([one.name, two.name, registry.size], ['pm_7_1', 'pm_7_2', 2]);
    assert.equal(registry.acquire(definition('select 1')), one);
    assert.equal(one.references, 2);
    assert.deepEqual(one.nameBytes, cstr('pm_7_1'));
  });

  it('is another for a text that is read otherwise, and is forgotten by itself', () => {
    const registry = new StatementRegistry('p');
    const here = registry.acquire(definition("select '2024-01-01'::date"));
    const there = registry.acquire(definition("select '2024-01-01'::date"), 'datestyle=German');
    assert.notEqual(there.name, here.name);
    registry.release(there);
    assert.equal(registry.size, 1);
    assert.equal(registry.acquire(definition("select '2024-01-01'::date")), here);
  });

  it('is no other text’s that begins like what it is read by', () => {
    const registry = new StatementRegistry('p');
    const read = registry.acquire(definition('select now()'), 'timezone=UTC');
    for (const between of ['', '\0', '\n']) {
      const other = registry.acquire(
        Buffer.concat([Buffer.from(`timezone=UTC${between}`), definition('select now()')]),
      );
      assert.notEqual(other, read);
    }
  });

  it('tells texts apart whose declared parameter types differ, or whose bytes are no UTF-8', () => {
    const registry = new StatementRegistry('p');
    const names = [
      definition('select $1'),
      definition('select $1', 23),
      definition('select $1', 25),
      Buffer.from([0xff, 0, 0, 0]),
      Buffer.from([0xfe, 0, 0, 0]),
    ].map((bytes) => registry.acquire(bytes).name);
    assert.equal(new Set(names).size, 5);
  });

  it('keeps the text when the bytes it came in are used again', () => {
    const bytes = definition('select 1', 23);
    const text = new StatementRegistry('p').acquire(bytes);
    bytes.fill(0xff);
    assert.deepEqual(text.definition, definition('select 1', 23));
    assert.deepEqual(text.parseMessage(), parse('p1', 'select 1', 23));
  });

  it('forgets a text with its last reference, says so once, and never gives its name again', () => {
    const forgotten: PreparedText[] = [];
    const registry = new StatementRegistry('p', (text) => forgotten.push(text));
    const text = registry.acquire(definition('select 1'));
    registry.acquire(definition('select 1'));
    registry.release(text);
    assert.deepEqual([registry.size, forgotten.length], [1, 0]);
    registry.release(text);
    assert.deepEqual([registry.size, forgotten], [0, [text]]);
    const again = registry.acquire(definition('select 1'));
    assert.notEqual(again, text);
    assert.equal(again.name, 'p2');
  });

  it('knows which texts end a transaction block', () => {
    const registry = new StatementRegistry('p');
    const ends = ['COMMIT', '  end', ';rollback', 'abort', "prepare transaction 'a'", 'Rollback to a'];
    const others = ['select 1', 'begin', 'committed', 'prepare a as select 1', 'explain commit', 'ended', ''];
    for (const text of ends) assert.equal(registry.acquire(definition(text)).endsTransaction, true, text);
    for (const text of others) assert.equal(registry.acquire(definition(text)).endsTransaction, false, text);
  });

  it('hands out one string for a shape that stays the same', () => {
    const text = new StatementRegistry('p').acquire(definition('select 1'));
    const shape = ['a', 'b'].join('');
    assert.equal(text.internShape(shape), 'ab');
    assert.equal(text.internShape('c'), 'c');
    assert.equal(text.internShape('ab'), 'ab');
  });
});
