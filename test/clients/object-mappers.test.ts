import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { DataTypes, Sequelize, Transaction } from 'sequelize';
import { DataSource, EntitySchema } from 'typeorm';

import { inReverse } from '../support/cleanup.ts';
import { BothWays, sqlstateOf } from './both-ways.ts';

const ROUNDS = 6;

interface Order {
  session: number;
  id: number;
  customer: string;
  total: string;
  lines: OrderLine[];
}

interface OrderLine {
  session: number;
  number: number;
  article: string;
  order?: Order;
}

const orderSchema = new EntitySchema<Order>({
  name: 'order',
  tableName: 'typeorm_order',
  columns: {
    session: { type: 'int', primary: true },
    id: { type: 'int', primary: true },
    customer: { type: 'text' },
    total: { type: 'numeric' },
  },
  relations: { lines: { type: 'one-to-many', target: 'orderLine', inverseSide: 'order', cascade: true } },
});

const orderLineSchema = new EntitySchema<OrderLine>({
  name: 'orderLine',
  tableName: 'typeorm_order_line',
  columns: {
    session: { type: 'int', primary: true },
    number: { type: 'int', primary: true },
    article: { type: 'text' },
  },
  relations: { order: { type: 'many-to-one', target: 'order', inverseSide: 'lines' } },
});

describe('object mappers', () => {
  const cleanup = inReverse({ after });
  let both: BothWays;

  before(async () => {
    both = await BothWays.start(cleanup);
  });

  it('typeorm: makes its schema', async () => {
    for (const url of both.urls) {
      const source = new DataSource({
        type: 'postgres',
        url,
        entities: [orderSchema, orderLineSchema],
        synchronize: true,
      });
      await source.initialize();
      await source.synchronize(); // finds nothing more to do
      await source.destroy();
    }
    await both.assertAtRest();
  });

  it('typeorm: cascades, locks and transactions', async () => {
    await both.same(async (url, session) => {
      const source = new DataSource({ type: 'postgres', url, entities: [orderSchema, orderLineSchema], poolSize: 2 });
      await source.initialize();
      try {
        const seen: unknown[] = [];
        const orders = source.getRepository<Order>('order');
        for (let id = 0; id < ROUNDS; id++) {
          const lines = [1, 2].map((n) => ({ session, number: 10 * id + n, article: `article ${n}` }));
          await orders.save({ session, id, customer: `customer ${id}`, total: '1.50', lines });
          const failing = source.transaction('SERIALIZABLE', async (manager) => {
            await manager.update('order', { session, id }, { customer: 'changed' });
            await manager.query('SELECT 1 / $1::int', [0]);
          });
          seen.push(await sqlstateOf(failing));
          await source.transaction(async (manager) => {
            const locked = await manager.findOne<Order>('order', {
              where: { session, id },
              lock: { mode: 'pessimistic_write' },
            });
            assert.ok(locked !== null);
            await manager.increment('order', { session, id }, 'total', 1);
          });
        }
        seen.push(
          await orders.find({
            where: { session },
            relations: { lines: true },
            order: { id: 'ASC', lines: { number: 'ASC' } },
          }),
        );
        const stream = await orders
          .createQueryBuilder('o')
          .where('o.session = :session', { session })
          .orderBy('o.id')
          .stream();
        for await (const row of stream) seen.push(row);
        return JSON.parse(JSON.stringify(seen)) as unknown;
      } finally {
        await source.destroy();
      }
    });
  });

  it('sequelize: makes its schema, and runs transactions', async () => {
    const define = (url: string) => {
      const sequelize = new Sequelize(url, { logging: false, pool: { max: 2 } });
      const invoice = sequelize.define(
        'invoice',
        {
          session: { type: DataTypes.INTEGER, primaryKey: true },
          id: { type: DataTypes.INTEGER, primaryKey: true },
          paid: { type: DataTypes.DECIMAL, defaultValue: 0 },
          state: { type: DataTypes.ENUM('open', 'closed') },
          detail: { type: DataTypes.JSONB },
          issued: { type: DataTypes.DATE },
        },
        { timestamps: false },
      );
      return { sequelize, invoice };
    };
    for (const url of both.urls) {
      const { sequelize } = define(url);
      await sequelize.sync();
      await sequelize.close();
    }
    await both.same(async (url, session) => {
      const { sequelize, invoice } = define(url);
      try {
        const seen: unknown[] = [];
        for (let id = 0; id < ROUNDS; id++) {
          const issued = new Date(Date.UTC(2024, 1, id + 1));
          await sequelize.transaction(
            { isolationLevel: Transaction.ISOLATION_LEVELS.REPEATABLE_READ },
            async (transaction) => {
              await invoice.create({ session, id, state: 'open', detail: { id }, issued }, { transaction });
              await invoice.increment('paid', { by: 5, where: { session, id }, transaction });
            },
          );
          const failing = sequelize.transaction(async (transaction) => {
            await invoice.update({ state: 'closed' }, { where: { session, id }, transaction });
            await sequelize.query('SELECT 1 / 0', { transaction });
          });
          const reason = await failing.catch((error: { original?: { code?: string } }) => error.original?.code);
          seen.push(reason, await sequelize.query('SELECT $1::int AS session', { bind: [session] }));
        }
        const found = await invoice.findAll({ where: { session }, order: ['id'] });
        seen.push(found.map((row) => row.toJSON()));
        return JSON.parse(JSON.stringify(seen)) as unknown;
      } finally {
        await sequelize.close();
      }
    });
  });
});
