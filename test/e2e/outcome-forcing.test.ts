import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';

import { Client } from 'pg';

import { alice } from '../support/alice.ts';
import { bind, execute, flush, msg, parse, query as queryMessage, sync, terminate } from '../support/bytes.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { eventually } from '../support/eventually.ts';
import { lockAwaited, lockTable } from '../support/locks.ts';
import { Mirrored } from '../support/mirrored.ts';
import { withClient } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';

/** `ran` counts statements, committed or not: a sequence is not rolled back. */
const schema = `
  CREATE SEQUENCE ran;
  CREATE TABLE item (id integer PRIMARY KEY, ran bigint DEFAULT nextval('ran'));
  CREATE TABLE parent (id integer PRIMARY KEY);
  CREATE TABLE child (id integer PRIMARY KEY, ran bigint DEFAULT nextval('ran'),
    parent_id integer REFERENCES parent DEFERRABLE INITIALLY DEFERRED);`;

/** An INSERT that fails on the source and would succeed on the mirror. */
const onlyOnMirror = 'INSERT INTO item VALUES (99)';

describe('What the source did not commit is not committed on the mirror:', () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;

  before(async () => {
    mirrored = await Mirrored.start(cleanup, { source: await startWatchedPostgres(cleanup) }, { schema });
  });

  beforeEach(async () => {
    const empty = `TRUNCATE item, child, parent; SELECT setval('ran', 1, false)`;
    await mirrored.onSource(`${empty}; INSERT INTO item VALUES (99, 0)`);
    await mirrored.onMirror(`${empty}; INSERT INTO parent VALUES (7)`);
    await mirrored.pgmirror.admin('RESET STATS');
  });

  /** Runs statements on one connection, ignoring what fails. Returns how many failed. */
  async function run(...statements: readonly string[]): Promise<number> {
    return withClient(mirrored.url, async (client) => {
      let failed = 0;
      for (const sql of statements) await client.query(sql).catch(() => (failed += 1));
      return failed;
    });
  }

  /** What the mirror has when it has finished: rows, and how many INSERTs were run, committed or not. */
  async function onMirror(): Promise<{ items: number[]; children: number[]; ran: number }> {
    await mirrored.drained();
    const ids = async (table: string): Promise<number[]> => {
      const rows = await mirrored.onMirror<{ id: number }>(`SELECT id FROM ${table} ORDER BY id`);
      return rows.map(({ id }) => id);
    };
    const [{ ran } = { ran: 0 }] = await mirrored.onMirror<{ ran: number }>(
      'SELECT CASE WHEN is_called THEN last_value ELSE 0 END::int AS ran FROM ran',
    );
    return { items: await ids('item'), children: await ids('child'), ran };
  }

  it('a block that the client rolled back is replayed with its ROLLBACK', async () => {
    assert.equal(await run('BEGIN', 'INSERT INTO item VALUES (1)', 'ROLLBACK'), 0);
    assert.deepEqual(await onMirror(), { items: [], children: [], ran: 1 });
    const { mirrored: replayed, errors } = await mirrored.counts();
    assert.deepEqual({ replayed, errors }, { replayed: 1, errors: 0 });
  });

  it('ROLLBACK AND CHAIN undoes the first of two blocks only', async () => {
    const [first, second] = ['INSERT INTO item VALUES (1)', 'INSERT INTO item VALUES (2)'];
    assert.equal(await run('BEGIN', first, 'ROLLBACK AND CHAIN', second, 'COMMIT'), 0);
    assert.deepEqual(await onMirror(), { items: [2], children: [], ran: 2 });
  });

  it('a statement that failed by itself is run and undone', async () => {
    assert.equal(await run(onlyOnMirror), 1);
    assert.deepEqual(await onMirror(), { items: [], children: [], ran: 1 });
    assert.equal((await mirrored.counts()).mirrored, 1);
  });

  it('the same in the extended protocol', async () => {
    await assert.rejects(mirrored.query('INSERT INTO item VALUES ($1)', [99]), { code: '23505' });
    assert.deepEqual(await onMirror(), { items: [], children: [], ran: 1 });
  });

  it('a query of several statements, the last of which failed, is run and undone as one', async () => {
    assert.equal(await run(`INSERT INTO item VALUES (1); ${onlyOnMirror}`), 1);
    assert.deepEqual(await onMirror(), { items: [], children: [], ran: 2 });
  });

  it('a query that failed between a BEGIN and a COMMIT of its own is dropped as unsafe', async () => {
    assert.equal(await run(`BEGIN; INSERT INTO item VALUES (1); COMMIT; ${onlyOnMirror}`), 1);
    assert.deepEqual(await onMirror(), { items: [], children: [], ran: 0 });
    assert.deepEqual((await mirrored.counts()).reasons, { unsafe: 1 });
  });

  for (const end of ['COMMIT', 'END']) {
    it(`a block that had failed when ${end} came is rolled back`, async () => {
      assert.equal(await run('BEGIN', 'INSERT INTO item VALUES (1)', onlyOnMirror, end), 1);
      assert.deepEqual(await onMirror(), { items: [], children: [], ran: 2 });
    });
  }

  it('a block whose COMMIT failed on a deferred constraint is rolled back', async () => {
    assert.equal(await run('BEGIN', 'INSERT INTO child (id, parent_id) VALUES (1, 7)', 'COMMIT'), 1);
    assert.deepEqual(await onMirror(), { items: [], children: [], ran: 1 });
  });

  it('a statement that failed by itself on a deferred constraint is undone', async () => {
    assert.equal(await run('INSERT INTO child (id, parent_id) VALUES (1, 7)'), 1);
    assert.deepEqual(await onMirror(), { items: [], children: [], ran: 1 });
  });

  it('after a savepoint was recovered only what is left of the block is committed', async () => {
    const [first, second] = ['INSERT INTO item VALUES (1)', 'INSERT INTO item VALUES (2)'];
    assert.equal(await run('BEGIN', first, 'SAVEPOINT s', onlyOnMirror, 'ROLLBACK TO s', second, 'COMMIT'), 1);
    assert.deepEqual(await onMirror(), { items: [1, 2], children: [], ran: 3 });
    assert.deepEqual(await mirrored.onSource('SELECT id FROM item ORDER BY id'), [{ id: 1 }, { id: 2 }, { id: 99 }]);
  });

  it('of requests sent ahead of their answers each has its own outcome', async (t) => {
    const client = await login(inReverse(t));
    const insert = (id: number): Buffer[] => [
      parse('', 'INSERT INTO item VALUES ($1)'),
      bind('', '', String(id)),
      execute(''),
      sync,
    ];
    client.send(...[1, 99, 2, 99, 3].flatMap(insert)); // 99 fails on the source
    // Within one request what stands behind an error is not run.
    client.send(...insert(4).slice(0, -1), ...insert(99).slice(0, -1), ...insert(5), ...insert(6));
    for (let requests = 7; requests > 0; requests -= 1) await client.readUntil('Z');
    assert.deepEqual(await onMirror(), { items: [1, 2, 3, 6], children: [], ran: 8 });
    const { mirrored: replayed, errors, total } = await mirrored.counts();
    assert.deepEqual({ replayed, errors, total }, { replayed: 7, errors: 0, total: 7 });
    const rows = await mirrored.onSource('SELECT id FROM item ORDER BY id');
    assert.deepEqual(
      rows.map(({ id }) => id),
      [1, 2, 3, 6, 99],
    );
  });

  it('a Flush behind a Sync is no part of the request that follows', async (t) => {
    const client = await login(inReverse(t));
    for (const id of [1, 2]) {
      client.send(parse('', `INSERT INTO item VALUES (${id})`), bind('', ''), execute(''), sync, flush);
      await client.readUntil('Z');
      await client.query(onlyOnMirror);
    }
    assert.deepEqual(await onMirror(), { items: [1, 2], children: [], ran: 4 });
    const { mirrored: replayed, errors, total } = await mirrored.counts();
    assert.deepEqual({ replayed, errors, total }, { replayed: 4, errors: 0, total: 4 });
  });

  it('a Query that the source skipped, whose Sync came later, is no part of the requests that follow', async (t) => {
    const client = await login(inReverse(t));
    client.send(parse('', 'no SQL'), queryMessage('INSERT INTO item VALUES (5)'));
    await client.readUntil('E');
    client.send(sync);
    await client.readUntil('Z');
    for (const id of [1, 2]) {
      await client.query(`INSERT INTO item VALUES (${id})`);
      await client.query(onlyOnMirror);
    }
    assert.deepEqual(await onMirror(), { items: [1, 2], children: [], ran: 4 });
  });

  it('a statement that its client cancelled is cancelled on the mirror as late', async (t) => {
    const client = await login(inReverse(t));
    client.send(queryMessage('INSERT INTO item SELECT 1 FROM pg_sleep(60)'));
    await eventually(async () => sleepsOnSource());
    await WireClient.cancel(mirrored.pgmirror, client.processId, client.secretKey);
    await client.readUntil('Z');
    assert.deepEqual(await onMirror(), { items: [], children: [], ran: 0 });
    const { mirrored: replayed, errors } = await mirrored.counts();
    assert.deepEqual({ replayed, errors }, { replayed: 1, errors: 0 });
  });

  it('a statement that query_timeout cancelled is cancelled on the mirror, too', async (t) => {
    await mirrored.pgmirror.admin('SET query_timeout = 200');
    t.after(() => mirrored.pgmirror.admin('SET query_timeout = 0'));
    const client = await login(inReverse(t));
    client.send(queryMessage('INSERT INTO item SELECT 1 FROM pg_sleep(60)'));
    await client.readUntil('E');
    await eventually(async () => (await mirrored.counts()).total === 1);
    assert.deepEqual(await onMirror(), { items: [], children: [], ran: 0 });
    const { mirrored: replayed, errors } = await mirrored.counts();
    assert.deepEqual({ replayed, errors }, { replayed: 1, errors: 0 });
  });

  it('a block whose client vanished is dropped', async (t) => {
    const client = await login(inReverse(t));
    await client.query('BEGIN');
    await client.query('INSERT INTO item VALUES (1)');
    await client.reset();
    const counts = await eventually(async () => {
      const now = await mirrored.counts();
      return now.total === 1 && now;
    });
    assert.deepEqual(counts.reasons, { aborted: 1 });
    assert.deepEqual(await onMirror(), { items: [], children: [], ran: 0 });
    assert.deepEqual(await mirrored.onSource('SELECT id FROM item'), [{ id: 99 }]);
  });

  it('so is one whose client says goodbye in it, but what ends it in the same write counts', async (t) => {
    for (const [last, items, reasons] of [
      [[], [], { aborted: 1 }],
      [[queryMessage('ROLLBACK')], [], {}],
      [[queryMessage('COMMIT')], [1], {}],
    ] as const) {
      await mirrored.pgmirror.admin('RESET STATS');
      const client = await login(inReverse(t));
      await client.query('BEGIN');
      await client.query('INSERT INTO item VALUES (1)');
      client.send(...last, terminate);
      const counts = await eventually(async () => {
        const now = await mirrored.counts();
        return now.total === 1 && now;
      });
      assert.deepEqual(counts.reasons, reasons);
      assert.deepEqual((await onMirror()).items, items);
    }
  });

  it('but a statement by itself is finished on both sides although its client vanished', async (t) => {
    const test = inReverse(t);
    const client = await login(test);
    const unlock = await lockTable(test, mirrored.sourceUrl, 'item');
    client.send(queryMessage('INSERT INTO item VALUES (1)'));
    await lockAwaited(mirrored.sourceUrl);
    await client.reset();
    await eventually(isLeaving);
    await unlock();
    await eventually(async () => (await mirrored.onSource('SELECT id FROM item WHERE id = 1')).length === 1);
    await eventually(async () => (await mirrored.counts()).total === 1);
    assert.deepEqual(await onMirror(), { items: [1], children: [], ran: 1 });
    assert.deepEqual((await mirrored.counts()).reasons, {});
  });

  it('a request that failed, and whose client vanished before its Sync, is over there, too', async (t) => {
    const client = await login(inReverse(t));
    client.send(parse('', 'SELECT FROM nowhere'), flush);
    await client.readUntil('E');
    await client.reset();
    await eventually(async () => (await mirrored.counts()).total === 1);
    const { mirrored: replayed, errors } = await mirrored.drained({ timeoutMs: 10_000 });
    assert.deepEqual({ replayed, errors }, { replayed: 1, errors: 0 });
  });

  it('and what refuses a block, and succeeded, is sent as it came', async () => {
    const failed = await run(
      'INSERT INTO item VALUES (1)',
      'CREATE INDEX CONCURRENTLY item_ran ON item (ran)',
      'REINDEX INDEX CONCURRENTLY item_ran',
      'VACUUM (ANALYZE) item',
      'CLUSTER',
    );
    const { mirrored: replayed, errors } = await mirrored.drained();
    assert.deepEqual({ failed, replayed, errors }, { failed: 0, replayed: 5, errors: 0 });
    const index = `SELECT indisvalid, reltuples FROM pg_index i, pg_class t
      WHERE i.indexrelid = 'item_ran'::regclass AND t.oid = 'item'::regclass`;
    assert.deepEqual(await mirrored.onMirror(index), [{ indisvalid: true, reltuples: 1 }]);
    assert.equal(await run('DROP INDEX CONCURRENTLY item_ran'), 0);
    assert.equal((await mirrored.drained()).errors, 0);
  });

  it('and a connection to the source that is lost drops what ran there', async () => {
    const client = new Client({ connectionString: mirrored.url });
    client.on('error', () => {});
    await client.connect();
    await client.query('BEGIN');
    await client.query('INSERT INTO item VALUES (1)');
    await mirrored.onSource(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE state = 'idle in transaction' AND datname = current_database()`,
    );
    await assert.rejects(client.query('COMMIT'));
    await client.end().catch(() => {});
    await eventually(async () => (await mirrored.counts()).total === 1);
    assert.deepEqual((await mirrored.counts()).reasons, { aborted: 1 });
    assert.deepEqual(await onMirror(), { items: [], children: [], ran: 0 });
  });

  it('a ROLLBACK that the source did not come to is left out', async () => {
    assert.equal(await run('BEGIN', `${onlyOnMirror}; ROLLBACK`, 'ROLLBACK'), 1);
    assert.deepEqual(await onMirror(), { items: [], children: [], ran: 1 });
    const { mirrored: replayed, errors } = await mirrored.counts();
    assert.deepEqual({ replayed, errors }, { replayed: 1, errors: 0 });
  });

  it('but what a request committed stays although something behind that failed', async (t) => {
    const client = await login(inReverse(t));
    await client.query('BEGIN');
    const insert = [parse('', 'INSERT INTO item VALUES (1)'), bind('', ''), execute('')];
    client.send(...insert, parse('', 'COMMIT'), bind('', ''), execute(''), parse('', 'SELECT FROM nowhere'), sync);
    await client.readUntil('Z');
    assert.deepEqual(await onMirror(), { items: [1], children: [], ran: 1 });
    assert.equal((await mirrored.counts()).errors, 0);
  });

  it('a COMMIT that was answered ends its block on both sides, whatever was sent behind it and never ended', async (t) => {
    const client = await login(inReverse(t));
    const statement = (text: string): Buffer[] => [parse('', text), bind('', ''), execute('')];
    await client.query('BEGIN');
    client.send(...statement('INSERT INTO item VALUES (1)'), ...statement('COMMIT'), flush);
    await client.readUntil('C');
    await client.readUntil('C');
    client.send(...statement('INSERT INTO item VALUES (2)'), flush);
    await client.readUntil('C');
    await client.reset();
    await eventually(async () => (await mirrored.counts()).total === 1);
    assert.deepEqual(await onMirror(), { items: [1], children: [], ran: 1 });
    assert.deepEqual(await mirrored.onSource('SELECT id FROM item ORDER BY id'), [{ id: 1 }, { id: 99 }]);
    const { mirrored: replayed, errors, reasons } = await mirrored.counts();
    assert.deepEqual({ replayed, errors, reasons }, { replayed: 1, errors: 0, reasons: {} });
  });

  it('and so does one that is not answered yet when its client vanishes', async (t) => {
    const test = inReverse(t);
    const client = await login(test);
    const statement = (text: string): Buffer[] => [parse('', text), bind('', ''), execute('')];
    await client.query('BEGIN');
    await client.query('INSERT INTO item VALUES (1)');
    const unlock = await lockTable(test, mirrored.sourceUrl, 'parent');
    client.send(...statement('SELECT FROM parent'), ...statement('COMMIT'));
    await lockAwaited(mirrored.sourceUrl);
    await client.reset();
    await eventually(isLeaving);
    await unlock();
    await eventually(async () => (await mirrored.counts()).total === 1);
    assert.deepEqual(await mirrored.onSource('SELECT id FROM item ORDER BY id'), [{ id: 1 }, { id: 99 }]);
    assert.deepEqual(await onMirror(), { items: [1], children: [], ran: 1 });
    assert.deepEqual((await mirrored.counts()).reasons, {});
  });

  it('the COMMIT behind a COPY that failed is left out', async (t) => {
    const client = await login(inReverse(t));
    await client.query('BEGIN');
    client.send(queryMessage('COPY item FROM STDIN; COMMIT'));
    await client.expect('G');
    client.send(msg('d', Buffer.from('1\t1\n99\t1\n')), msg('c'));
    await client.readUntil('Z');
    await client.query('ROLLBACK');
    assert.deepEqual(await onMirror(), { items: [], children: [], ran: 0 });
    const { mirrored: replayed, errors } = await mirrored.counts();
    assert.deepEqual({ replayed, errors }, { replayed: 1, errors: 0 });
  });

  it('and so is a COMMIT in one request with a COPY that went well', async (t) => {
    const client = await login(inReverse(t));
    await client.query('BEGIN');
    client.send(parse('', 'COPY child (id, parent_id) FROM STDIN'), bind('', ''), execute(''), flush);
    await client.expect('1', '2', 'G');
    client.send(msg('d', Buffer.from('1\t7\n')), msg('c'), parse('', 'COMMIT'), bind('', ''), execute(''), sync);
    await client.readUntil('Z');
    assert.deepEqual(await onMirror(), { items: [], children: [], ran: 1 });
    assert.equal((await mirrored.counts()).mirrored, 1);
  });

  describe('of a chain of blocks whose client vanished', () => {
    const insert = (id: number): string => `INSERT INTO item VALUES (${id})`;
    const extended = (...texts: readonly string[]): Buffer[] => [
      ...texts.flatMap((text) => [parse('', text), bind('', ''), execute('')]),
      sync,
    ];
    const chains: readonly (readonly [name: string, requests: readonly Buffer[][], items: number[], ran: number])[] = [
      [
        'what was committed arrives, and the rest is left out',
        ['BEGIN', insert(1), 'COMMIT AND CHAIN', insert(2)].map((text) => [queryMessage(text)]),
        [1],
        1,
      ],
      [
        'so it is where several statements come in one query',
        [[queryMessage(`BEGIN; ${insert(1)}; COMMIT AND CHAIN; ${insert(2)}`)], [queryMessage(insert(3))]],
        [1],
        2,
      ],
      [
        'or in one request of the extended protocol',
        [extended('BEGIN'), extended(insert(1), 'COMMIT AND CHAIN', insert(2)), extended(insert(3))],
        [1],
        2,
      ],
      [
        'where savepoints were left and blocks have failed',
        [
          ...['BEGIN', insert(1), 'SAVEPOINT s', onlyOnMirror, 'ROLLBACK TO s', 'COMMIT AND CHAIN', insert(2)],
          ...[onlyOnMirror, 'COMMIT AND CHAIN', insert(3), 'COMMIT AND CHAIN', insert(4), onlyOnMirror],
        ].map((text) => [queryMessage(text)]),
        [1, 3],
        5,
      ],
      [
        'and where another block was begun without a chain',
        [[queryMessage('BEGIN')], [queryMessage(`${insert(1)}; COMMIT; BEGIN`)], [queryMessage(insert(2))]],
        [1],
        1,
      ],
    ];
    for (const [name, requests, items, ran] of chains) {
      it(name, async (t) => {
        const client = await login(inReverse(t));
        for (const request of requests) {
          client.send(...request);
          await client.readUntil('Z');
        }
        await client.reset();
        await eventually(async () => (await mirrored.counts()).total === 1);
        assert.deepEqual(await onMirror(), { items, children: [], ran });
        const rows = await mirrored.onSource('SELECT id FROM item WHERE id < 99 ORDER BY id');
        assert.deepEqual(
          rows.map(({ id }) => id),
          items,
        );
        const { mirrored: replayed, errors, reasons } = await mirrored.counts();
        assert.deepEqual({ replayed, errors, reasons }, { replayed: 1, errors: 0, reasons: {} });
      });
    }

    it('nothing is left where none was committed', async (t) => {
      const client = await login(inReverse(t));
      for (const text of ['BEGIN', insert(1), 'ROLLBACK AND CHAIN', insert(2)]) await client.query(text);
      await client.reset();
      await eventually(async () => (await mirrored.counts()).total === 1);
      assert.deepEqual((await mirrored.counts()).reasons, { aborted: 1 });
      assert.deepEqual(await onMirror(), { items: [], children: [], ran: 0 });
    });
  });

  async function sleepsOnSource(): Promise<boolean> {
    const sql = `SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()`;
    return (await mirrored.onSource(sql)).length === 1;
  }

  /** Whether pgmirror has seen that a client is gone whose statement still runs. */
  async function isLeaving(): Promise<boolean> {
    return (await mirrored.pgmirror.admin('SHOW CLIENTS')).some(({ state }) => state === 'leaving');
  }

  async function login(test: Cleanup): Promise<WireClient> {
    const client = await WireClient.login(mirrored.pgmirror, alice);
    test.after(async () => client.destroy());
    return client;
  }
});
