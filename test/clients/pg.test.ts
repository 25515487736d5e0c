import { once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { after, before, describe, it } from 'node:test';

import { Client, Pool } from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import Cursor from 'pg-cursor';
import QueryStream from 'pg-query-stream';

import { inReverse } from '../support/cleanup.ts';
import { within } from '../support/eventually.ts';
import { BothWays, sqlstateOf } from './both-ways.ts';

const ROUNDS = 10;

/** A session of `pg`, from its login to its end. */
async function connected<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

describe('pg', () => {
  const cleanup = inReverse({ after });
  let both: BothWays;

  before(async () => {
    both = await BothWays.start(cleanup);
    await both.prepare(`
      CREATE TABLE account (session int, id int, balance numeric NOT NULL, note text, tags text[], detail jsonb,
        PRIMARY KEY (session, id));
      CREATE TABLE copied (session int, id int, line text)`);
  });

  it('runs transactions, named statements and statements that fail', async () => {
    await both.same(async (url, session) =>
      connected(url, async (client) => {
        const seen: unknown[] = [];
        for (let id = 0; id < ROUNDS; id++) {
          await client.query('BEGIN');
          await client.query('INSERT INTO account VALUES ($1, $2, $3, $4, $5, $6)', [
            session,
            id,
            '10.50',
            id % 3 === 0 ? null : `note ${id}`,
            ['a', `b${id}`],
            { id, deep: { session } },
          ]);
          await client.query(id % 4 === 3 ? 'ROLLBACK' : 'COMMIT');
          const named = { name: 'of-session', text: 'SELECT * FROM account WHERE session = $1 ORDER BY id' };
          seen.push((await client.query({ ...named, values: [session] })).rows);
          seen.push(await sqlstateOf(client.query('SELECT 1 / $1::int', [0])));
          seen.push(await client.query('SELECT 1 AS one; SELECT 2 AS two'));
        }
        await client.query('BEGIN');
        seen.push(await sqlstateOf(client.query('SELEC')));
        seen.push(await sqlstateOf(client.query('SELECT 1')));
        seen.push((await client.query('COMMIT')).command);
        return JSON.parse(JSON.stringify(seen)) as unknown;
      }),
    );
  });

  it('keeps the settings of each session apart', async () => {
    await both.same(async (url, session) =>
      connected(url, async (client) => {
        const seen: unknown[] = [];
        await client.query(`SET application_name = 'session ${session}'`);
        await client.query(`SET TIME ZONE INTERVAL '${session}:00' HOUR TO MINUTE`);
        await client.query(`SELECT set_config('pgmirror_test.own', $1, false)`, [String(session)]);
        for (let round = 0; round < ROUNDS; round++) {
          const { rows } = await client.query(
            `SELECT current_setting('application_name') AS name, current_setting('pgmirror_test.own') AS own,
               '2024-05-01 00:00+00'::timestamptz::text AS at`,
          );
          seen.push(rows);
          await client.query(`BEGIN; SET LOCAL application_name = 'local'; ROLLBACK`);
        }
        return seen;
      }),
    );
  });

  it('queries through a pool of its own', async () => {
    await both.same(async (url, session) => {
      const pool = new Pool({ connectionString: url, max: 3 });
      try {
        const answers = Array.from({ length: 3 * ROUNDS }, async (_, n) =>
          pool.query('SELECT $1::int AS session, $2::int * 2 AS twice', [session, n]),
        );
        return (await Promise.all(answers)).map(({ rows }) => rows as unknown[]);
      } finally {
        await pool.end();
      }
    });
  });

  it('reads with cursors (pg-cursor), to the end or not', async () => {
    await both.same(async (url, session) =>
      connected(url, async (client) => {
        const seen: unknown[] = [];
        for (let round = 0; round < ROUNDS; round++) {
          await client.query('BEGIN');
          const cursor = client.query(
            new Cursor<{ n: number }>('SELECT $1::int * n AS n FROM generate_series(1, 50) n', [session]),
          );
          seen.push(await cursor.read(7), await cursor.read(round % 2 === 0 ? 100 : 5));
          await cursor.close();
          await client.query('COMMIT');
          const outside = client.query(new Cursor('SELECT n FROM generate_series(1, 5) n'));
          seen.push(await outside.read(10));
          await outside.close();
        }
        return seen;
      }),
    );
  });

  it('streams rows (pg-query-stream)', async () => {
    await both.same(async (url, session) =>
      connected(url, async (client) => {
        let sum = 0;
        const stream = new QueryStream(
          'SELECT n, repeat($1, 100) AS text FROM generate_series(1, 2000) n',
          [`${session}`],
          {
            batchSize: 100,
          },
        );
        for await (const row of client.query(stream) as AsyncIterable<{ n: number; text: string }>) {
          sum += row.n + row.text.length;
        }
        return [sum, (await client.query('SELECT $1::int AS session', [session])).rows];
      }),
    );
  });

  it('copies in and out (pg-copy-streams)', async () => {
    await both.same(async (url, session) =>
      connected(url, async (client) => {
        const lines = Array.from({ length: 2000 }, (_, id) => `${session}\t${id}\tline ${id} of ${session}\n`);
        await pipeline(Readable.from(lines), client.query(copyFrom('COPY copied FROM STDIN')));
        const broken = client.query(copyFrom('COPY copied FROM STDIN'));
        const failed = once(broken, 'error') as Promise<[Error & { code: string }]>;
        broken.end('not a number\n');
        const [{ code }] = await failed;
        let text = '';
        const out = client.query(
          copyTo(`COPY (SELECT * FROM copied WHERE session = ${session} ORDER BY id) TO STDOUT`),
        );
        await pipeline(
          out,
          new Writable({
            write(chunk: Buffer, _encoding, done) {
              text += chunk.toString('utf8');
              done();
            },
          }),
        );
        return [code, text];
      }),
    );
  });

  it('pins a client that listens, and delivers to it', async () => {
    await both.same(async (url, session) =>
      connected(url, async (client) => {
        const heard = once(client, 'notification') as Promise<[{ channel: string; payload?: string }]>;
        await client.query(`LISTEN channel_${session}`);
        await connected(url, async (other) =>
          other.query('SELECT pg_notify($1, $2)', [`channel_${session}`, `to ${session}`]),
        );
        const [{ channel, payload }] = await within(heard, 20_000, 'the notification');
        await client.query('UNLISTEN *');
        return [channel, payload];
      }),
    );
  });
});
