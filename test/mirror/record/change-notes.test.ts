import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Change, ChangeNotes } from '../../../src/mirror/record/change-notes.ts';
import { commandComplete } from '../../../src/protocol/backend-messages.ts';
import { query } from '../../../src/protocol/frontend-messages.ts';
import { PreparedText } from '../../../src/session/statement-names.ts';

function watched(): ChangeNotes {
  const notes = new ChangeNotes();
  notes.begin(true);
  return notes;
}

/** What a transaction of one query with this tag may have changed. */
function changeBy(text: string | undefined, tag: string): number {
  const notes = watched();
  if (text === undefined) notes.unread();
  else {
    const message = Buffer.from(query(text));
    notes.message(message, 0, message.length);
  }
  const complete = Buffer.from(commandComplete(tag));
  notes.tag(complete, 0, complete.length);
  return notes.change;
}

describe('ChangeNotes', () => {
  it('knows by the tag what changes rows and what changes definitions', () => {
    for (const tag of [
      'INSERT 0 1',
      'UPDATE 5',
      'DELETE 0',
      'MERGE 1',
      'COPY 3',
      'TRUNCATE TABLE',
      'COMMIT PREPARED',
    ]) {
      assert.equal(changeBy(undefined, tag), Change.Rows, tag);
    }
    for (const tag of [
      'CREATE TABLE',
      'ALTER TABLE',
      'DROP INDEX',
      'DO',
      'CALL',
      'GRANT',
      'REFRESH MATERIALIZED VIEW',
    ]) {
      assert.equal(changeBy(undefined, tag), Change.Definitions, tag);
    }
    for (const tag of ['BEGIN', 'COMMIT', 'ROLLBACK', 'SET', 'SHOW', 'SAVEPOINT', 'DISCARD ALL', 'START TRANSACTION']) {
      assert.equal(changeBy(undefined, tag), Change.Nothing, tag);
    }
  });

  it('looks into the text of what answers rows', () => {
    const reads = [
      'SELECT 1',
      'SELECT count(*), max(a) FROM t WHERE b IN (1, 2) AND c = ANY ($1)',
      'SELECT now(), coalesce(a, 0)::numeric(10, 2) FROM t JOIN u USING (id)',
    ];
    for (const text of reads) assert.equal(changeBy(text, 'SELECT 1'), Change.Nothing, text);
    const writes = [
      'WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x',
      "SELECT nextval('s')",
      'SELECT * INTO u FROM t',
      'SELECT new_order(5)',
      'SELECT "NewOrder" (5)',
      'EXPLAIN ANALYZE UPDATE t SET a = 1',
    ];
    for (const text of writes) assert.equal(changeBy(text, 'SELECT 1'), Change.Rows, text);
  });

  it('takes what nobody read, what is too long, and what is unknown for a change of rows', () => {
    assert.equal(changeBy(undefined, 'SELECT 1'), Change.Rows);
    assert.equal(changeBy(`SELECT ${'1, '.repeat(10_000)} 1`, 'SELECT 1'), Change.Rows);
    const notes = watched();
    notes.unknown();
    assert.equal(notes.change, Change.Rows);
  });

  it('knows of what was rolled back that sequences may have gone on, unless it cannot be undone', () => {
    const undone = (text: string, ...tags: readonly string[]): number => {
      const notes = watched();
      const message = Buffer.from(query(text));
      notes.message(message, 0, message.length);
      for (const tag of tags) {
        const complete = Buffer.from(commandComplete(tag));
        notes.tag(complete, 0, complete.length);
      }
      notes.ended(false);
      return notes.change;
    };
    for (const text of ['SELECT a FROM t', 'COMMIT']) assert.equal(undone(text), Change.Nothing, text);
    for (const text of ['INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING', 'SELECT new_order(5)'])
      assert.equal(undone(text), Change.Numbers, text);
    assert.equal(undone('SELECT 1', 'INSERT 0 1', 'CREATE TABLE', 'ROLLBACK'), Change.Numbers);
    for (const text of ['CALL p()', 'DO $$ BEGIN COMMIT; END $$', 'CREATE INDEX CONCURRENTLY i ON t (a)'])
      assert.equal(undone(text), Change.Rows, text);
    assert.equal(undone('SELECT 1', 'INSERT 0 1', 'COMMIT', 'CREATE TABLE', 'ROLLBACK'), Change.Rows);
    assert.equal(undone('SELECT 1', 'CREATE TABLE', 'PREPARE TRANSACTION', 'INSERT 0 1'), Change.Definitions);
  });

  it('looks at a prepared statement when it is run, and begins anew with each transaction', () => {
    const notes = watched();
    const definition = (text: string): Buffer => Buffer.from(`${text}\0\0\0`);
    notes.statement(new PreparedText(1, 'one', definition('SELECT a FROM t WHERE id = $1')));
    assert.equal(notes.change, Change.Nothing);
    notes.statement(new PreparedText(2, 'two', definition('UPDATE t SET a = $1')));
    assert.equal(notes.change, Change.Rows);
    notes.begin(true);
    assert.equal(notes.change, Change.Nothing);
  });
});
