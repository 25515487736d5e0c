import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OutputAssembly } from '../../src/pooler/output-assembly.ts';
import { bind, cstr, describe as describeMessage, parse, query, sync } from '../support/bytes.ts';

/** Appends a message with the name at this place replaced. */
function rename(assembly: OutputAssembly, message: Buffer, nameStart: number, length: number, name: string): void {
  assembly.appendRenamed(message, 0, message.length, message.length, nameStart, nameStart + length + 1, cstr(name));
}

describe('what is put together for one write', () => {
  it("is the client's own bytes by reference as long as they are one run", () => {
    const assembly = new OutputAssembly();
    const chunk = Buffer.concat([query('a'), sync, query('b')]);
    const first = query('a').length;
    assembly.append(chunk, 0, first);
    assembly.append(chunk, first, first + sync.length);
    const taken = assembly.take();
    assert.deepEqual(taken, Buffer.concat([query('a'), sync]));
    assert.equal(taken.buffer, chunk.buffer);
    assembly.append(chunk, 0, chunk.length);
    assert.equal(assembly.take(), chunk);
  });

  it('is a copy where something lies between, or the bytes are of two chunks', () => {
    const assembly = new OutputAssembly();
    const chunk = Buffer.concat([query('a'), sync, query('b')]);
    const at = query('a').length;
    assembly.append(chunk, 0, at);
    assembly.append(chunk, at + sync.length, chunk.length);
    assert.deepEqual(assembly.take(), Buffer.concat([query('a'), query('b')]));
    assembly.append(query('a'), 0, at);
    assembly.append(sync, 0, sync.length);
    assert.deepEqual(assembly.take(), Buffer.concat([query('a'), sync]));
  });

  it("may hold messages of pgmirror's own at any place", () => {
    const assembly = new OutputAssembly();
    const chunk = Buffer.concat([query('a'), query('b')]);
    const at = query('a').length;
    assembly.appendAll(sync);
    assembly.append(chunk, 0, at);
    assembly.appendAll(sync);
    assembly.append(chunk, at, chunk.length);
    assert.deepEqual(assembly.take(), Buffer.concat([sync, query('a'), sync, query('b')]));
  });

  it('is empty when it was taken', () => {
    const assembly = new OutputAssembly();
    assert.equal(assembly.empty, true);
    assembly.append(sync, 0, sync.length);
    assert.equal(assembly.empty, false);
    assembly.take();
    assert.equal(assembly.empty, true);
    rename(assembly, describeMessage('S', 'a'), 6, 1, 'pm_1');
    assert.equal(assembly.empty, false);
    assembly.take();
    assert.deepEqual([assembly.empty, assembly.used, assembly.take().length], [true, 0, 0]);
  });

  it('grows with what is put in', () => {
    const assembly = new OutputAssembly();
    const parts = Array.from({ length: 50 }, (_, index) => query(String(index).repeat(5_000)));
    for (const part of parts) assembly.append(part, 0, part.length);
    assert.ok(assembly.take().equals(Buffer.concat(parts)));
  });

  it('is left alone while it is still being written', () => {
    const assembly = new OutputAssembly();
    assembly.append(query('first'), 0, query('first').length);
    assembly.append(sync, 0, sync.length);
    const taken = assembly.take();
    assembly.pending(taken);
    assembly.append(query('second'), 0, query('second').length);
    assembly.append(sync, 0, sync.length);
    assert.deepEqual(taken, Buffer.concat([query('first'), sync]));
    assert.deepEqual(assembly.take(), Buffer.concat([query('second'), sync]));
  });

  it("does not give its memory away for a write of the client's own bytes", () => {
    const assembly = new OutputAssembly();
    const before = assembly.scratch;
    assembly.append(sync, 0, sync.length);
    assembly.pending(assembly.take());
    assert.equal(assembly.scratch, before);
  });
});

describe('a message with another name', () => {
  const cases: readonly (readonly [string, Buffer, number, number, Buffer])[] = [
    ['Parse', parse('a', 'select $1', 23), 5, 1, parse('pm_77', 'select $1', 23)],
    ['Parse with a longer name than it gets', parse('a'.repeat(100), 'select 1'), 5, 100, parse('pm_77', 'select 1')],
    ['Bind of a named portal', bind('a', 'a', '1', null), 7, 1, bind('a', 'pm_77', '1', null)],
    ['Bind of the unnamed portal', bind('', 'abc', 'x'), 6, 3, bind('', 'pm_77', 'x')],
    ['Describe', describeMessage('S', 'a'), 6, 1, describeMessage('S', 'pm_77')],
  ];
  for (const [what, message, nameStart, length, expected] of cases) {
    it(`is what a client would have sent that knows that name: ${what}`, () => {
      const assembly = new OutputAssembly();
      rename(assembly, message, nameStart, length, 'pm_77');
      assert.deepEqual(assembly.take(), expected);
    });
  }

  it('stands in its place among others, and can be looked at by itself', () => {
    const assembly = new OutputAssembly();
    assembly.append(sync, 0, sync.length);
    rename(assembly, describeMessage('S', 'a'), 6, 1, 'pm_1');
    assert.deepEqual(assembly.scratch.subarray(assembly.lastStart, assembly.used), describeMessage('S', 'pm_1'));
    rename(assembly, describeMessage('S', 'b'), 6, 1, 'pm_2');
    assert.deepEqual(assembly.scratch.subarray(assembly.lastStart, assembly.used), describeMessage('S', 'pm_2'));
    assembly.append(sync, 0, sync.length);
    assert.deepEqual(
      assembly.take(),
      Buffer.concat([sync, describeMessage('S', 'pm_1'), describeMessage('S', 'pm_2'), sync]),
    );
  });

  it('has the length of all of it although only its beginning is there', () => {
    const assembly = new OutputAssembly();
    const whole = bind('', 'a', 'x'.repeat(200_000));
    assembly.appendRenamed(whole, 0, 5_000, whole.length, 6, 8, cstr('pm_77'));
    assembly.append(whole, 5_000, whole.length);
    assert.ok(assembly.take().equals(bind('', 'pm_77', 'x'.repeat(200_000))));
  });

  it('that is long finds room', () => {
    const assembly = new OutputAssembly();
    assembly.append(sync, 0, sync.length);
    rename(assembly, parse('a', 'x'.repeat(100_000)), 5, 1, 'pm_1');
    assert.ok(assembly.take().equals(Buffer.concat([sync, parse('pm_1', 'x'.repeat(100_000))])));
  });
});
