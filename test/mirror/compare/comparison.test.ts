import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { AnswerDigester } from '../../../src/mirror/compare/answer-digester.ts';
import { Comparison } from '../../../src/mirror/compare/comparison.ts';
import type { ComparedRequest, Verdict } from '../../../src/mirror/compare/comparison.ts';
import { ControlNotes } from '../../../src/mirror/compare/control-notes.ts';
import { MirrorCatalog } from '../../../src/mirror/compare/mirror-catalog.ts';
import { MirrorKnowledge } from '../../../src/mirror/compare/mirror-knowledge.ts';
import { factsOf } from '../../../src/mirror/compare/statement-facts.ts';
import { QueryIdentifier } from '../../../src/mirror/report/query-identifier.ts';
import { commandComplete, dataRow } from '../../../src/protocol/backend-messages.ts';

/** Table 7 of the mirror: `id` from a sequence, `made_at` from now(), `note`. */
const GENERATED = [
  ['7', '1', 'ticket', 'id', 'sequence'],
  ['7', '2', 'ticket', 'made_at', 'own'],
];

/** A mirror's comparison with its catalogs read. */
async function compare(): Promise<{ comparison: Comparison; knowledge: MirrorKnowledge }> {
  const catalog = new MirrorCatalog(async (sql) => {
    if (sql.includes('pg_attrdef')) return GENERATED;
    return sql.includes('pg_proc p JOIN') ? [['pure', 'f', 'f', 'f']] : [];
  });
  catalog.refresh(0);
  while (!catalog.isCurrent) await turn();
  const knowledge = new MirrorKnowledge(catalog);
  return { comparison: new Comparison(knowledge), knowledge };
}

function answer(...values: readonly string[]): Buffer {
  const digester = new AnswerDigester();
  digester.begin();
  if (values.length > 0) digester.push(Buffer.from(dataRow(values)));
  digester.push(Buffer.from(commandComplete(`SELECT ${values.length > 0 ? 1 : 0}`)));
  return digester.end();
}

describe('Comparison', () => {
  let identifier: QueryIdentifier;

  before(async () => {
    identifier = await QueryIdentifier.load();
  });

  /** The verdict on a request with these answers, when all before 1000 has been told; undefined: it waits. */
  function verdictOf(
    { comparison }: { readonly comparison: Comparison },
    sql: string,
    { now = 0, toldUntil = 1000, ...more }: Partial<ComparedRequest> & { now?: number; toldUntil?: number } = {},
  ): Verdict | undefined {
    let verdict: Verdict | undefined;
    comparison.compare(
      {
        query: identifier.identify(sql),
        source: answer('1', 'a', 'x'),
        mirror: answer('1', 'a', 'y'),
        origins: [1, 2, 3].map((column) => ({ place: `7 ${column}`, type: 25 })),
        sourceError: '',
        mirrorError: '',
        namesOwnTypes: false,
        seesUnknown: false,
        sentAt: 100,
        doneAt: 101,
        mirrorSentAt: 10,
        mirrorDoneAt: 11,
        own: undefined,
        control: undefined,
        index: 0,
        judge: (judged) => (verdict = judged),
        ...more,
      },
      0,
    );
    comparison.sweep(now, toldUntil);
    return verdict;
  }

  it('judges what is the same at once, and what is not when all has been told', async () => {
    const mirror = await compare();
    const same = { mirror: answer('1', 'a', 'x'), toldUntil: 0 };
    assert.deepEqual(verdictOf(mirror, 'SELECT * FROM ticket', same), { judged: true, answerClass: undefined });
    assert.equal(verdictOf(mirror, 'SELECT * FROM ticket', { toldUntil: 101 }), undefined);
    assert.deepEqual(verdictOf(mirror, 'SELECT * FROM ticket'), { judged: true, answerClass: 'row_content' });
    const tired = verdictOf(mirror, 'SELECT * FROM ticket', { toldUntil: 0, now: 40_000 });
    assert.deepEqual(tired, { judged: false, answerClass: 'unverified' });
  });

  it('takes columns for generated that each server fills by itself, and no others', async () => {
    const mirror = await compare();
    const differs = (...values: readonly string[]) =>
      verdictOf(mirror, 'SELECT * FROM ticket', { mirror: answer(...values) });
    assert.deepEqual(differs('1', 'b', 'x'), { judged: true, answerClass: 'generated' });
    assert.deepEqual(differs('2', 'b', 'x'), { judged: true, answerClass: 'generated' });
    assert.deepEqual(differs('1', 'b', 'y'), { judged: true, answerClass: 'row_content' });
    assert.deepEqual(differs(), { judged: true, answerClass: 'row_count' });
  });

  it('doubts what has a sequence, and nothing else, where what took numbers of one was rolled back on the source alone', async () => {
    const mirror = await compare();
    mirror.knowledge.missNumbers();
    const unverified = { judged: false, answerClass: 'unverified' };
    assert.deepEqual(verdictOf(mirror, 'SELECT * FROM ticket'), unverified);
    assert.deepEqual(verdictOf(mirror, 'SELECT * FROM plain'), { judged: true, answerClass: 'row_content' });
    const early = new MirrorKnowledge(new MirrorCatalog(async () => []));
    early.missNumbers();
    const read = { relations: new Set(['plain']), ofDefinitions: false, seesFrom: 1, doneAt: 2, own: undefined };
    assert.equal(early.writes.order({ ...read, mirrorSeesFrom: 1, mirrorDoneAt: 2 }), 'unverified');
  });

  it('takes numbers for generated that each server gives to its own things', async () => {
    const mirror = await compare();
    const typed = (type: number) => ({ origins: [25, 25, type].map((each) => ({ place: '0 0', type: each })) });
    for (const type of [26, 28, 3220, 5069])
      assert.deepEqual(verdictOf(mirror, "SELECT 1, 'a', 'x'::regclass::oid", typed(type)), {
        judged: true,
        answerClass: 'generated',
      });
    assert.deepEqual(verdictOf(mirror, 'SELECT 1, 2, 3', typed(23)), { judged: true, answerClass: 'row_content' });
  });

  it('does not judge whole rows that hold such a column', async () => {
    const mirror = await compare();
    const origins = [{ place: '7 0', type: 16_400 }];
    const rows = { source: answer('(1,a,x)'), mirror: answer('(1,b,x)'), origins };
    assert.deepEqual(verdictOf(mirror, 'SELECT t FROM ticket t', rows), { judged: false, answerClass: 'generated' });
    assert.deepEqual(verdictOf(mirror, 'SELECT p FROM plain p', rows), { judged: true, answerClass: 'row_content' });
  });

  it('learns where such values are stored when the catalogs are known, and keeps it when their source is gone', async () => {
    let columns = [['7', '1', 'ticket', 'made_at', 'own']];
    const catalog = new MirrorCatalog(async (sql) => (sql.includes('pg_attrdef') ? columns : []));
    const knowledge = new MirrorKnowledge(catalog);
    const read = async (): Promise<void> => {
      catalog.refresh(0);
      for (let left = 10; left > 0; left--) await turn();
      knowledge.settle();
    };
    knowledge.learnColumns(factsOf(identifier.identify('INSERT INTO archive SELECT note, t.* FROM ticket t')));
    knowledge.learnColumns(factsOf(identifier.identify('CREATE TABLE copied AS SELECT * FROM archive')));
    await read();
    assert.ok(!catalog.isCurrent, 'to be read again');
    assert.ok(knowledge.isGone('archive'));
    columns.push(['8', '*', 'archive', '*', 'own']);
    await read();
    assert.ok(!knowledge.isGone('archive'));
    assert.ok(knowledge.isGone('copied'));
    columns = [];
    catalog.changed();
    await read();
    assert.ok(knowledge.isGone('ticket'));
    assert.ok(!knowledge.isGone('plain'));
  });

  it('does not judge rows that are chosen by such a column', async () => {
    const mirror = await compare();
    const generated = { judged: false, answerClass: 'generated' };
    assert.deepEqual(verdictOf(mirror, 'SELECT * FROM ticket WHERE made_at > $1', { mirror: answer() }), generated);
    assert.deepEqual(
      verdictOf(mirror, 'SELECT note FROM ticket WHERE random() > 0.5', { mirror: answer() }),
      generated,
    );
    const byId = 'SELECT * FROM ticket WHERE id = $1';
    assert.equal(verdictOf(mirror, byId, { mirror: answer() })?.answerClass, 'row_count', 'no number was given out');
    mirror.knowledge.learn(factsOf(identifier.identify('INSERT INTO ticket (note) VALUES ($1)')), 50);
    assert.deepEqual(verdictOf(mirror, byId, { mirror: answer() }), generated);
    const returning = 'INSERT INTO ticket (note) VALUES ($1) RETURNING *';
    assert.ok(verdictOf(mirror, returning, { mirror: answer('1', 'a', 'x') })?.judged, 'in step');
    assert.equal(verdictOf(mirror, byId, { mirror: answer() })?.answerClass, 'row_count');
  });

  it('calls ambiguous what overlapped a write on the source, whatever else may explain it', async () => {
    const mirror = await compare();
    const byTime = 'SELECT * FROM ticket WHERE made_at > $1';
    const scope = { written: new Set(['ticket']), touched: new Set(['ticket']), insertsOnly: true };
    const onMirror = { mirrorBegunAt: 1, mirrorSentAt: 1, mirrorDoneAt: 2 };
    const write = { scope, defines: false, isRolledBack: false, begunAt: 99, sentAt: 99, doneAt: 102, ...onMirror };
    mirror.knowledge.writes.add(write);
    assert.deepEqual(verdictOf(mirror, byTime, { mirror: answer() }), { judged: false, answerClass: 'ambiguous' });
    const later = { mirror: answer(), sentAt: 103, doneAt: 104 };
    assert.deepEqual(verdictOf(mirror, byTime, later), { judged: false, answerClass: 'generated' });
  });

  it('excuses errors of the moment, and constraints on values that differ', async () => {
    const mirror = await compare();
    const errs = (sql: string, mirrorError: string) => verdictOf(mirror, sql, { mirrorError });
    for (const code of ['40001', '40P01', '55P03', '57014', '53300']) {
      assert.deepEqual(errs('UPDATE plain SET a = 1', code), { judged: false, answerClass: 'ambiguous' }, code);
    }
    assert.deepEqual(errs('INSERT INTO ticket (note) VALUES (1)', '23505'), {
      judged: false,
      answerClass: 'generated',
    });
    assert.deepEqual(errs('SELECT pure(a) FROM quiet', '22012'), { judged: true, answerClass: 'error_new' });
  });

  it('does not mind a plan that was too old for the source alone', async () => {
    const mirror = await compare();
    const judged = { judged: false, answerClass: 'ambiguous' };
    assert.deepEqual(verdictOf(mirror, 'SELECT pure(a) FROM quiet', { sourceError: '0A000' }), judged);
    const refused = verdictOf(mirror, 'SELECT pure(a) FROM quiet', { mirrorError: '0A000' });
    assert.deepEqual(refused, { judged: true, answerClass: 'error_new' });
  });

  it('judges constraints that were put off by what their transaction wrote', async () => {
    const mirror = await compare();
    const scope = { written: new Set(['plain']), touched: new Set(['plain', 'quiet']), insertsOnly: true };
    const onMirror = { mirrorBegunAt: 1, mirrorSentAt: 1, mirrorDoneAt: 2 };
    const own = { scope, defines: false, isRolledBack: false, begunAt: 99, sentAt: 99, doneAt: 101, ...onMirror };
    const verdictOn = (sql: string, errors: Partial<ComparedRequest>) => verdictOf(mirror, sql, { own, ...errors });
    assert.deepEqual(verdictOn('COMMIT', { mirrorError: '23503' }), { judged: true, answerClass: 'error_new' });
    mirror.knowledge.writes.taints.add(new Set(['quiet']), -Infinity);
    const unverified = { judged: false, answerClass: 'unverified' };
    assert.deepEqual(verdictOn('COMMIT', { mirrorError: '23503' }), unverified);
    assert.deepEqual(verdictOn('SET CONSTRAINTS ALL IMMEDIATE', { sourceError: '23503' }), unverified);
    assert.equal(verdictOn('COMMIT', { mirrorError: '42501' })?.answerClass, 'error_new');
  });

  it('does not judge what names types by OIDs that only the source knows', async () => {
    const mirror = await compare();
    const erred = { mirrorError: 'XX000', namesOwnTypes: true };
    assert.deepEqual(verdictOf(mirror, 'SELECT 1', erred), { judged: false, answerClass: 'unverified' });
    assert.deepEqual(verdictOf(mirror, 'SELECT 1', { mirrorError: 'XX000' }), {
      judged: true,
      answerClass: 'error_new',
    });
    const missing = { mirrorError: '42P01', namesOwnTypes: true };
    assert.deepEqual(verdictOf(mirror, 'SELECT 1', missing), { judged: true, answerClass: 'error_new' });
  });

  it('does not mind that an OID of the source is another object’s on the mirror', async () => {
    const mirror = await compare();
    const byOid = 'SELECT verify(relation := c.oid) FROM pg_class c WHERE c.oid = 16500';
    const byName = "SELECT verify(relation := c.oid) FROM pg_class c WHERE c.relname = 'ticket'";
    const classOf = (sql: string, mirrorError: string) => verdictOf(mirror, sql, { mirrorError })?.answerClass;
    for (const code of ['42809', '42P01', 'XX000']) assert.equal(classOf(byOid, code), 'generated', code);
    assert.equal(classOf(byOid, '42703'), 'error_new', 'a column that is not there has nothing to do with it');
    assert.equal(classOf(byName, '42809'), 'error_new');
  });

  it('does not mind numbers that a sequence gave another session of the mirror', async () => {
    const mirror = await compare();
    const generated = { judged: false, answerClass: 'generated' };
    for (const sql of ['SELECT lastval()', "INSERT INTO plain VALUES (currval('s'))"]) {
      assert.deepEqual(verdictOf(mirror, sql, { mirrorError: '55000' }), generated, sql);
      assert.deepEqual(verdictOf(mirror, sql, { sourceError: '55000' }), generated, sql);
    }
    assert.equal(verdictOf(mirror, 'SELECT pure(a) FROM quiet', { mirrorError: '55000' })?.answerClass, 'error_new');
  });

  it('does not mind large objects that have another number on the mirror', async () => {
    const mirror = await compare();
    const generated = { judged: false, answerClass: 'generated' };
    const missing = { mirrorError: '42704' };
    for (const sql of [
      'SELECT lo_open(16500, 131072)',
      'SELECT loread(0, 9)',
      'ALTER LARGE OBJECT 16500 OWNER TO anna',
    ]) {
      assert.deepEqual(verdictOf(mirror, sql, missing), generated, sql);
    }
    assert.equal(verdictOf(mirror, 'SELECT a::lobby FROM plain', missing)?.answerClass, 'error_new');
    assert.equal(verdictOf(mirror, 'SELECT lo_unlink(1)', { mirrorError: '42501' })?.answerClass, 'error_new');
  });

  it('judges errors of definitions by changed definitions alone, all else by rows', async () => {
    const mirror = await compare();
    mirror.knowledge.writes.taints.add(undefined, -Infinity);
    const missing = { mirrorError: '42P01' };
    assert.deepEqual(verdictOf(mirror, 'SELECT a FROM plain', missing), { judged: true, answerClass: 'error_new' });
    assert.deepEqual(verdictOf(mirror, 'SELECT a FROM plain'), { judged: false, answerClass: 'unverified' });
    mirror.knowledge.writes.taints.addDefinitions(-Infinity);
    assert.deepEqual(verdictOf(mirror, 'SELECT a FROM plain', missing), { judged: false, answerClass: 'unverified' });
  });

  it('judges an error by changed definitions, whatever its code, where no rows are read', async () => {
    const mirror = await compare();
    mirror.knowledge.writes.taints.add(undefined, -Infinity);
    const missing = { mirrorError: '22023' };
    const become = 'SET SESSION AUTHORIZATION anna';
    assert.deepEqual(verdictOf(mirror, become, missing), { judged: true, answerClass: 'error_new' });
    mirror.knowledge.writes.taints.addDefinitions(-Infinity);
    assert.deepEqual(verdictOf(mirror, become, missing), { judged: false, answerClass: 'unverified' });
    const early = await compare();
    const write = { defines: true, isRolledBack: false, begunAt: 1, sentAt: 1, doneAt: 2 };
    const never = { mirrorBegunAt: Infinity, mirrorSentAt: Infinity, mirrorDoneAt: Infinity };
    const scope = { written: new Set<string>(), touched: new Set<string>(), insertsOnly: false };
    early.knowledge.writes.add({ ...write, ...never, scope });
    assert.deepEqual(verdictOf(early, become, missing), { judged: false, answerClass: 'unverified' });
  });

  it('waits for the control mirror, whose differences are noise, and does not judge what it missed', async () => {
    const mirror = await compare();
    const notes = (differed?: boolean): ControlNotes => {
      const control = new ControlNotes();
      if (differed !== undefined) control.note(0, differed);
      return control;
    };
    const asked = (control: ControlNotes) => verdictOf(mirror, 'SELECT a FROM plain', { control });
    assert.equal(asked(notes()), undefined);
    assert.deepEqual(asked(notes(true)), { judged: false, answerClass: 'generated' });
    assert.deepEqual(asked(notes(false)), { judged: true, answerClass: 'row_content' });
    const gone = notes();
    gone.over();
    assert.deepEqual(asked(gone), { judged: false, answerClass: 'unverified' });
  });

  it('does not judge what depends on order, locks, or sums of floats', async () => {
    const mirror = await compare();
    const ambiguous = { judged: false, answerClass: 'ambiguous' };
    const float = { origins: [1, 2, 3].map(() => ({ place: '0 0', type: 701 })) };
    assert.deepEqual(verdictOf(mirror, 'SELECT a FROM plain LIMIT 3'), ambiguous);
    assert.deepEqual(verdictOf(mirror, 'SELECT a FROM plain FOR UPDATE SKIP LOCKED', { mirror: answer() }), ambiguous);
    assert.deepEqual(verdictOf(mirror, 'SELECT a, b, sum(c) FROM plain GROUP BY 1, 2', float), ambiguous);
    const exact = verdictOf(mirror, 'SELECT a, b, sum(c) AS d FROM plain GROUP BY 1, 2');
    assert.deepEqual(exact, { judged: true, answerClass: 'row_content' });
    assert.deepEqual(verdictOf(mirror, 'SELECT a FROM plain', { seesUnknown: true })?.answerClass, 'unverified');
  });
});
