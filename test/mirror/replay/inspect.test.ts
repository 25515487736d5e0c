import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DropReason, RequestFlag, TransactionFlag } from '../../../src/mirror/record/record-stream.ts';
import { changesSession, inspect } from '../../../src/mirror/replay/inspect.ts';
import type { Inspection } from '../../../src/mirror/replay/inspect.ts';
import { PreparedStatement } from '../../../src/mirror/replay/prepared-statement.ts';
import { FRESH_LOGIN } from '../../../src/mirror/replay/session-settings.ts';
import { bind, cstr, execute, int16, int32, msg, parse, query, sync } from '../../support/bytes.ts';
import { recording } from '../recordings.ts';
import type { RequestSketch } from '../recordings.ts';

const statements = new Map<string, PreparedStatement>();
function prepared(name: string, text: string): PreparedStatement {
  const statement = new PreparedStatement(name, Buffer.concat([cstr(text), int16(0)]));
  statements.set(name, statement);
  return statement;
}
prepared('commit', 'COMMIT');
prepared('kill', 'SELECT pg_terminate_backend($1)');
prepared('listen', 'LISTEN a');

function recorded(requests: readonly RequestSketch[]): Parameters<typeof inspect>[0] {
  const header = { slot: 1, client: 1, settings: 0, unnamedStatement: 0, flags: 0, startedAt: 0, endedAt: 0 };
  return { ...header, targets: [1], requestCount: requests.length, recording: recording(...requests) };
}

function look(requests: readonly RequestSketch[], unnamed?: PreparedStatement): Inspection {
  return inspect(recorded(requests), FRESH_LOGIN, unnamed, (name) => statements.get(name));
}

const simple = (text: string, statuses = 'II', sqlstate = '', flags = 0): RequestSketch => ({
  messages: [query(text)],
  statuses,
  sqlstate,
  flags,
});
const rolledBack = RequestFlag.RollbackTag;

function treatments(...requests: readonly RequestSketch[]): unknown[] {
  const inspection = look(requests);
  if (inspection.reason !== 0) return [inspection.reason === DropReason.Unsafe ? 'unsafe' : 'denied'];
  return requests.map((_, index) => inspection.treatments?.get(index)?.kind ?? 'send');
}

describe('outcome forcing', () => {
  const cases: readonly [name: string, expected: readonly string[], requests: readonly RequestSketch[]][] = [
    ['nothing to force', ['send'], [simple('SELECT 1')]],
    ['an autocommit request that failed', ['wrap'], [simple('SELECT 1/0', 'II', '22012')]],
    ['25P01', ['send'], [simple('SAVEPOINT a', 'II', '25P01')]],
    ['25P02', ['send', 'omit'], [simple('SELECT 1/0', 'TE', '22012'), simple('SELECT 1', 'EE', '25P02')]],
    ['a COMMIT of a failed block', ['rollback'], [simple('commit', 'EI', '', rolledBack)]],
    ['an END of a failed block', ['rollback'], [simple('/* x */ END;', 'EI', '', rolledBack)]],
    ['a ROLLBACK of a failed block', ['send'], [simple('ROLLBACK', 'EI', '', rolledBack)]],
    ['a ROLLBACK of a block', ['send'], [simple('ROLLBACK; BEGIN; COMMIT', 'TI', '', rolledBack)]],
    ['a ROLLBACK TO that failed', ['send'], [simple('ROLLBACK TO a', 'EE', '3B001')]],
    ['a COMMIT that failed', ['rollback'], [simple('COMMIT', 'TI', '23503')]],
    ['PREPARE TRANSACTION that failed', ['rollback'], [simple(`PREPARE TRANSACTION 'x'`, 'TI', '55000')]],
    ['a COMMIT behind others that failed', ['cut'], [simple('SELECT 1; COMMIT', 'TI', '23503')]],
    ['a COMMIT behind what failed', ['cut'], [simple('SELECT 1/0; COMMIT', 'TE', '22012')]],
    [
      'a COMMIT of a failed block before others',
      ['unsafe'],
      [simple('COMMIT; INSERT INTO t VALUES (1)', 'EI', '', rolledBack)],
    ],
    ['a COMMIT before what failed', ['unsafe'], [simple('COMMIT; SELECT 1/0', 'TI', '22012')]],
    ['a SAVEPOINT besides the COMMIT', ['unsafe'], [simple('SAVEPOINT a; COMMIT', 'TI', '23503')]],
    ['a whole block that failed', ['unsafe'], [simple('BEGIN; SELECT 1/0; COMMIT', 'IE', '22012')]],
    [
      'a ROLLBACK before what failed',
      ['unsafe'],
      [simple('ROLLBACK; INSERT INTO t VALUES (1); SELECT 1/0', 'TI', '22012')],
    ],
    [
      'a ROLLBACK between what failed and others',
      ['unsafe'],
      [simple('BEGIN; SELECT 1/0; ROLLBACK; INSERT INTO t VALUES (1)', 'IE', '22012')],
    ],
    ['a ROLLBACK behind what failed', ['cut'], [simple('SELECT 1/0; ROLLBACK', 'TE', '22012')]],
    [
      'a block and its ROLLBACK, of which something failed',
      ['cut'],
      [simple('BEGIN; SELECT 1/0; ABORT', 'IE', '22012')],
    ],
    [
      'a COMMIT before a Parse that failed',
      ['send'],
      [
        {
          messages: [bind('', 'commit'), execute(''), parse('', 'SELECT'), sync],
          statuses: 'TI',
          sqlstate: '42601',
          flags: RequestFlag.CommitTag,
        },
      ],
    ],
    [
      'a COMMIT PREPARED before a Parse that failed',
      ['send'],
      [
        {
          messages: [parse('', `COMMIT PREPARED 'x'`), bind('', ''), execute(''), parse('', 'SELECT FROM'), sync],
          statuses: 'II',
          sqlstate: '42601',
          flags: RequestFlag.CommitTag,
        },
      ],
    ],
    [
      'a SAVEPOINT behind a COPY that failed',
      ['unsafe'],
      [{ messages: [query('COPY t FROM STDIN; SAVEPOINT a'), msg('c')], statuses: 'TE', sqlstate: '23505' }],
    ],
    ['a SAVEPOINT before what failed', ['send'], [simple('BEGIN; SAVEPOINT a; SELECT 1/0', 'IE', '22012')]],
    ['a SAVEPOINT behind what failed', ['unsafe'], [simple('SELECT 1/0; SAVEPOINT a', 'TE', '22012')]],
    ['a RELEASE behind what failed', ['unsafe'], [simple('SELECT 1/0; RELEASE a', 'TE', '22012')]],
    [
      'a pipeline that needs a block',
      ['wrap'],
      [
        {
          messages: ['INSERT INTO t VALUES (1)', 'LOCK TABLE t']
            .flatMap((text) => [parse('', text), bind('', ''), execute('')])
            .concat(sync),
          statuses: 'II',
          sqlstate: '25P01',
        },
      ],
    ],
    ['BEGIN with what failed', ['send'], [simple('BEGIN; SELECT 1/0', 'IE', '22012')]],
    ['CALL that failed', ['unsafe'], [simple('CALL p()', 'II', '22012')]],
    ['DO that failed', ['unsafe'], [simple('DO $$ $$', 'II', '22012')]],
    [
      'DO that failed, before what is denied',
      ['unsafe'],
      [simple('BEGIN', 'IT'), simple('COMMIT; CALL p()', 'TI', '22012'), simple('NOTIFY a; SELECT 1')],
    ],
    ['CALL that failed for want of a block', ['unsafe'], [simple('CALL p()', 'II', '25P01')]],
    ['DO that failed in a block', ['send'], [simple('DO $$ $$', 'TE', '22012')]],
    [
      'CREATE INDEX CONCURRENTLY that failed',
      ['unsafe'],
      [simple('CREATE INDEX CONCURRENTLY i ON t (a)', 'II', '23505')],
    ],
    ['COMMIT PREPARED that failed', ['unsafe'], [simple(`COMMIT PREPARED 'x'`, 'II', '42704')]],
    [
      'a prepared COMMIT that failed',
      ['rollback'],
      [{ messages: [bind('', 'commit'), execute(''), sync], statuses: 'TI', sqlstate: '23503' }],
    ],
    [
      'a COMMIT that the source skipped',
      ['send'],
      [
        {
          messages: [parse('', 'SELECT 1/0'), bind('', ''), execute(''), bind('', 'commit'), execute(''), sync],
          statuses: 'TE',
          sqlstate: '22012',
          skipFrom: parse('', 'SELECT 1/0').length + bind('', '').length + execute('').length,
          skipTo:
            parse('', 'SELECT 1/0').length + bind('', '').length + 2 * execute('').length + bind('', 'commit').length,
        },
      ],
    ],
    [
      'a COMMIT in a pipeline that failed',
      ['cut'],
      [
        {
          messages: [parse('', 'SELECT 1'), bind('', ''), execute(''), bind('p', 'commit'), execute('p'), sync],
          statuses: 'TI',
          sqlstate: '23503',
        },
      ],
    ],
  ];
  for (const [name, expected, requests] of cases) {
    it(name, () => assert.deepEqual(treatments(...requests), expected));
  }

  it('keeps AND CHAIN where the block went on', () => {
    const { treatments: kept } = look([simple('COMMIT AND CHAIN', 'ET', '', rolledBack)]);
    assert.deepEqual(kept?.get(0), { kind: 'rollback', chain: true });
  });

  it('knows a COMMIT by the unnamed statement of an earlier transaction', () => {
    const requests = [{ messages: [bind('', ''), execute(''), sync], statuses: 'TI', sqlstate: '23503' }];
    assert.equal(look(requests, statements.get('commit')).treatments?.get(0)?.kind, 'rollback');
    assert.equal(look(requests).treatments, undefined);
  });
});

describe('what is never mirrored', () => {
  const extended = (...names: readonly string[]): RequestSketch => ({
    messages: [...names.flatMap((name) => [bind('', name), execute('')]), sync],
  });
  const cases: readonly [name: string, expected: readonly string[], requests: readonly RequestSketch[]][] = [
    ['LISTEN alone', ['denied'], [simple('LISTEN a')]],
    [
      'LISTEN in a block',
      ['send', 'omit', 'send'],
      [simple('BEGIN', 'IT'), simple('LISTEN a', 'TT'), simple('COMMIT', 'TI')],
    ],
    [
      'a prepared LISTEN',
      ['send', 'omit', 'send'],
      [simple('BEGIN', 'IT'), extended('listen'), simple('COMMIT', 'TI')],
    ],
    ['a prepared LISTEN among others', ['denied'], [extended('listen', 'commit')]],
    ['a prepared function that is denied', ['denied'], [extended('kill')]],
    ['a Parse that is not used', ['send'], [{ messages: [parse('', 'ALTER SYSTEM SET a = 1'), sync] }]],
    [
      'a FunctionCall of pg_terminate_backend',
      ['denied'],
      [{ messages: [msg('F', int32(2096), int16(0), int16(0), int16(0))] }],
    ],
    ['a FunctionCall of pg_notify', ['denied'], [{ messages: [msg('F', int32(3036), int16(0), int16(0), int16(0))] }]],
    [
      'a FunctionCall of pg_notify in a block',
      ['send', 'omit', 'send'],
      [
        simple('BEGIN', 'IT'),
        { messages: [msg('F', int32(3036), int16(0), int16(0), int16(0))], statuses: 'TT' },
        simple('COMMIT', 'TI'),
      ],
    ],
    ['a FunctionCall of loread', ['send'], [{ messages: [msg('F', int32(954), int16(0), int16(0), int16(0))] }]],
  ];
  for (const [name, expected, requests] of cases) {
    it(name, () => assert.deepEqual(treatments(...requests), expected));
  }
});

it('tells a SET that outlives its transaction from one that does not', () => {
  const changes = (text: string): boolean =>
    changesSession(recorded([simple(text)]), FRESH_LOGIN, undefined, () => undefined);
  assert.deepEqual(
    ['SET a = 1', 'SELECT 1; RESET a', 'SET LOCAL a = 1', 'SET TRANSACTION READ ONLY', 'SET SESSION a = 1'].map(
      changes,
    ),
    [true, true, false, false, true],
  );
});

describe('a statement that nobody knows', () => {
  const lost = [{ messages: [bind('', 'stranger'), execute(''), sync] }];

  it('is not run: another client’s may have that name', () => {
    assert.equal(look(lost).reason, DropReason.SessionLost);
    assert.equal(look([{ messages: [bind('', ''), execute(''), sync] }]).reason, DropReason.SessionLost);
  });

  it('is run where it failed, or may have been made by SQL', () => {
    assert.equal(look([{ ...lost[0]!, sqlstate: '26000' }]).reason, 0);
    assert.equal(look([simple('PREPARE stranger AS SELECT 1', 'II'), ...lost]).reason, 0);
    const inItsSession = { ...recorded(lost), flags: TransactionFlag.NeedsSession };
    assert.equal(inspect(inItsSession, FRESH_LOGIN, undefined, () => undefined).reason, 0);
  });
});
