import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { askMirrors } from '../support/http.ts';
import { databaseEntry } from '../support/pgmirror.ts';
import { createDatabase, query, startTestPostgres, withClient, type RunningPostgres } from '../support/postgres.ts';
import { judged, startCompared } from './compare/compared.ts';
import { faultSchema, kinds, type Kind } from './compare/faults.ts';
import { isLong } from './compare/long-form.ts';

const rounds = isLong ? 128 : 32;
/** So many rounds of questions are asked before the mirror has answered them all. */
const keptUp = 8;
const noMismatches = new Set(['generated', 'order_only']);

const byText = (a: string, b: string): number => (a < b ? -1 : 1);

/** How often it is found: what a statement has changed it finds otherwise the next time, and nobody knows what it should. */
function expectedOf(answerClass: string | undefined): Readonly<Record<string, number>> {
  if (answerClass === undefined) return {};
  if (answerClass === 'tag') return { tag: 1 };
  return answerClass === 'error_missing' ? { error_missing: 1, unverified: rounds - 1 } : { [answerClass]: rounds };
}

describe('Answers compared', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    server = await startTestPostgres(cleanup);
  });

  it('are classed by what was changed on the mirror, and nothing else is', async (t) => {
    const compared = await startCompared(inReverse(t), server, { schema: faultSchema });
    const { mirrored, port } = compared;
    for (const { fault } of kinds) if (fault !== undefined) await mirrored.onMirror(fault);
    await withClient(mirrored.url, async (client) => {
      const ask = async (asked: readonly Kind[]): Promise<void> => {
        for (let round = 0; round < rounds; round++) {
          for (const { sql } of asked) await client.query(sql).catch(() => undefined);
          // What is replayed late says nothing of latencies, and one client asks faster than this mirror answers.
          if (round % keptUp === keptUp - 1) await mirrored.drained();
        }
      };
      await ask(kinds.filter(({ isWrite }) => isWrite !== true));
      await judged(compared);
      await ask(kinds.filter(({ isWrite }) => isWrite));
    });
    const queries = await judged(compared);
    const shown = (sql: string): string =>
      sql.replaceAll(/'[^']*'|\$?\b\d+(?:\.\d+)?\b/g, '#').replace('interval #', '#');
    const found = new Map(queries.map((one) => [shown(one.query), one]));
    for (const { sql, answerClass } of kinds) {
      const classes = found.get(shown(sql))?.classes;
      assert.deepEqual(classes, expectedOf(answerClass), sql);
    }
    const slower = queries.filter(({ change }) => change === 'slower').map((one) => shown(one.query));
    t.diagnostic(`slower: ${slower.join(' · ')}`);
    const known = kinds.filter(({ isSlower }) => isSlower).map(({ sql }) => shown(sql));
    // A machine without time to spare says nothing of latencies.
    if (isLong) assert.deepEqual(slower.toSorted(byText), known.toSorted(byText));

    const [mirror] = await askMirrors(port);
    const mismatches = kinds.flatMap(({ answerClass }) =>
      answerClass === undefined || noMismatches.has(answerClass) ? [] : [expectedOf(answerClass)[answerClass] ?? 0],
    );
    assert.equal(
      mirror?.comparison.mismatch,
      mismatches.reduce((sum, one) => sum + one, 0),
    );
    const logged = await eventually(() => {
      const lines = mirrored.pgmirror.log.lines.filter(({ msg }) => msg === 'the mirror answered differently');
      // Those in another order, too.
      assert.equal(lines.length, (mirror?.comparison.mismatch ?? 0) + rounds);
      return lines;
    });
    assert.ok(logged.every(({ fingerprint, sourceDigest }) => fingerprint !== undefined && sourceDigest !== undefined));
    assert.doesNotMatch(JSON.stringify(logged), /select|update|item/i, 'and no text');
  });

  it('are not judged where they only follow from an earlier difference, until the mirror is freshly synced', async (t) => {
    const compared = await startCompared(inReverse(t), server, { schema: faultSchema });
    const { mirrored } = compared;
    await mirrored.onMirror('DELETE FROM other WHERE id = 3');
    await mirrored.query('UPDATE other SET v = 0 WHERE id = 3');
    await judged(compared);
    await mirrored.query('SELECT count(*), sum(v) FROM other');
    await mirrored.query('SELECT v FROM other WHERE id = 3 AND v = 0');
    const later = new Map((await judged(compared)).map(({ query: text, classes }) => [text, classes]));
    assert.deepEqual(later.get('UPDATE other SET v = $1 WHERE id = $2'), { tag: 1 });
    assert.deepEqual(later.get('SELECT count(*), sum(v) FROM other'), { unverified: 1 });
    await mirrored.onMirror('INSERT INTO other VALUES (3, 5)');
    await mirrored.pgmirror.admin('RESET MIRROR shadow');
    await eventually(async () => {
      await mirrored.query('SELECT v FROM other WHERE id = 3');
      const found = (await judged(compared)).find(({ query: text }) => text === 'SELECT v FROM other WHERE id = $1');
      return found?.classes.row_content;
    });
    // What it misses while nobody compares is not known, definitions included.
    const [mirroring] = mirrored.files.mirroring ?? [];
    assert.ok(mirroring);
    await mirrored.pgmirror.reload({ mirroring: [{ ...mirroring, compare: false, exposure: 0 }] });
    await mirrored.query('CREATE TABLE meanwhile (id integer)');
    await mirrored.pgmirror.reload({ mirroring: [mirroring] });
    await mirrored.query('SELECT id FROM meanwhile');
    const missed = (await judged(compared)).find(({ query: text }) => text === 'SELECT id FROM meanwhile');
    assert.deepEqual([missed?.classes, missed?.errors.mirror], [{ unverified: 1 }, { '42P01': 1 }]);
  });

  it('are judged from the first of a session on, and what an error on the mirror entails is none of its own', async (t) => {
    const compared = await startCompared(inReverse(t), server, { schema: faultSchema });
    const { mirrored, port } = compared;
    await mirrored.onMirror('CREATE TABLE surplus (id integer); DROP TABLE gone');
    await mirrored.query('SELECT id FROM surplus').catch(() => undefined);
    await withClient(mirrored.url, async (client) => {
      for (const sql of ['BEGIN', 'SELECT id FROM gone', 'SAVEPOINT here', 'ROLLBACK TO here', 'COMMIT'])
        await client.query(sql);
    });
    const classes = new Map((await judged(compared)).map((one) => [one.query, one.classes]));
    assert.deepEqual(classes.get('SELECT id FROM surplus'), { error_missing: 1 });
    assert.deepEqual(classes.get('SELECT id FROM gone'), { error_new: 1 });
    assert.deepEqual([classes.get('SAVEPOINT here'), classes.get('ROLLBACK TO here')], [{}, {}]);
    assert.equal((await askMirrors(port))[0]?.comparison.mismatch, 2);
  });

  it('are generated where the source made them up, though what was written was rolled back', async (t) => {
    const schema = 'CREATE TABLE stamped (id integer, at timestamptz)';
    const compared = await startCompared(inReverse(t), server, { schema });
    const insert = 'INSERT INTO stamped VALUES (1, clock_timestamp()) RETURNING at';
    await withClient(compared.mirrored.url, async (client) => {
      for (const sql of ['BEGIN', insert, 'SELECT at FROM stamped', 'ROLLBACK']) await client.query(sql);
    });
    const classes = new Map((await judged(compared)).map((one) => [one.query, one.classes]));
    assert.deepEqual(classes.get('INSERT INTO stamped VALUES ($1, clock_timestamp()) RETURNING at'), { generated: 1 });
    assert.deepEqual(classes.get('SELECT at FROM stamped'), { generated: 1 });
    assert.equal((await askMirrors(compared.port))[0]?.comparison.mismatch, 0);
  });

  it('are known for the servers’ own values wherever these have been stored, and whatever becomes of it', async (t) => {
    const compared = await startCompared(inReverse(t), server, {
      schema: `
        CREATE TABLE orders (id int, made_at timestamptz DEFAULT clock_timestamp());
        CREATE TABLE archive (note text, id int, at timestamptz);
        CREATE TABLE wider (id int);
        CREATE TABLE stamped (id int, at timestamptz);
        CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at := clock_timestamp(); RETURN NEW; END';
        CREATE TRIGGER stamp BEFORE INSERT ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();`,
    });
    const ask = async (...texts: readonly string[]): Promise<void> => {
      await withClient(compared.mirrored.url, async (client) => {
        for (const text of texts) {
          await client.query(text);
          await compared.mirrored.drained();
        }
      });
      await judged(compared);
    };
    await ask(
      'INSERT INTO orders VALUES (1), (2)',
      'INSERT INTO stamped VALUES (1)',
      `INSERT INTO archive SELECT 'old', * FROM orders`,
      'CREATE VIEW shown AS SELECT * FROM orders',
      'CREATE TABLE copied AS SELECT * FROM shown',
      'SELECT random() AS r INTO made',
      'ALTER TABLE wider ADD COLUMN at timestamptz DEFAULT clock_timestamp()',
      'INSERT INTO wider VALUES (1)',
      'ALTER TABLE wider ALTER COLUMN at DROP DEFAULT',
      'CREATE TEMP TABLE passing (at timestamptz DEFAULT clock_timestamp(), id int)',
      'INSERT INTO passing (id) VALUES (1)',
      'SELECT * FROM passing',
      'DROP TABLE passing',
      'SELECT orders FROM orders',
    );
    await ask(
      'DROP TRIGGER stamp ON stamped',
      'SELECT * FROM orders',
      'ALTER TABLE orders RENAME COLUMN made_at TO born_at',
      'ALTER TABLE orders RENAME TO purchases',
    );
    const tables = ['archive', 'copied', 'made', 'wider', 'stamped', 'purchases'];
    await ask(...tables.map((table) => `SELECT * FROM ${table}`));
    const queries = await judged(compared);
    const wrong = queries.filter(({ mismatch }) => mismatch > 0);
    assert.deepEqual(
      wrong.map((one) => [one.query, one.classes]),
      [],
    );
    const generated = queries.reduce((sum, { classes }) => sum + (classes.generated ?? 0), 0);
    assert.equal(generated, tables.length + 3);
  });

  it('differ on the control mirror, too, where they are noise', async (t) => {
    const compared = await startCompared(inReverse(t), server, { schema: faultSchema });
    const { mirrored, port } = compared;
    const database = await createDatabase(server, 'control');
    await query(server.url(database), faultSchema);
    const { databases = [], mirroring = [] } = mirrored.files;
    await mirrored.pgmirror.reload({
      databases: [...databases, databaseEntry('control', server, database)],
      mirroring: [
        { ...mirroring[0], control: 'control' },
        { source_db: 'app', destination_db: 'control' },
      ],
    });
    await mirrored.whenMirroring('control');
    // Both differ in one, the mirror alone in the other.
    await mirrored.onMirror("UPDATE item SET name = 'x' WHERE id IN (1, 2)");
    await query(server.url(database), "UPDATE item SET name = 'y' WHERE id = 1");
    await mirrored.query('SELECT name FROM item WHERE id = 1');
    await mirrored.query('SELECT name, owner FROM item WHERE id = 2');
    await mirrored.drained({ destination: 'control' });
    const queries = (await judged(compared)).filter(({ destination }) => destination === 'shadow');
    const classes = new Map(queries.map((one) => [one.query, one.classes]));
    assert.deepEqual(classes.get('SELECT name FROM item WHERE id = $1'), { generated: 1 });
    assert.deepEqual(classes.get('SELECT name, owner FROM item WHERE id = $1'), { row_content: 1 });
    const mismatches = async (): Promise<number | undefined> =>
      (await askMirrors(port)).find(({ destination }) => destination === 'shadow')?.comparison.mismatch;
    assert.equal(await mismatches(), 1);
    // What the control mirror does not see may be noise.
    await mirrored.pgmirror.admin('DISABLE MIRROR control');
    await mirrored.query('SELECT id, name, owner FROM item WHERE id = 2');
    const alone = (await judged(compared)).find(({ query: text }) => text.startsWith('SELECT id, name'));
    assert.deepEqual([alone?.classes, await mismatches()], [{ unverified: 1 }, 1]);
  });
});
