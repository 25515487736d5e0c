import { after, before, describe, it } from 'node:test';

import { and, eq, sql as drizzleSql } from 'drizzle-orm';
import { drizzle as drizzleNodePostgres } from 'drizzle-orm/node-postgres';
import { integer, jsonb, pgTable, primaryKey, text } from 'drizzle-orm/pg-core';
import { drizzle as drizzlePostgresJs } from 'drizzle-orm/postgres-js';
import knex from 'knex';
import { Kysely, PostgresDialect, sql, type Generated } from 'kysely';
import { Pool } from 'pg';
import Cursor from 'pg-cursor';
import postgres from 'postgres';

import { inReverse } from '../support/cleanup.ts';
import { BothWays, sqlstateOf } from './both-ways.ts';

const ROUNDS = 8;

const tables = `
  CREATE TABLE person (session int, id int, name text NOT NULL, age int, PRIMARY KEY (session, id));
  CREATE TABLE pet (session int, owner int, name text, detail jsonb, FOREIGN KEY (session, owner) REFERENCES person)`;

describe('query builders', () => {
  const cleanup = inReverse({ after });
  let both: BothWays;

  before(async () => {
    both = await BothWays.start(cleanup);
    for (const schema of ['of_knex', 'of_kysely', 'of_drizzle', 'of_drizzle_js']) {
      await both.prepare(`CREATE SCHEMA ${schema}; SET search_path = ${schema}; ${tables}`);
    }
  });

  it('knex: transactions, savepoints, joins, streams and a raw error', async () => {
    await both.same(async (url, session) => {
      const db = knex({ client: 'pg', connection: url, searchPath: ['of_knex'], pool: { min: 0, max: 2 } });
      try {
        const seen: unknown[] = [];
        for (let id = 0; id < ROUNDS; id++) {
          await db.transaction(async (block) => {
            await block('person').insert({ session, id, name: `person ${id}`, age: 20 + id });
            await block
              .transaction(async (inner) => inner('person').insert({ session, id, name: 'twice' }))
              .catch((error: { code: string }) => seen.push(error.code));
            await block('pet').insert({ session, owner: id, name: 'cat', detail: { id } });
          });
          seen.push(await sqlstateOf(db.raw('SELECT 1 / ?::int', [0])));
        }
        seen.push(
          await db('person')
            .join('pet', { 'pet.session': 'person.session', 'pet.owner': 'person.id' })
            .where('person.session', session)
            .orderBy('id')
            .select('person.name', 'pet.detail'),
        );
        for await (const row of db('person').where({ session }).orderBy('id').stream()) seen.push(row);
        return seen;
      } finally {
        await db.destroy();
      }
    });
  });

  it('kysely: transactions, joins and streams', async () => {
    interface Database {
      person: { session: number; id: number; name: string; age: number | null };
      pet: { session: number; owner: number; name: string; detail: Generated<unknown> };
    }
    await both.same(async (url, session) => {
      const pool = new Pool({ connectionString: url, max: 2, options: '-c search_path=of_kysely' });
      const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool, cursor: Cursor }) });
      try {
        const seen: unknown[] = [];
        for (let id = 0; id < ROUNDS; id++) {
          const person = { session, id, name: `person ${id}`, age: id };
          await db.transaction().execute(async (block) => {
            await block.insertInto('person').values(person).execute();
            await block.insertInto('pet').values({ session, owner: id, name: 'dog', detail: { id } }).execute();
          });
          seen.push(await sqlstateOf(db.insertInto('person').values(person).execute()));
          seen.push(
            await db
              .updateTable('person')
              .set({ age: sql`age + 1` })
              .where('session', '=', session)
              .returning('age')
              .executeTakeFirst(),
          );
        }
        seen.push(
          await db
            .selectFrom('person')
            .innerJoin('pet', (join) =>
              join.onRef('pet.owner', '=', 'person.id').onRef('pet.session', '=', 'person.session'),
            )
            .where('person.session', '=', session)
            .orderBy('id')
            .select(['person.name', 'age', 'detail'])
            .execute(),
        );
        const everybody = db.selectFrom('person').selectAll().where('session', '=', session).orderBy('id');
        for await (const row of everybody.stream(3)) seen.push(row);
        return seen;
      } finally {
        await db.destroy();
      }
    });
  });

  function drizzleTables(session: number) {
    const person = pgTable(
      'person',
      { session: integer().notNull(), id: integer().notNull(), name: text().notNull(), age: integer() },
      (table) => [primaryKey({ columns: [table.session, table.id] })],
    );
    const pet = pgTable('pet', { session: integer(), owner: integer(), name: text(), detail: jsonb() });
    const ofOwner = and(eq(pet.session, person.session), eq(pet.owner, person.id));
    return { person, pet, ofOwner, mine: eq(person.session, session) };
  }

  it('drizzle-orm on pg: prepared queries and transactions that roll back', async () => {
    await both.same(async (url, session) => {
      const pool = new Pool({ connectionString: url, max: 2, options: '-c search_path=of_drizzle' });
      const db = drizzleNodePostgres({ client: pool });
      const { person, pet, ofOwner, mine } = drizzleTables(session);
      try {
        const seen: unknown[] = [];
        const counted = db
          .select({ count: drizzleSql<number>`count(*)::int` })
          .from(person)
          .where(eq(person.session, drizzleSql.placeholder('session')))
          .prepare('counted');
        for (let id = 0; id < ROUNDS; id++) {
          const block = db.transaction(async (tx) => {
            await tx.insert(person).values({ session, id, name: `person ${id}`, age: id });
            await tx.insert(pet).values({ session, owner: id, name: 'fish', detail: { id } });
            if (id % 3 === 2) tx.rollback();
          });
          seen.push(
            await block.then(
              () => 'committed',
              () => 'rolled back',
            ),
            await counted.execute({ session }),
          );
        }
        seen.push(await db.select().from(person).innerJoin(pet, ofOwner).where(mine).orderBy(person.id));
        return seen;
      } finally {
        await pool.end();
      }
    });
  });

  it('drizzle-orm on postgres: transactions and nested ones', async () => {
    await both.same(async (url, session) => {
      const client = postgres(url, { max: 2, connection: { search_path: 'of_drizzle_js' }, onnotice: () => {} });
      const db = drizzlePostgresJs({ client });
      const { person, pet, ofOwner, mine } = drizzleTables(session);
      try {
        const seen: unknown[] = [];
        for (let id = 0; id < ROUNDS; id++) {
          await db.transaction(async (tx) => {
            await tx.insert(person).values({ session, id, name: `person ${id}`, age: id });
            const inner = tx.transaction(async (nested) => {
              await nested.insert(pet).values({ session, owner: id, name: 'bird', detail: { id } });
              if (id % 2 === 1) nested.rollback();
            });
            seen.push(
              await inner.then(
                () => 'committed',
                () => 'rolled back',
              ),
            );
          });
          seen.push(await sqlstateOf(db.insert(person).values({ session, id, name: 'twice' })));
        }
        seen.push(await db.select().from(person).leftJoin(pet, ofOwner).where(mine).orderBy(person.id));
        return seen;
      } finally {
        await client.end({ timeout: 5 });
      }
    });
  });
});
