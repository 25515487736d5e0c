import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConnectionStatements } from '../../../src/mirror/replay/connection-statements.ts';
import { Definitions } from '../../../src/mirror/replay/definitions.ts';
import { PreparedStatement } from '../../../src/mirror/replay/prepared-statement.ts';
import { RequestCursor } from '../../../src/mirror/replay/request-cursor.ts';
import {
  bind,
  close,
  cstr,
  describe as describeMessage,
  execute,
  int16,
  parse,
  query,
  splitMessages,
  sync,
} from '../../support/bytes.ts';
import { recording } from '../recordings.ts';

const known = new Map(
  ['', 'a', 'b', 'c'].map((name) => [
    name,
    new PreparedStatement(name, Buffer.concat([cstr(`SELECT '${name}'`), int16(0)])),
  ]),
);

/** What goes ahead of a request with these messages: types and names. */
function ahead(statements: ConnectionStatements, ...messages: readonly Buffer[]): string {
  const cursor = new RequestCursor();
  cursor.reset(recording({ messages }));
  cursor.next();
  return namesOf(statements.ahead(cursor, (name) => known.get(name)));
}

function namesOf(sent: readonly Buffer[]): string {
  return splitMessages(Buffer.concat(sent))
    .messages.map(({ type, body }) => type + body.toString('latin1', type === 'C' ? 1 : 0, body.indexOf(0)))
    .join(' ');
}

/** The same for what goes before a simple query. */
function before(statements: ConnectionStatements, text: string): string {
  const cursor = new RequestCursor();
  cursor.reset(recording({ messages: [query(text)] }));
  cursor.next();
  return namesOf(statements.simpleQuery(cursor, (name) => known.get(name)));
}

function use(statements: ConnectionStatements, name: string): string {
  const sent = ahead(statements, bind('', name), execute(''), sync);
  statements.answered();
  return sent;
}

describe('the statements of a mirror connection', () => {
  it('are parsed where they are missing, once', () => {
    const statements = new ConnectionStatements(10);
    assert.equal(use(statements, 'a'), 'Pa');
    assert.equal(use(statements, 'a'), '');
    assert.equal(ahead(statements, describeMessage('S', 'b'), sync), 'Pb');
  });

  it('are left alone where nobody declared them', () => {
    assert.equal(use(new ConnectionStatements(10), 'nobody'), '');
  });

  it('are closed before the client parses them itself, unless it closes them first', () => {
    const statements = new ConnectionStatements(10);
    use(statements, 'a');
    assert.equal(ahead(statements, parse('a', 'SELECT 2'), sync), 'Ca');
    statements.answered();
    assert.equal(ahead(statements, close('S', 'a'), parse('a', 'SELECT 2'), bind('', 'a'), sync), '');
    statements.answered();
    // What is there now is another one than was declared.
    assert.equal(use(statements, 'a'), 'Ca Pa');
  });

  it('are known again that a client parsed itself, once they are declared', () => {
    const statements = new ConnectionStatements(10);
    assert.equal(ahead(statements, parse('a', `SELECT 'a'`), sync), '');
    statements.answered();
    assert.equal(use(statements, 'a'), '');
    ahead(statements, parse('d', 'SELECT 1'), sync);
    statements.answered();
    known.set('d', new PreparedStatement('d', Buffer.concat([cstr('SELECT 1'), int16(0)])));
    assert.equal(use(statements, 'd'), '');
    assert.equal(use(statements, 'd'), '');
  });

  it('are closed and parsed again after a request that touched them failed', () => {
    const statements = new ConnectionStatements(10);
    ahead(statements, bind('', 'a'), sync);
    statements.failed();
    statements.answered();
    assert.equal(use(statements, 'a'), 'Ca Pa');
  });

  it('are forgotten, or doubted, after DEALLOCATE', () => {
    const statements = new ConnectionStatements(10);
    use(statements, 'a');
    statements.deallocated();
    assert.equal(use(statements, 'a'), 'Ca Pa');
    statements.forgetAll();
    assert.equal(use(statements, 'a'), 'Pa');
  });

  it('are closed before they are parsed again where DEALLOCATE ALL stood before their Parse in one request', () => {
    const statements = new ConnectionStatements(10);
    const all = [parse('', 'DEALLOCATE ALL'), bind('', ''), execute('')];
    assert.equal(ahead(statements, ...all, parse('a', `SELECT 'a'`), bind('', 'a'), execute(''), sync), '');
    statements.forgetAll();
    statements.answered();
    assert.equal(use(statements, 'a'), 'Ca Pa');
    assert.equal(use(statements, 'a'), '');
  });

  it('are there for a DEALLOCATE, and gone behind it, the others untouched', () => {
    const statements = new ConnectionStatements(10);
    use(statements, 'b');
    for (const deallocate of [
      () => before(statements, 'DEALLOCATE "a"'),
      () => ahead(statements, parse('', 'DEALLOCATE "a"'), bind('', ''), execute(''), sync),
    ]) {
      assert.equal(deallocate(), 'Pa');
      statements.deallocated();
      statements.answered();
      assert.equal(use(statements, 'b'), '');
      assert.equal(use(statements, 'a'), 'Pa');
      assert.equal(deallocate(), '');
      statements.deallocated();
      statements.answered();
    }
    assert.equal(before(statements, 'DEALLOCATE unknown'), '');
    assert.equal(before(statements, 'SELECT 1'), '');
    assert.equal(use(statements, 'a'), 'Pa');
  });

  it('are closed when there are too many, the least recently used first', () => {
    const statements = new ConnectionStatements(2);
    use(statements, 'a');
    use(statements, 'b');
    use(statements, 'a');
    assert.equal(use(statements, 'c'), 'Cb Pc');
    assert.equal(use(statements, 'a'), '');
    assert.equal(statements.size, 2);
  });

  it('all stay that one request needs', () => {
    const statements = new ConnectionStatements(1);
    assert.equal(ahead(statements, bind('', 'a'), bind('', 'b'), sync), 'Pa Pb');
  });

  it('the unnamed one is parsed before its first use in a transaction', () => {
    const statements = new ConnectionStatements(10);
    statements.begin(known.get(''));
    assert.equal(use(statements, ''), 'P');
    assert.equal(use(statements, ''), '');
    statements.begin(known.get(''));
    assert.equal(ahead(statements, parse('', 'SELECT 2'), bind('', ''), sync), '');
    statements.begin(known.get(''));
    assert.equal(ahead(statements, query('SELECT 1')), '');
    assert.equal(use(statements, ''), '', 'a simple query destroyed it on the source');
    statements.begin(undefined);
    assert.equal(use(statements, ''), '');
  });

  it('the unnamed one outlives DEALLOCATE ALL, which another connection has yet to be given it for', () => {
    const statements = new ConnectionStatements(10);
    statements.begin(known.get(''));
    use(statements, 'a');
    statements.forgetAll();
    assert.equal(use(statements, ''), 'P');
    statements.forgetAll();
    assert.equal(use(statements, ''), '');
  });

  it('are parsed anew when definitions have changed, but not for what the source refused', () => {
    const definitions = new Definitions();
    const statements = new ConnectionStatements(10, definitions);
    assert.equal(use(statements, 'a'), 'Pa');
    definitions.version++;
    const cursor = new RequestCursor();
    const messages = [bind('', 'a'), execute(''), sync];
    cursor.reset(recording({ messages, sqlstate: '0A000' }));
    cursor.next();
    assert.equal(namesOf(statements.ahead(cursor, (name) => known.get(name))), '');
    statements.answered();
    assert.equal(use(statements, 'a'), 'Ca Pa');
    assert.equal(use(statements, 'a'), '');
  });

  it('are prepared for each schema of their own where their shape is not always the same', () => {
    const statements = new ConnectionStatements(10);
    const useIn = (namespace: string): string => {
      statements.begin(undefined, namespace);
      return use(statements, 'c');
    };
    assert.equal(useIn('one'), 'Pc');
    const cursor = new RequestCursor();
    cursor.reset(recording({ messages: [bind('', 'c'), execute(''), sync] }));
    cursor.next();
    statements.begin(undefined, 'two');
    assert.equal(namesOf(statements.ahead(cursor, (name) => known.get(name))), '');
    statements.unsupported(cursor, (name) => known.get(name));
    assert.deepEqual(['two', 'two', 'one'].map(useIn), ['Cc Pc', '', 'Cc Pc']);
  });
});
