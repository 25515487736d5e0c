import { after, before, describe, it } from 'node:test';

import postgres from 'postgres';

import { inReverse } from '../support/cleanup.ts';
import { within } from '../support/eventually.ts';
import { BothWays, sqlstateOf } from './both-ways.ts';

const ROUNDS = 10;

for (const prepare of [true, false]) {
  describe(`postgres with prepare: ${prepare}`, () => {
    const cleanup = inReverse({ after });
    let both: BothWays;

    before(async () => {
      both = await BothWays.start(cleanup);
      await both.prepare('CREATE TABLE item (session int, id int, name text, detail jsonb, PRIMARY KEY (session, id))');
    });

    async function connected<T>(url: string, use: (sql: postgres.Sql) => Promise<T>): Promise<T> {
      const sql = postgres(url, { prepare, max: 2, idle_timeout: 20, onnotice: () => {} });
      try {
        return await use(sql);
      } finally {
        await sql.end({ timeout: 5 });
      }
    }

    it('pipelines queries, and rolls back what fails', async () => {
      await both.same(async (url, session) =>
        connected(url, async (sql) => {
          const seen: unknown[] = [];
          for (let id = 0; id < ROUNDS; id++) {
            await sql`INSERT INTO item ${sql({ session, id, name: `name ${id}`, detail: sql.json({ id }) })}`;
            const failed = sql.begin(async (block) => {
              await block`UPDATE item SET name = 'changed' WHERE session = ${session} AND id = ${id}`;
              await block.savepoint(async (inner) => inner`SELECT 1 / ${id - id}::int`);
            });
            seen.push(await sqlstateOf(failed));
            const answers = [1, 2, 3, 4, 5].map(async (n) => sql`SELECT ${n}::int * ${session}::int AS product`);
            seen.push(...(await Promise.all(answers)).map((rows) => [...rows]));
          }
          seen.push([...(await sql`SELECT * FROM item WHERE session = ${session} ORDER BY id`)]);
          seen.push([...(await sql.unsafe('SELECT 1 AS one').simple())]);
          return seen;
        }),
      );
    });

    it('reads in batches with a cursor', async () => {
      await both.same(async (url, session) =>
        connected(url, async (sql) => {
          const batches: unknown[] = [];
          for await (const rows of sql`SELECT n * ${session}::int AS n FROM generate_series(1, 100) n`.cursor(30)) {
            batches.push([...rows]);
          }
          return batches;
        }),
      );
    });

    it('copies in and out', async () => {
      await both.same(async (url, session) =>
        connected(url, async (sql) => {
          const into = await sql`COPY item (session, id, name) FROM STDIN`.writable();
          const written = new Promise((resolve, reject) => into.on('finish', resolve).on('error', reject));
          into.end(Array.from({ length: 500 }, (_, n) => `${session}\t${1000 + n}\tcopied ${n}\n`).join(''));
          await written;
          let text = '';
          const select = `COPY (SELECT * FROM item WHERE session = ${session} AND id >= 1000 ORDER BY id) TO STDOUT`;
          for await (const chunk of await sql.unsafe(select).readable()) text += String(chunk);
          return text;
        }),
      );
    });

    it('listens', async () => {
      await both.same(async (url, session) =>
        connected(url, async (sql) => {
          const heard = Promise.withResolvers<string>();
          const listening = await sql.listen(`channel_${session}`, heard.resolve);
          await sql.notify(`channel_${session}`, `to ${session}`);
          const payload = await within(heard.promise, 20_000, 'the notification');
          await listening.unlisten();
          return payload;
        }),
      );
    });
  });
}
