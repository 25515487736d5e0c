import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { Mirrored, type MirroredOptions } from '../support/mirrored.ts';
import { query, withClient, type RunningPostgres } from '../support/postgres.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';

const schema = 'CREATE TABLE item (id integer, note text)';

describe('What is mirrored can be chosen', () => {
  const cleanup = inReverse({ after });
  let server: RunningPostgres;

  before(async () => {
    server = await startWatchedPostgres(cleanup);
  });

  /** Begins with a mirror that takes everything, for which the helpers wait, and then sets the conditions. */
  async function start(test: Cleanup, mirroring: object, options: MirroredOptions = {}): Promise<Mirrored> {
    const mirrored = await Mirrored.start(test, { source: server }, { schema, ...options });
    await mirrored.pgmirror.reload({
      mirroring: [{ source_db: 'app', destination_db: 'shadow', ...options.mirroring, ...mirroring }],
    });
    return mirrored;
  }

  const insert = (id: number, note = ''): string => `INSERT INTO item VALUES (${id}, '${note}')`;

  async function ids(mirrored: Mirrored): Promise<number[]> {
    return (await mirrored.onMirror<{ id: number }>('SELECT id FROM item ORDER BY id')).map(({ id }) => id);
  }

  it('by user and application name, both, before the roll', async (t) => {
    const more = { server_user: server.user, server_password: server.password };
    const users = ['alice', 'bob'].map((name) => ({ name, database: 'app', password: name, ...more }));
    const mirrored = await start(inReverse(t), { users: ['alice'], application_names: ['shop', 'jobs'] }, { users });
    const urlOf = (user: string, name: string): string =>
      `${mirrored.pgmirror.url('app', user)}?application_name=${name}`;
    await query(urlOf('alice', 'shop'), insert(1));
    await query(urlOf('alice', 'other'), insert(2));
    await query(urlOf('bob', 'shop'), insert(3));
    await withClient(urlOf('alice', 'other'), async (client) => {
      await client.query(insert(4));
      await client.query(`SET application_name TO 'jobs'`);
      await client.query(insert(5));
    });
    const { reasons } = await mirrored.drained();
    assert.deepEqual(reasons, { filtered: 4 });
    assert.deepEqual(await ids(mirrored), [1, 5]);
  });

  it('by the statements’ text: one must match, none may', async (t) => {
    const conditions = { query: '(?i)\\bitem\\b', exclude_query: 'secret|^/\\* health \\*/' };
    const mirrored = await start(inReverse(t), conditions);
    await withClient(mirrored.url, async (client) => {
      await client.query('SELECT 1');
      await client.query(insert(1));
      await client.query(insert(2, 'secret'));
      await client.query('/* health */ SELECT count(*) FROM item');
      await client.query('insert into ITEM values ($1)', [3]);
      await client.query({ name: 'put', text: `INSERT INTO item SELECT $1::int, 'secret'`, values: [4] });
      await client.query('BEGIN');
      await client.query('SELECT 1');
      await client.query(insert(5));
      await client.query('COMMIT');
    });
    const { reasons } = await mirrored.drained();
    assert.deepEqual(reasons, { filtered: 4 });
    assert.deepEqual(await ids(mirrored), [1, 3, 5]);
  });

  it('and a hostile pattern with a hostile text stalls neither its lane nor the others', async (t) => {
    const mirrored = await start(inReverse(t), { exclude_query: '(a+)+b$' });
    await Promise.all([
      query(mirrored.url, insert(1, 'a'.repeat(200_000))),
      ...[2, 3, 4].map(async (id) => query(mirrored.url, insert(id))),
    ]);
    await mirrored.drained();
    assert.deepEqual(await ids(mirrored), [1, 2, 3, 4]);
  });

  for (const [level, taken] of [
    ['write', [1, 2, 4]],
    ['dml', [1, 4]],
    ['ddl', [3]],
  ] as const) {
    it(`by what the statements do: level "${level}"`, async (t) => {
      const mirrored = await start(inReverse(t), { level });
      await withClient(mirrored.url, async (client) => {
        await client.query('SELECT * FROM item');
        await client.query(insert(1));
        await client.query(`CREATE TABLE more (id integer); ${insert(2)}`);
        await client.query('CREATE TABLE other_3 (id integer)');
        await client.query('BEGIN');
        await client.query('SELECT 1');
        await client.query(insert(4));
        await client.query('COMMIT');
      });
      await mirrored.drained();
      const tables = await mirrored.onMirror(`SELECT 1 FROM pg_class WHERE relname = 'other_3'`);
      const found = [...(await ids(mirrored)), ...tables.map(() => 3)];
      assert.deepEqual(found, level === 'write' ? [...taken, 3] : taken);
    });
  }

  it('by a roll that sticks to the connection, the user or the application name', async (t) => {
    const mirrored = await start(inReverse(t), { exposure: 0.5, sticky: 'client' }, { general: { workers: 2 } });
    await assertAllOrNothing(mirrored, () => mirrored.url);

    await mirrored.pgmirror.reload({
      mirroring: [{ source_db: 'app', destination_db: 'shadow', exposure: 0.5, sticky: 'application_name' }],
    });
    const names = Array.from({ length: 12 }, (_, index) => `job${index}`);
    const first = await Promise.all(
      names.map(async (name) => arrives(mirrored, `${mirrored.url}?application_name=${name}`)),
    );
    const again = await Promise.all(
      names.map(async (name) => arrives(mirrored, `${mirrored.url}?application_name=${name}`)),
    );
    assert.deepEqual(again, first, 'the same names, on whichever thread');
    assert.ok(first.includes(true) && first.includes(false));
    await mirrored.pgmirror.admin('SET exposure = 0.8 FOR MIRROR shadow');
    const more = await Promise.all(
      names.map(async (name) => arrives(mirrored, `${mirrored.url}?application_name=${name}`)),
    );
    assert.ok(
      first.every((was, index) => !was || more[index]),
      'a higher exposure takes none away',
    );
  });

  let nextMark = 100;

  /** Whether what a connection does reaches the mirror. */
  async function arrives(mirrored: Mirrored, url: string): Promise<boolean> {
    const mark = nextMark++;
    await query(url, insert(mark));
    await mirrored.drained();
    return (await ids(mirrored)).includes(mark);
  }

  async function assertAllOrNothing(mirrored: Mirrored, url: () => string): Promise<void> {
    const counts = new Set<number>();
    for (let round = 0; round < 16; round++) {
      await mirrored.pgmirror.admin('RESET STATS');
      await withClient(url(), async (client) => {
        for (let count = 0; count < 4; count++) await client.query('SELECT 1');
      });
      counts.add((await mirrored.drained()).mirrored);
    }
    assert.deepEqual(
      [...counts].sort((a, b) => a - b),
      [0, 4],
    );
  }
});
