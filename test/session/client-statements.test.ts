import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytesOf, ClientStatements } from '../../src/session/client-statements.ts';
import type { ClientStatement } from '../../src/session/client-statements.ts';
import { StatementRegistry } from '../../src/session/statement-names.ts';
import { cstr, int16 } from '../support/bytes.ts';

/** What follows the name in a Parse message without parameter types. */
function definition(text: string): Buffer {
  return Buffer.concat([cstr(text), int16(0)]);
}

/** A client's statements with a registry of their own, by which a test sees what is still referred to. */
class Bench {
  readonly registry = new StatementRegistry('pg_');
  readonly statements = new ClientStatements(this.registry);

  /** Parses in a segment; the server has not confirmed it. */
  parsing(name: string, text: string, segment: number): ClientStatement {
    return this.statements.parsing(name, definition(text), segment);
  }

  /** Parses, and the server confirms. */
  parsed(name: string, text: string, segment = 0): ClientStatement {
    const statement = this.parsing(name, text, segment);
    this.statements.parsed(statement);
    return statement;
  }

  find(name: string): ClientStatement | undefined {
    const bytes = Buffer.from(`before${name}behind`, 'latin1');
    return this.statements.find(bytes, 6, 6 + Buffer.from(name, 'latin1').length);
  }

  /** Nothing is held any more. */
  assertEmpty(): void {
    assert.deepEqual([this.statements.size, this.statements.bytes, this.registry.size], [0, 0, 0]);
  }
}

describe('the prepared statements of a client', () => {
  it('are found under their names, by the bytes of a message', () => {
    const bench = new Bench();
    const one = bench.parsed('one', 'select 1');
    const two = bench.parsed('two', 'select 2');
    assert.equal(bench.find('one'), one);
    assert.equal(bench.find('two'), two);
    assert.equal(bench.find('one'), one);
    assert.equal(bench.find('one'), one);
    for (const other of ['on', 'onee', 'One', '', 'twp']) assert.equal(bench.find(other), undefined, other);
  });

  it('may have names of any bytes but zero', () => {
    const bench = new Bench();
    const name = Buffer.from('größe€').toString('latin1');
    const statement = bench.parsed(name, 'select 1');
    assert.equal(bench.find(name), statement);
    assert.deepEqual(statement.keyBytes, Buffer.from('größe€'));
  });

  it('share a text that is the same, and count for each', () => {
    const bench = new Bench();
    const one = bench.parsed('one', 'select 1');
    const two = bench.parsed('two', 'select 1');
    assert.equal(one.text, two.text);
    assert.deepEqual([bench.registry.size, bench.statements.bytes], [1, 2 * bytesOf(definition('select 1').length)]);
  });

  it('are pending until ParseComplete', () => {
    const bench = new Bench();
    const statement = bench.parsing('one', 'select 1', 3);
    assert.deepEqual([statement.ready, statement.segment, statement.closing], [false, 3, false]);
    assert.equal(bench.find('one'), statement);
    bench.statements.parsed(statement);
    assert.ok(statement.ready);
  });

  it('are there until CloseComplete', () => {
    const bench = new Bench();
    const statement = bench.parsed('one', 'select 1');
    bench.statements.closing(statement, 5);
    assert.deepEqual([statement.closing, statement.segment], [true, 5]);
    assert.equal(bench.find('one'), statement);
    bench.statements.closed(statement);
    assert.equal(bench.find('one'), undefined);
    bench.assertEmpty();
  });

  it('are as before where a Close was refused', () => {
    const bench = new Bench();
    const statement = bench.parsed('one', 'select 1');
    bench.statements.closing(statement, 5);
    bench.statements.notClosed(statement);
    bench.statements.segmentFailed(5);
    assert.deepEqual([bench.find('one'), statement.closing], [statement, false]);
    bench.statements.dispose();
    bench.assertEmpty();
  });

  it('are all gone when the client is', () => {
    const bench = new Bench();
    bench.parsed('one', 'select 1');
    bench.parsing('two', 'select 2', 1);
    bench.statements.dispose();
    bench.assertEmpty();
    assert.equal(bench.find('one'), undefined);
  });
});

describe('an error in a segment', () => {
  it('undoes what was parsed in it and not confirmed', () => {
    const bench = new Bench();
    const kept = bench.parsed('kept', 'select 0', 1);
    bench.parsing('one', 'select 1', 1);
    bench.parsing('two', 'select 2', 1);
    bench.statements.segmentFailed(1);
    assert.deepEqual([bench.find('one'), bench.find('two'), bench.find('kept')], [undefined, undefined, kept]);
    assert.equal(bench.statements.bytes, bytesOf(definition('select 0').length));
  });

  it('keeps what was confirmed before it: statements are not transactional', () => {
    const bench = new Bench();
    const statement = bench.parsed('one', 'select 1', 1);
    bench.statements.segmentFailed(1);
    assert.equal(bench.find('one'), statement);
  });

  it('does not touch what was sent in another segment', () => {
    const bench = new Bench();
    const later = bench.parsing('later', 'select 1', 2);
    bench.statements.segmentFailed(1);
    assert.equal(bench.find('later'), later);
    bench.statements.segmentFailed(2);
    bench.assertEmpty();
  });

  it('leaves a statement whose Close was skipped as it was', () => {
    const bench = new Bench();
    const statement = bench.parsed('one', 'select 1', 1);
    bench.statements.closing(statement, 2);
    bench.statements.segmentFailed(2);
    assert.deepEqual([statement.closing, bench.find('one')], [false, statement]);
    bench.statements.closing(statement, 3);
    bench.statements.closed(statement);
    bench.assertEmpty();
  });

  it('brings back what a name meant when Close and Parse behind it were both skipped', () => {
    const bench = new Bench();
    const old = bench.parsed('one', 'select 1', 1);
    bench.statements.closing(old, 2);
    bench.parsing('one', 'select 2', 2);
    bench.statements.segmentFailed(2);
    assert.equal(bench.find('one'), old);
    assert.deepEqual([old.closing, bench.statements.bytes], [false, bytesOf(definition('select 1').length)]);
    bench.statements.dispose();
    bench.assertEmpty();
  });

  it('brings nothing back when the Close was confirmed and the Parse behind it was skipped', () => {
    const bench = new Bench();
    const old = bench.parsed('one', 'select 1', 1);
    bench.statements.closing(old, 2);
    bench.parsing('one', 'select 2', 2);
    bench.statements.closed(old);
    assert.notEqual(bench.find('one'), undefined);
    bench.statements.segmentFailed(2);
    assert.equal(bench.find('one'), undefined);
    bench.assertEmpty();
  });

  it('undoes Parse, Close and Parse of one name in the segment, all of them skipped', () => {
    const bench = new Bench();
    const first = bench.parsing('one', 'select 1', 1);
    bench.statements.closing(first, 1);
    bench.parsing('one', 'select 2', 1);
    bench.statements.segmentFailed(1);
    assert.equal(bench.find('one'), undefined);
    bench.assertEmpty();
  });

  it('undoes a Close that was skipped of a statement parsed in the same segment', () => {
    const bench = new Bench();
    const statement = bench.parsing('one', 'select 1', 1);
    bench.statements.closing(statement, 1);
    bench.statements.parsed(statement);
    bench.statements.segmentFailed(1);
    assert.deepEqual([bench.find('one'), statement.closing], [statement, false]);
    bench.statements.dispose();
    bench.assertEmpty();
  });
});

describe('DEALLOCATE ALL', () => {
  it('forgets what was confirmed before it and keeps what is still to be parsed', () => {
    const bench = new Bench();
    bench.parsed('one', 'select 1');
    bench.parsed('two', 'select 2');
    const pending = bench.parsing('three', 'select 3', 1);
    bench.statements.clear();
    assert.deepEqual([bench.find('one'), bench.find('two'), bench.find('three')], [undefined, undefined, pending]);
    assert.equal(bench.registry.size, 1);
    bench.statements.dispose();
    bench.assertEmpty();
  });

  it('is not undone by the failure of a Close or Parse sent before it', () => {
    const bench = new Bench();
    const old = bench.parsed('one', 'select 1', 1);
    bench.statements.clear();
    bench.parsing('one', 'select 2', 2);
    bench.statements.segmentFailed(2);
    assert.equal(bench.find('one'), undefined);
    assert.equal(old.text.references, 0);
    bench.assertEmpty();
  });

  it('forgets a statement whose Close is under way once', () => {
    const bench = new Bench();
    const statement = bench.parsed('one', 'select 1', 1);
    bench.statements.closing(statement, 2);
    bench.statements.clear();
    bench.statements.closed(statement);
    assert.deepEqual([bench.statements.bytes, statement.text.references], [0, 0]);
    bench.assertEmpty();
  });
});
