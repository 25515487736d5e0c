import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StateWatch } from '../../src/session/state-watch.ts';
import { Touch, doTouches, statementNamesIn, touchesOf } from '../../src/session/state-touches.ts';

const nothingReported = (): boolean => false;

/** A watch to which statements were sent that may touch the session. */
function watching(...texts: readonly string[]): StateWatch {
  const watch = new StateWatch();
  for (const text of texts) {
    const bytes = Buffer.from(`${text}\0`);
    watch.sent(touchesOf(bytes, 0, bytes.length), { text });
  }
  return watch;
}

describe('what a statement may touch', () => {
  const cases: readonly (readonly [string, number])[] = [
    ['select 1', 0],
    ["select set_config('a.b', 'c', false)", Touch.SetConfig],
    ["SELECT pg_catalog.SET_CONFIG ('a', 'b', true)", Touch.SetConfig],
    ['select pg_advisory_lock(1)', Touch.AdvisoryLock],
    ['select pg_try_advisory_lock_shared(1)', Touch.AdvisoryLock],
    ['select pg_advisory_unlock_all()', Touch.AdvisoryLock],
    ['select pg_advisory_xact_lock(1)', 0],
    ['create temp table t (a int)', Touch.Temporary],
    ['CREATE LOCAL TEMPORARY TABLE t ()', Touch.Temporary],
    ['create or replace temp view v as select 1', Touch.Temporary],
    ['select * into temp t from u', Touch.Temporary],
    ['select temperature from readings', 0],
    ['RESET search_path', Touch.Reset],
    ["SELECT currval('s')", Touch.Sequences],
    ['insert into lines values (LASTVAL(), 1)', Touch.Sequences],
    ['insert into orders values (1); select lastval()', 0],
    ['set session authorization default; reset all', Touch.Reset],
    ['DISCARD ALL', Touch.Reset | Touch.Forget],
    ['deallocate prepare all', Touch.Forget],
    ['DEALLOCATE one', Touch.Names],
    ['explain EXECUTE "of mine" (1)', Touch.Names],
    ['SELECT name FROM pg_prepared_statements', Touch.Statements],
    ['SELECT pg_backend_pid()', Touch.ProcessId],
    ['SET work_mem TO DEFAULT', Touch.Reset],
    ['insert into t values (default)', 0],
    ['set work_mem = 1; insert into t values (default)', 0],
    ['update t set a = 1, b = default', Touch.Reset],
    ['select reset_at from passwords', 0],
    ["select set_config('a', 'b', false), pg_advisory_lock(1)", Touch.SetConfig | Touch.AdvisoryLock],
  ];
  it('names the statements that are executed or deallocated', () => {
    const text = 'EXECUTE Mine(1); explain execute "My ""own"""; DEALLOCATE PREPARE x$1; GRANT EXECUTE ON FUNCTION f';
    assert.deepEqual(statementNamesIn(text), ['mine', 'My "own"', 'x$1', 'on']);
  });

  for (const [text, expected] of cases) {
    it(`is ${expected} for: ${text}`, () => {
      const bytes = Buffer.from(`before${text}\0`);
      assert.equal(touchesOf(bytes, 6, bytes.length), expected);
    });
  }

  it('is not looked for beyond the statement', () => {
    assert.equal(touchesOf(Buffer.from('select 1 set_config('), 0, 8), 0);
  });

  it('is found wherever in a long text it is', () => {
    for (let spaces = 65_500; spaces < 65_560; spaces++) {
      const bytes = Buffer.from(`${' '.repeat(spaces)}select set_config('a', 'b', false)`);
      assert.equal(touchesOf(bytes, 0, bytes.length), Touch.SetConfig, `behind ${spaces}`);
    }
    const behind = Buffer.from(`select '${'x'.repeat(1_000_000)}', currval('s'); create temp table t ()`);
    assert.equal(touchesOf(behind, 0, behind.length), Touch.Temporary);
  });
});

describe('what a DO may touch', () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ["DO $$ BEGIN SET work_mem = '1MB'; END $$", true],
    ['DO $$ BEGIN IF true THEN RESET work_mem; END IF; END $$', true],
    ["DO $$ BEGIN EXECUTE 'SET ROLE anna'; END $$", true],
    ['DO $$ DECLARE n int; BEGIN UPDATE t SET a = 1; END $$', false],
    [`DO $$ BEGIN ${' '.repeat(70_000)} END $$`, true],
  ];
  for (const [text, expected] of cases) {
    it(`is ${expected ? 'something' : 'nothing'}: ${text.replace(/ +/g, ' ')}`, () =>
      assert.equal(doTouches(text), expected));
  }
});

describe('the watch over a transaction', () => {
  it('has nothing to say of what is seen most', () => {
    const watch = watching('select 1', 'begin', 'update t set a = 1');
    assert.deepEqual([watch.auditDue, watch.take()], [false, undefined]);
  });

  it('takes over a lone SET', () => {
    const watch = new StateWatch();
    watch.set({ text: "SET statement_timeout = '5s'" }, true, nothingReported);
    assert.equal(watch.auditDue, false);
    assert.deepEqual(watch.take(), [['statement_timeout', '5s']]);
    assert.equal(watch.take(), undefined);
  });

  it('asks the session where a SET may be undone, or is not plain, or nobody knows its text', () => {
    const cases: readonly (readonly [string | undefined, boolean])[] = [
      ['SET statement_timeout = 5', false],
      ['SET search_path = a, b', true],
      ['SET statement_timeout = DEFAULT', true],
      ['SET ROLE anna', true],
      [undefined, true],
    ];
    for (const [text, autocommit] of cases) {
      const watch = new StateWatch();
      watch.set(text === undefined ? undefined : { text }, autocommit, nothingReported);
      assert.equal(watch.auditDue, true, text ?? 'no text');
    }
  });

  it('leaves it to the server where it reports the parameter, or where the setting ends by itself', () => {
    const watch = new StateWatch();
    watch.set({ text: "SET TimeZone = 'UTC'" }, true, (name) => name === 'timezone');
    watch.set({ text: 'SET LOCAL statement_timeout = 5' }, false, nothingReported);
    watch.set({ text: 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE' }, false, nothingReported);
    assert.deepEqual([watch.auditDue, watch.take()], [false, undefined]);
  });

  it('asks the session when a request failed after a SET', () => {
    const watch = new StateWatch();
    watch.failed(false);
    assert.equal(watch.auditDue, false);
    watch.set({ text: 'SET statement_timeout = 5' }, true, nothingReported);
    watch.failed(false);
    assert.equal(watch.auditDue, true);
  });

  it('asks the session after set_config() but where each call holds for the transaction alone', () => {
    assert.equal(watching("select set_config('a', 'b', false)").auditDue, true);
    assert.equal(watching("select set_config('a', 'b', true)").auditDue, false);
    assert.equal(watching("select set_config('a', 'b', 't'), set_config('c', 'd', true)").auditDue, false);
    assert.equal(watching("select set_config('a', 'b', true), set_config('c', 'd', false)").auditDue, true);
    assert.equal(watching('select set_config($1, $2, $3)').auditDue, true);
  });

  it('asks the session after advisory locks and temporary objects, and whatever else is unclear', () => {
    assert.equal(watching('select pg_advisory_lock(1)').auditDue, true);
    assert.equal(watching('create temp table t ()').auditDue, true);
    const watch = new StateWatch();
    watch.unclear();
    assert.equal(watch.auditDue, true);
    watch.take();
    assert.equal(watch.auditDue, false);
  });

  it('remembers parameters with a dot, which no list of the server shows', () => {
    const watch = watching("select set_config('app.tenant', '1', false), set_config('work_mem', '1MB', true)");
    watch.set({ text: "SET my.setting = '2'" }, true, nothingReported);
    watch.set({ text: 'RESET other.one' }, true, nothingReported);
    assert.deepEqual([...watch.parameters].sort(), ['app.tenant', 'my.setting', 'other.one']);
  });

  it('but for those that are set for the transaction alone: their names may come from anywhere', () => {
    const watch = watching("select set_config('request.header.x', '1', true), set_config('request.jwt', '2', true)");
    assert.deepEqual([...watch.parameters], []);
  });

  it('says when they are more than it remembers', () => {
    const several = (prefix: string, count: number): string =>
      Array.from({ length: count }, (_, at) => `SET ${prefix}${at} = 1`).join('; ');
    const [named, spoken] = [new StateWatch(), new StateWatch()];
    named.set({ text: several('my.p', 10_000) }, true, nothingReported);
    assert.equal(named.isOverfull, false);
    for (let round = 0; round < 10; round++) named.set({ text: `SET more.p${round} = 1` }, true, nothingReported);
    assert.deepEqual([named.isOverfull, named.parameters.size], [true, 10_001]);
    spoken.set({ text: several('p', 10_001) }, false, nothingReported);
    assert.equal(spoken.isOverfull, true);
  });
});

describe('what statements say that they set or take back', () => {
  const isReported = (name: string): boolean => name === 'timezone';
  const setting = (inBlock: boolean, text = "SET TimeZone = 'UTC'"): StateWatch => {
    const watch = new StateWatch();
    watch.set({ text }, !inBlock, isReported);
    return watch;
  };
  const names = ({ spoken }: StateWatch): readonly string[] | undefined => spoken && [...spoken.names];

  it('is taken over where the server tells nothing of it, since it is what was there before', () => {
    const watch = setting(false);
    assert.deepEqual([watch.isCertain, names(watch)], [true, ['timezone']]);
    watch.take();
    assert.deepEqual([watch.isCertain, watch.spoken], [false, undefined]);
  });

  it('is forgotten with an error, unless that is in a block, which may go on', () => {
    const [alone, within] = [setting(false), setting(true)];
    alone.failed(false);
    within.failed(true);
    assert.deepEqual([names(alone), names(within)], [undefined, ['timezone']]);
  });

  it('is forgotten where a COMMIT fails, and so ends its block', () => {
    const [over, open] = [setting(true), setting(true)];
    over.failed(true);
    over.blockOver();
    open.failed(true);
    open.blockGoesOn();
    open.blockOver();
    assert.deepEqual([names(over), names(open)], [undefined, ['timezone']]);
  });

  it('is forgotten with ROLLBACK; the session is asked after a ROLLBACK TO', () => {
    const [whole, part, none] = [setting(true), setting(true), new StateWatch()];
    whole.rolledBack({ text: 'ROLLBACK' });
    part.rolledBack({ text: 'ROLLBACK TO SAVEPOINT a' });
    none.rolledBack({ text: 'ROLLBACK TO a' });
    assert.deepEqual([names(whole), whole.auditDue], [undefined, false]);
    assert.deepEqual([names(part), part.auditDue], [['timezone'], true]);
    assert.equal(none.auditDue, false);
  });

  it('tells what may have been set from what may have been taken back', () => {
    const said = (act: (watch: StateWatch) => void): readonly (boolean | undefined)[] => {
      const watch = new StateWatch();
      act(watch);
      return [watch.spoken?.mayHaveSet('timezone'), watch.spoken?.mayHaveReset('timezone')];
    };
    assert.deepEqual(
      said((watch) => watch.ran({ text: 'RESET TimeZone' })),
      [true, true],
    );
    assert.deepEqual(
      said((watch) => watch.ran({ text: 'RESET ALL' })),
      [false, true],
    );
    assert.deepEqual(
      said((watch) => watch.ran({ text: 'RESET work_mem' })),
      [false, false],
    );
    assert.deepEqual(
      said((watch) => watch.discarded()),
      [false, true],
    );
    assert.deepEqual(
      said((watch) => watch.sent(Touch.SetConfig, { text: "SELECT set_config('TimeZone', 'UTC', false)" })),
      [true, false],
    );
    assert.deepEqual(
      said((watch) => watch.sent(Touch.SetConfig, { text: "SELECT set_config('TimeZone', 'UTC', true)" })),
      [undefined, undefined],
    );
  });
});

describe('a parameter that the server reports', () => {
  const readOnly = 'default_transaction_read_only';
  const said = (...values: readonly string[]): StateWatch => {
    const watch = new StateWatch();
    values.reduce((before, value) => {
      watch.reported(readOnly, before, value);
      return value;
    });
    return watch;
  };

  it('is asked about where nothing was run that sets any', () => {
    const watch = said('off', 'on');
    assert.deepEqual([watch.auditDue, watch.doubted], [true, [readOnly]]);
    watch.take();
    assert.deepEqual([watch.auditDue, watch.doubted], [false, []]);
  });

  it('is not, where it is what it was before by the end of the transaction: SET LOCAL and its like', () => {
    assert.equal(said('off', 'on', 'off').auditDue, false);
    assert.equal(said('off', 'on', 'off', 'on').auditDue, true);
  });

  it('is not, where a SET was run before or after', () => {
    for (const isBefore of [true, false]) {
      const watch = new StateWatch();
      const set = (): void => watch.set({ text: `SET ${readOnly} = on` }, true, () => true);
      if (isBefore) set();
      watch.reported(readOnly, 'off', 'on');
      if (!isBefore) set();
      assert.equal(watch.auditDue, false);
    }
  });
});
