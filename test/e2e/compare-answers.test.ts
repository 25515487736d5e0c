import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { Client } from 'pg';

import { freePort } from '../../src/cli/embedded/free-port.ts';
import type { QueryReport } from '../../src/mirror/report/query-report.ts';
import { ClientLoad } from '../support/client-load.ts';
import { inReverse } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { askMirrors, askQueries } from '../support/http.ts';
import { Mirrored } from '../support/mirrored.ts';
import { startTestPostgres, withClient, type RunningPostgres } from '../support/postgres.ts';

const schema = `CREATE TABLE item (id integer PRIMARY KEY, owner integer, name text, price numeric);
  INSERT INTO item SELECT n, n % 100, 'item ' || n, n FROM generate_series(1, 1000) n;
  CREATE TABLE other (id integer PRIMARY KEY, v integer); INSERT INTO other SELECT n, n FROM generate_series(1, 100) n;
  CREATE TABLE gone (id integer);
  CREATE TABLE ticket (id serial PRIMARY KEY, made_at timestamptz DEFAULT now(), code uuid DEFAULT gen_random_uuid(), note text);
  CREATE FUNCTION twice(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n * 2';
  CREATE VIEW tickets AS SELECT note, made_at FROM ticket; CREATE VIEW cheap AS SELECT name FROM item WHERE price < 20;
  INSERT INTO ticket (note) VALUES ('first');
  CREATE TABLE word (w text); INSERT INTO word VALUES ('a'), ('B'), ('c');
  CREATE FUNCTION named(n integer) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT name FROM item WHERE id = n); END';
  ANALYZE`;

/** What is asked, which difference is made on the mirror first, and how it is to be classed. */
const kinds: readonly { readonly sql: string; readonly change?: string; readonly answerClass?: string }[] = [
  { sql: 'SELECT id, name FROM item WHERE id = 5' },
  {
    sql: 'SELECT name FROM item WHERE id = 6',
    change: "UPDATE item SET name = 'changed' WHERE id = 6",
    answerClass: 'row_content',
  },
  { sql: 'SELECT count(*) FROM item WHERE owner = 7' },
  { sql: 'SELECT id FROM item WHERE owner = 8', change: 'DELETE FROM item WHERE id = 8', answerClass: 'row_count' },
  { sql: 'SELECT * FROM gone', change: 'DROP TABLE gone', answerClass: 'error_new' },
  {
    sql: 'SELECT twice(4)',
    change: "CREATE OR REPLACE FUNCTION twice(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n * 3'",
    answerClass: 'row_content',
  },
  {
    sql: 'SELECT owner FROM item WHERE id = 1',
    change: 'ALTER TABLE item ALTER owner TYPE bigint',
    answerClass: 'schema',
  },
  { sql: 'SELECT named(12)', change: "UPDATE item SET name = 'other' WHERE id = 12", answerClass: 'row_content' },
  {
    sql: 'SELECT * FROM cheap',
    change: 'CREATE OR REPLACE VIEW cheap AS SELECT name FROM item WHERE price < 10',
    answerClass: 'row_count',
  },
  { sql: 'SELECT * FROM ticket', answerClass: 'generated' },
  { sql: 'SELECT made_at FROM tickets', answerClass: 'generated' },
  { sql: 'SELECT note FROM tickets' },
  {
    sql: 'SELECT w FROM word ORDER BY w',
    change: 'ALTER TABLE word ALTER w TYPE text COLLATE "unicode"',
    answerClass: 'order_only',
  },
  { sql: 'SELECT 1/0' },
  { sql: 'SELECT now(), random()' },
  { sql: 'SELECT price FROM item ORDER BY id LIMIT 3' },
];

const isMismatch = (name: string | undefined): boolean =>
  name !== undefined && name !== 'generated' && name !== 'order_only';

describe('Answers compared', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    server = await startTestPostgres(cleanup);
  });

  async function start(mirroring = {}, general = {}): Promise<{ mirrored: Mirrored; port: number }> {
    const port = await freePort();
    const mirrored = await Mirrored.start(
      cleanup,
      { source: server },
      {
        schema,
        general: { http_port: port, mirror_queue: 100_000, ...general },
        mirroring: { compare: true, log_mismatches: true, timing: 'none', ...mirroring },
      },
    );
    // What was asked before the mirror's catalogs were read is not judged.
    await eventually(async () => {
      await mirrored.query("SELECT 'ready' FROM item LIMIT 1");
      return true;
    });
    await mirrored.drained();
    await mirrored.pgmirror.admin('RESET STATS');
    return { mirrored, port };
  }

  async function settled(port: number): Promise<readonly QueryReport[]> {
    let last = '';
    await eventually(
      async () => {
        const now = JSON.stringify((await askMirrors(port))[0]?.comparison);
        const same = now === last;
        last = now;
        return same;
      },
      { intervalMs: 900, timeoutMs: 30_000, what: 'the comparison to come to rest' },
    );
    return askQueries(port);
  }

  it('are classed by what was changed on the mirror, and nothing else is', async () => {
    const { mirrored, port } = await start();
    for (const { change } of kinds) if (change !== undefined) await mirrored.onMirror(change);
    await withClient(mirrored.url, async (client) => {
      for (let round = 0; round < 3; round++) {
        for (const { sql } of kinds) await client.query(sql).catch(() => undefined);
      }
    });
    await mirrored.drained();
    const queries = await settled(port);
    const found = Object.fromEntries(queries.map(({ query, classes }) => [query, classes]));
    const expected = kinds.map(({ sql, answerClass }) => {
      const shown = sql.replaceAll(/\b\d+\b/g, '#');
      return [shown, answerClass === undefined ? {} : { [answerClass]: 3 }];
    });
    const actual = Object.entries(found).map(([query, classes]) => [query.replaceAll(/\$\d+/g, '#'), classes]);
    assert.deepEqual(Object.fromEntries(actual), {
      ...Object.fromEntries(expected),
      'SELECT now(), random()': { generated: 3 },
    });
    const [mirror] = await askMirrors(port);
    assert.equal(mirror?.comparison.mismatch, kinds.filter(({ answerClass }) => isMismatch(answerClass)).length * 3);
    const logged = mirrored.pgmirror.log.lines.filter(({ msg }) => msg === 'the mirror answered differently');
    assert.equal(logged.length, (mirror?.comparison.mismatch ?? 0) + 3, 'those that came in another order, too');

    // What only follows from a write that went otherwise is no finding of its own.
    await mirrored.onMirror('DELETE FROM other WHERE id = 3');
    await mirrored.query('UPDATE other SET v = 0 WHERE id = 3');
    await mirrored.drained();
    await settled(port);
    await mirrored.query('SELECT count(*), sum(v) FROM other');
    await mirrored.drained();
    const later = Object.fromEntries((await settled(port)).map(({ query, classes }) => [query, classes]));
    assert.deepEqual(later['UPDATE other SET v = $1 WHERE id = $2'], { tag: 1 });
    assert.deepEqual(later['SELECT count(*), sum(v) FROM other'], { unverified: 1 });
    await mirrored.onMirror('INSERT INTO other VALUES (3, 5)');
    await mirrored.pgmirror.admin('RESET MIRROR shadow');
    await eventually(async () => {
      await mirrored.query('SELECT v FROM other WHERE id = 3');
      await mirrored.drained();
      return (await settled(port)).find(({ query }) => query === 'SELECT v FROM other WHERE id = $1')?.classes
        .row_content;
    });
    assert.ok(logged.every(({ fingerprint, sourceDigest }) => fingerprint !== undefined && sourceDigest !== undefined));
  });

  const random = (limit: number): number => 1 + Math.floor(Math.random() * limit);
  const mixed = async (client: Client, number: number): Promise<unknown> => {
    switch (number % 8) {
      case 0:
        return client.query('UPDATE item SET price = price + 1 WHERE id = $1', [random(20)]);
      case 1:
        return client.query(`INSERT INTO ticket (note) VALUES ('n ${number}') RETURNING *`);
      case 2:
        return client.query('SELECT * FROM ticket ORDER BY id DESC LIMIT 3');
      case 3:
        return client.query('SELECT sum(price), max(name) FROM item');
      case 4:
        await client.query('BEGIN');
        await client.query('UPDATE item SET owner = $2 WHERE id = $1', [random(20), number]);
        await client.query('SELECT owner FROM item WHERE id = $1', [random(20)]);
        return client.query(number % 16 === 4 ? 'COMMIT' : 'ROLLBACK');
      case 5:
        return client.query('INSERT INTO other VALUES ($1, 1)', [random(500)]).catch(() => undefined);
      case 6:
        return client.query('SELECT count(*) FROM other WHERE id < $1', [random(500)]);
      default:
        return client.query({ name: 'by id', text: 'SELECT * FROM item WHERE id = $1', values: [random(1000)] });
    }
  };

  for (const [name, mirroring] of [
    ['concurrent writes, generated values, rollbacks and errors', {}],
    ['an exposure of 0.3', { exposure: 0.3 }],
  ] as const) {
    it(`are never called other than they are under ${name}`, async (t) => {
      const { mirrored, port } = await start(mirroring);
      const load = ClientLoad.start(inReverse(t), mirrored.url, { clients: 8, limit: 4000, transaction: mixed });
      await load.finished();
      assert.deepEqual(load.errors, []);
      await mirrored.drained({ timeoutMs: 60_000 });
      const queries = await settled(port);
      const [mirror] = await askMirrors(port);
      const { match = 0, mismatch, unverified = 0, ambiguous = 0 } = mirror?.comparison ?? {};
      t.diagnostic(JSON.stringify(mirror?.comparison));
      const wrong = queries.filter((query) => query.mismatch > 0);
      assert.deepEqual(
        wrong.map(({ query, classes }) => [query, classes]),
        [],
      );
      assert.equal(
        mismatch,
        queries.reduce((sum, query) => sum + query.error_new, 0),
      );
      assert.equal(mismatch, 0);
      assert.ok(match / (match + unverified + ambiguous) > 0.2);
    });
  }
});
