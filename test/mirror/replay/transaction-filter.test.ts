import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StatementEpoch } from '../../../src/mirror/replay/declared-statements.ts';
import type { MirroredTransaction } from '../../../src/mirror/replay/mirrored-transaction.ts';
import { PreparedStatement } from '../../../src/mirror/replay/prepared-statement.ts';
import { FRESH_LOGIN, SessionSettings } from '../../../src/mirror/replay/session-settings.ts';
import { TransactionFilter } from '../../../src/mirror/replay/transaction-filter.ts';
import type { FilterOptions } from '../../../src/mirror/replay/transaction-filter.ts';
import { bind, cstr, execute, int16, int32, msg, parse, query, sync } from '../../support/bytes.ts';
import { recording } from '../recordings.ts';

const prepared = (name: string, text: string): PreparedStatement =>
  new PreparedStatement(name, Buffer.concat([cstr(text), int16(0)]));
const known = new Map(
  [prepared('get', 'SELECT $1::int'), prepared('put', 'INSERT INTO t VALUES ($1)')].map((one) => [one.name, one]),
);

/** A transaction of these requests, each of so many messages. */
function transaction(
  requests: readonly (readonly Buffer[])[],
  more: { readonly unnamed?: PreparedStatement; readonly settings?: SessionSettings } = {},
): MirroredTransaction {
  const header = { slot: 1, client: 1, settings: 0, unnamedStatement: 0, flags: 1, startedAt: 0, endedAt: 0 };
  return {
    origin: { statements: (name) => known.get(name), acknowledge: () => undefined },
    recorded: {
      ...header,
      targets: [1],
      requestCount: requests.length,
      recording: recording(...requests.map((messages) => ({ messages }))),
    },
    epoch: new StatementEpoch(),
    settings: more.settings ?? FRESH_LOGIN,
    unnamed: more.unnamed,
    treatments: undefined,
    configures: false,
    locks: false,
    twoPhase: undefined,
  };
}

const queries = (...texts: readonly string[]): MirroredTransaction => transaction(texts.map((text) => [query(text)]));
const run = (name: string): readonly Buffer[] => [bind('', name, '1'), execute('')];

function takes(options: Partial<FilterOptions>, one: MirroredTransaction): boolean {
  return new TransactionFilter({ level: 'all', query: undefined, excludeQuery: undefined, ...options }).takes(one);
}

describe('A level counts', () => {
  const writes: readonly (readonly [name: string, one: MirroredTransaction])[] = [
    ['the first statement', queries('INSERT INTO t VALUES (1)', 'SELECT 1')],
    ['one in the middle', queries('BEGIN', 'INSERT INTO t VALUES (1)', 'COMMIT')],
    ['the second of a query', queries('SELECT 1; DELETE FROM t; SELECT 2')],
    ['one that is parsed and bound', transaction([[parse('', 'DELETE FROM t'), bind('', ''), execute(''), sync]])],
    ['one that was prepared before', transaction([[...run('get'), ...run('put'), ...run('get'), sync]])],
    [
      'the unnamed one of an earlier transaction',
      transaction([[...run(''), sync]], { unnamed: prepared('', 'DELETE FROM t') }),
    ],
    ['one that nobody knows', transaction([[...run('stranger'), sync]])],
    ['a function that is called by its number', transaction([[msg('F', int32(957), int16(0), int16(0), int16(0))]])],
  ];
  for (const [name, one] of writes) {
    it(name, () => {
      assert.deepEqual([takes({ level: 'read' }, one), takes({ level: 'write' }, one)], [false, true]);
    });
  }

  it('what is run, and not what is parsed alone', () => {
    const parsed = transaction([[parse('p', 'DELETE FROM t'), parse('', 'SELECT 1'), bind('', ''), execute(''), sync]]);
    assert.ok(takes({ level: 'read' }, parsed));
    assert.ok(takes({ level: 'read' }, transaction([[...run('get'), sync], [query('SELECT 1')]])));
  });

  it('a backslash in a prepared statement where it could escape a quote', () => {
    const settings = new SessionSettings(new Map([['standard_conforming_strings', 'off']]));
    const hidden = parse('', `SELECT 'a\\'', nextval($$s$$) -- '`);
    const requests = [[hidden, bind('', ''), execute(''), sync]];
    assert.ok(takes({ level: 'read' }, transaction(requests)));
    assert.ok(!takes({ level: 'read' }, transaction(requests, { settings })));
  });
});

describe('Of the patterns', () => {
  it('`query` has to be in one text, whichever', () => {
    const options = { query: 'item' };
    assert.ok(takes(options, queries('BEGIN', 'TABLE item', 'COMMIT')));
    assert.ok(!takes(options, queries('BEGIN', 'COMMIT')));
    assert.ok(takes({ query: 'INSERT' }, transaction([[...run('put'), sync], [query('SELECT 1')]])));
  });

  it('`exclude_query` must be in none', () => {
    const options = { excludeQuery: 'secret' };
    assert.ok(!takes(options, queries('SELECT secret', 'SELECT 1')));
    assert.ok(!takes(options, transaction([[parse('', 'SELECT secret'), bind('', ''), execute(''), sync]])));
    assert.ok(takes(options, queries('SELECT 1')));
    assert.ok(!takes({ query: 'SELECT', ...options }, queries('SELECT secret')));
  });

  it('`exclude_query` counts as found where a text is too long to be searched whole, and `query` does not', () => {
    const long = queries(`SELECT '${'x'.repeat(300_000)}'`);
    assert.ok(!takes({ excludeQuery: 'secret' }, long));
    assert.ok(!takes({ query: 'secret' }, long));
  });

  it('letters beyond ASCII are letters, and not their bytes', () => {
    const text = queries(Buffer.from('SELECT * FROM größe').toString());
    assert.ok(takes({ query: 'gr.{2}e' }, text));
    assert.ok(!takes({ excludeQuery: '(?i)GRÖSSE|GRÖßE' }, text));
  });

  it('none is asked about what ends a prepared transaction: that has the fate of the first half', () => {
    const ends = { ...queries("COMMIT PREPARED 'secret'"), twoPhase: { ends: true, gid: 'secret' } };
    const begins = { ...queries("PREPARE TRANSACTION 'secret'"), twoPhase: { ends: false, gid: 'secret' } };
    assert.ok(takes({ query: 'item' }, ends));
    assert.ok(takes({ excludeQuery: 'secret', level: 'write' }, ends));
    assert.ok(!takes({ level: 'read' }, ends));
    assert.ok(!takes({ query: 'item' }, begins));
    assert.ok(!takes({ excludeQuery: 'secret' }, begins));
  });

  it('and level all have to agree', () => {
    const options = { level: 'write', query: 'item', excludeQuery: 'secret' } as const;
    const verdicts = ['TABLE item', 'DELETE FROM item', 'DELETE FROM other', 'DELETE FROM item WHERE secret'].map(
      (text) => takes(options, queries(text)),
    );
    assert.deepEqual(verdicts, [false, true, false, false]);
  });
});
