import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';

import { freePort } from '../../src/cli/embedded/free-port.ts';

import { alice } from '../support/alice.ts';
import { bind, cstr, execute, msg, parse, query, sync } from '../support/bytes.ts';
import { inReverse, type Cleanup } from '../support/cleanup.ts';
import { askQueries } from '../support/http.ts';
import { Mirrored } from '../support/mirrored.ts';
import { startWatchedPostgres } from '../support/watched-postgres.ts';
import { WireClient } from '../support/wire-client.ts';

const copy = 'COPY item FROM STDIN';
const data = (text: string): Buffer => msg('d', Buffer.from(text));
const done = msg('c');
/** How a COPY is begun, and what stands behind its data. */
const manners = [
  { how: 'by a simple query', command: [query(copy)], ended: [done] },
  { how: 'by a simple query with a Sync behind it', command: [query(copy), sync], ended: [done] },
  { how: 'by the extended protocol', command: [parse('', copy), bind('', ''), execute('')], ended: [done, sync] },
  {
    how: 'by the extended protocol with a Sync that the server ignores',
    command: [parse('', copy), bind('', ''), execute(''), sync],
    ended: [done, sync],
  },
] as const;

describe('COPY … FROM STDIN', () => {
  const cleanup = inReverse({ after });
  let mirrored: Mirrored;
  let httpPort: number;

  before(async () => {
    httpPort = await freePort();
    const schema = 'CREATE TABLE item (id integer PRIMARY KEY, note text)';
    const options = { schema, general: { http_port: httpPort } };
    mirrored = await Mirrored.start(cleanup, { source: await startWatchedPostgres(cleanup) }, options);
  });

  beforeEach(async () => {
    await mirrored.onSource('TRUNCATE item');
    await mirrored.onMirror('TRUNCATE item');
    await mirrored.pgmirror.admin('RESET STATS');
  });

  async function login(test: Cleanup): Promise<WireClient> {
    const client = await WireClient.login(mirrored.pgmirror, alice);
    test.after(async () => client.destroy());
    return client;
  }

  /** Behind a COPY of one row the next request of its client is mirrored, too. */
  async function assertNextMirrored(client: WireClient): Promise<void> {
    await client.query(`INSERT INTO item VALUES (2, 'two')`);
    const two = [
      { id: 1, note: 'one' },
      { id: 2, note: 'two' },
    ];
    await assertMirrored(two, 2);
  }

  async function assertMirrored(rows: readonly { id: number; note: string }[], transactions: number): Promise<void> {
    const counts = await mirrored.drained();
    assert.deepEqual([counts.mirrored, counts.errors, counts.reasons], [transactions, 0, {}]);
    assert.deepEqual(await mirrored.onMirror('SELECT * FROM item ORDER BY id'), rows);
    assert.deepEqual(await mirrored.onSource('SELECT * FROM item ORDER BY id'), rows);
  }

  it('by a simple query brings its rows to the mirror', async (t) => {
    const client = await login(inReverse(t));
    client.send(query(copy));
    await client.expect('G');
    client.send(data('1\tone\n2\t'), data('two\n'), done);
    await client.expect('C', 'Z');
    await client.query(`INSERT INTO item VALUES (3, 'three')`);
    const three = [
      { id: 1, note: 'one' },
      { id: 2, note: 'two' },
      { id: 3, note: 'three' },
    ];
    await assertMirrored(three, 2);
  });

  it('brings megabytes to source and mirror as they are, wherever the client cuts them', async (t) => {
    const client = await login(inReverse(t));
    const lines = Array.from({ length: 4_000 }, (_, id) => `${id}\t${String(id).repeat(1 + (id % 997))}\n`).join('');
    // Messages and writes end where rows do not, and neither where the other does.
    const messages = Buffer.concat(
      slices(Buffer.from(lines), [1, 17, 8_187, 60_000, 3, 200_000]).map((part) => msg('d', part)),
    );
    client.send(query(copy));
    await client.expect('G');
    for (const part of slices(Buffer.concat([messages, done]), [4, 70_000, 5, 1_500, 300_000, 1])) client.send(part);
    await client.expect('C', 'Z');
    const { mirrored: replayed, errors, reasons } = await mirrored.drained();
    assert.deepEqual([replayed, errors, reasons], [1, 0, {}]);
    const expected = [{ digest: createHash('md5').update(lines).digest('hex') }];
    const digest = String.raw`SELECT md5(string_agg(id || E'\t' || note || E'\n', '' ORDER BY id)) AS digest FROM item`;
    assert.deepEqual(await mirrored.onSource(digest), expected);
    assert.deepEqual(await mirrored.onMirror(digest), expected);
  });

  it('by the extended protocol does so, too', async (t) => {
    const client = await login(inReverse(t));
    client.send(parse('', copy), bind('', ''), execute(''), data('1\tone\n'), done, sync);
    await client.expect('1', '2', 'G', 'C', 'Z');
    await assertMirrored([{ id: 1, note: 'one' }], 1);
  });

  it('within a block is committed with the block', async (t) => {
    const client = await login(inReverse(t));
    for (const [id, end] of [
      [1, 'ROLLBACK'],
      [2, 'COMMIT'],
    ] as const) {
      await client.query('BEGIN');
      client.send(query(copy));
      await client.expect('G');
      client.send(data(`${id}\tblock\n`), done);
      await client.expect('C', 'Z');
      await client.query(end);
    }
    await assertMirrored([{ id: 2, note: 'block' }], 2);
  });

  it('that the client gave up or the source refused brings nothing', async (t) => {
    const client = await login(inReverse(t));
    client.send(query(copy));
    await client.expect('G');
    client.send(data('1\tone\n'), msg('f', cstr('changed my mind')));
    await client.expect('E', 'Z');
    client.send(query(copy));
    await client.expect('G');
    client.send(data('1\tone\nnot a number\ttwo\n'), data('3\tthree\n'), done);
    await client.expect('E', 'Z');
    await client.query(`INSERT INTO item VALUES (4, 'four')`);
    const { errors } = await mirrored.drained();
    assert.equal(errors, 0);
    await assertMirrored([{ id: 4, note: 'four' }], 3);
  });

  for (const { how, command, ended } of manners) {
    it(`${how} is refused by the mirror as it was by the source, whether its data end or not`, async (t) => {
      const client = await login(inReverse(t));
      for (const end of [ended, ended.filter((message) => message !== done)]) {
        client.send(...command);
        await client.readUntil('G');
        client.send(data('1\tone\n'), data('not a number\ttwo\n'), ...end);
        await client.expect('E', 'Z');
        await client.query(`INSERT INTO item VALUES (4, 'four') ON CONFLICT DO NOTHING`);
      }
      await assertMirrored([{ id: 4, note: 'four' }], 4);
      const told = (await askQueries(httpPort)).find((one) => one.query.startsWith('COPY'));
      assert.deepEqual(told?.errors, { source: { '22P02': 2 }, mirror: { '22P02': 2 } });
    });

    it(`${how} serves the next request on the mirror`, async (t) => {
      const client = await login(inReverse(t));
      client.send(...command);
      await client.readUntil('G');
      client.send(data('1\tone\n'), ...ended);
      await client.expect('C', 'Z');
      await assertNextMirrored(client);
    });
  }

  it('whose client vanished brings nothing, and the connection serves the next', async (t) => {
    const client = await login(inReverse(t));
    client.send(query(copy));
    await client.expect('G');
    client.send(data('1\tone\n'));
    await client.reset();
    await mirrored.query(`INSERT INTO item VALUES (2, 'two')`);
    await mirrored.drained();
    assert.deepEqual(await mirrored.onMirror('SELECT id FROM item'), [{ id: 2 }]);
    assert.deepEqual(await mirrored.onSource('SELECT id FROM item'), [{ id: 2 }]);
  });

  for (const [how, early] of [
    ['at one stroke', true],
    ['before the data, which waits for the answer', false],
  ] as const) {
    it(`by the extended protocol with a Sync that the server ignores, sent ${how}, is mirrored`, async (t) => {
      const client = await login(inReverse(t));
      const [command, rows] = [
        [parse('', copy), bind('', ''), execute(''), sync],
        [data('1\tone\n'), done, sync],
      ];
      client.send(...command, ...(early ? rows : []));
      await client.expect('1', '2', 'G');
      if (!early) client.send(...rows);
      await client.expect('C', 'Z');
      await assertNextMirrored(client);
    });
  }
});

/** Cut into pieces of these lengths, again and again. */
function slices(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += parts.at(-1)?.length ?? 1) {
    parts.push(bytes.subarray(at, at + (lengths[parts.length % lengths.length] ?? 1)));
  }
  return parts;
}
